"""Runs an endpoint by a plan that is worked out once from how FastAPI has it declared.

FastAPI walks the tree of dependencies at every request, and a dependency that three others name is
walked three times; here each is one step of a list. Order, errors and answers are FastAPI's own.
"""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, TypeAlias

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticUndefined
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response

from app.edge.jsonbody import aside
from app.http.answers import Answers

_UNSUPPORTED = (
    "cookie_params",
    "websocket_param_name",
    "background_tasks_param_name",
    "security_scopes_param_name",
    "concurrency",
)
_FAILED = object()
_MANY_FAULTS = 5_000
Errors = list[Any]
ModelField: TypeAlias = Any
"""FastAPI's own, which it does not export."""


class _Parameters:
    """The parameters of one function in one place of the request: path, query or headers."""

    def __init__(self, place: str, fields: list[ModelField]) -> None:
        self._place = place
        self._fields = fields
        self._names = [field.alias.replace("_", "-") for field in fields]
        nothing: dict[str, Any] = {"query": QueryParams(), "headers": Headers()}
        self._absent: dict[str, Any] | None = None
        if place in nothing:
            values, faults = request_params_to_args(fields, nothing[place])
            plain = (str, int, float, bool, type(None))
            if not faults and all(isinstance(value, plain) for value in values.values()):
                self._absent = values

    def read(self, request: Request, values: dict[str, Any]) -> Errors:
        """Put the parameters into `values`; return what is wrong with them."""
        if self._place == "path":
            return self._from_path(request.path_params, values)
        given = self._given(request)
        if given is None:
            values.update(self._absent or {})
            return []
        fields = self._fields
        if self._absent is not None and self._place == "query":
            # Of many filters few are asked for; the others are as if nothing were.
            values.update(self._absent)
            fields = [field for field in fields if field.alias in given]
        found, faults = request_params_to_args(fields, given)
        values.update(found)
        return faults

    def _from_path(self, given: Mapping[str, Any], values: dict[str, Any]) -> Errors:
        faults: Errors = []
        for field in self._fields:  # none can be absent, or the path would be another
            value, wrong = field.validate(given[field.alias], {}, loc=("path", field.alias))
            values[field.name] = value
            faults += wrong
        return faults

    def _given(self, request: Request) -> Mapping[str, Any] | None:
        """Return what was sent in this place, None if nothing that is asked for here."""
        if self._place == "query":
            bare = self._absent is not None and not request.scope["query_string"]
            return None if bare else request.query_params
        headers = request.headers
        if self._absent is not None and not any(name in headers for name in self._names):
            return None
        return headers


class _Body:
    """What a function takes from the body."""

    def __init__(self, fields: list[ModelField], *, embed: bool) -> None:
        self._fields = fields
        self._embed = embed

    @cached_property
    def _whole(self) -> TypeAdapter[Any]:
        return TypeAdapter(self._fields[0].field_info.annotation)

    async def read(self, request: Request, body: Any, values: dict[str, Any]) -> Errors:
        """Put the body into `values`; return what is wrong with it."""
        if self._embed or body is PydanticUndefined:
            found, faults = await request_body_to_args(
                self._fields, body, embed_body_fields=self._embed
            )
            values.update(found)
            return faults
        size = len(await request.body())
        values[self._fields[0].name], faults = await aside(size, self._validate, body)
        return faults

    def _validate(self, body: Any) -> tuple[Any, Errors]:
        try:
            return self._whole.validate_python(body, from_attributes=True), []
        except ValidationError as error:
            if error.error_count() > _MANY_FAULTS:  # to list them would take longer than the rest
                detail = f"{error.error_count()} faults, too many to be listed"
                return None, [{"type": "too_many_faults", "loc": ("body",), "msg": detail}]
            faults = error.errors(include_url=False)
            return None, [{**each, "loc": ("body", *each["loc"])} for each in faults]


@dataclass(frozen=True, slots=True)
class _Step:
    """One function to call: a dependency, or the endpoint itself, which comes last."""

    call: Callable[..., Any]
    opens: Callable[..., Any] | None
    """Of a dependency that yields: what makes its context manager."""
    sources: tuple[tuple[str | None, int], ...]
    """Which argument is what an earlier step gave; one without a name must have been right."""
    parameters: tuple[_Parameters, ...]
    body: "_Body | None"
    request_name: str | None
    response_name: str | None


def _check(dependant: Dependant, call: Callable[..., Any]) -> None:
    """Refuse what is not done here, rather than ignore it or fail at a request."""
    unknown = [name for name in _UNSUPPORTED if getattr(dependant, name)]
    # One that ended after the answer was sent could not tell that its commit failed.
    if isasyncgenfunction(call) and dependant.scope != "function":
        unknown.append("a scope other than that of the function")
    own = getattr(call, "__call__", None)  # noqa: B004  # of an object that can be called
    if not any(test(each) for test in (isasyncgenfunction, iscoroutinefunction)
               for each in (call, own)):  # fmt: skip
        unknown.append("a function that is not async")
    if not dependant.use_cache:
        unknown.append("a dependency called more than once")
    if unknown:
        raise NotImplementedError(f"{dependant.name or call!r} asks for {', '.join(unknown)}")


def _steps(dependant: Dependant, *, embed: bool) -> list[_Step]:
    steps: list[_Step] = []
    places: dict[int, int] = {}

    def add(dependant: Dependant) -> int:
        call = dependant.call
        assert call is not None
        _check(dependant, call)
        if id(call) in places:
            return places[id(call)]
        sources = tuple((each.name, add(each)) for each in dependant.dependencies)
        opens = None
        if isasyncgenfunction(call):
            opens = asynccontextmanager(call)
        fields = {
            "path": dependant.path_params,
            "query": dependant.query_params,
            "headers": dependant.header_params,
        }
        step = _Step(
            call,
            opens,
            sources,
            tuple(_Parameters(place, of_place) for place, of_place in fields.items() if of_place),
            _Body(dependant.body_params, embed=embed) if dependant.body_params else None,
            dependant.request_param_name or dependant.http_connection_param_name,
            dependant.response_param_name,
        )
        steps.append(step)
        places[id(call)] = len(steps) - 1
        return len(steps) - 1

    add(dependant)
    return steps


class Endpoint:
    """An endpoint with all that it asks for, ready to be run."""

    def __init__(
        self,
        dependant: Dependant,
        *,
        status_code: int | None,
        response_field: ModelField | None,
        exclude_unset: bool,
        embed: bool,
    ) -> None:
        self._steps = _steps(dependant, embed=embed)
        self._has_body = any(step.body for step in self._steps)
        self._status_code = status_code
        self._answers = response_field and Answers(response_field, exclude_unset=exclude_unset)

    async def run(self, request: Request, keep: Callable[[Response], Any]) -> Response:
        """Return the answer to a request; `keep` is awaited with it before anything commits."""
        body: Any = PydanticUndefined
        if self._has_body and await request.body():
            body = await request.json()
        merged = _Merged()
        async with AsyncExitStack() as stack:
            answer = await self._call(request, body, merged, stack)
            response = await self._respond(answer, merged)
            await keep(response)
        return response

    async def _call(
        self, request: Request, body: Any, merged: "_Merged", stack: AsyncExitStack
    ) -> Any:
        results: list[Any] = []
        faults: Errors = []
        overrides = request.scope["app"].dependency_overrides
        last = len(self._steps) - 1
        for place, step in enumerate(self._steps):
            values, wrong, callable_ = _arguments(step, results, request, merged)
            if step.body is not None:
                wrong = [*wrong, *await step.body.read(request, body, values)]
            faults += wrong
            if place == last and faults:
                raise RequestValidationError(
                    faults, body=None if body is PydanticUndefined else body
                )
            if wrong or not callable_:
                results.append(_FAILED)
            elif step.opens is not None:
                results.append(await stack.enter_async_context(step.opens(**values)))
            else:
                call = overrides.get(step.call, step.call) if overrides else step.call
                results.append(await call(**values))
        return results[last]

    async def _respond(self, answer: Any, merged: "_Merged") -> Response:
        if isinstance(answer, Response):
            return answer
        assert self._answers is not None
        content = await self._answers.to_json(answer)
        status = merged.status_code or self._status_code or 200
        response = Response(content, status_code=status, media_type="application/json")
        response.raw_headers.extend(merged.raw_headers)
        return response


class _Merged(Response):
    """What an endpoint is given to say status and headers with."""

    def __init__(self) -> None:
        self.status_code = None  # type: ignore[assignment]
        self.raw_headers = []


def _arguments(
    step: _Step, results: list[Any], request: Request, merged: _Merged
) -> tuple[dict[str, Any], Errors, bool]:
    """Return what a step is called with but the body, the faults found, and if it can be called."""
    values: dict[str, Any] = {}
    faults: Errors = []
    callable_ = True
    for name, source in step.sources:
        value = results[source]
        if value is _FAILED:
            callable_ = False
        elif name is not None:
            values[name] = value
    for parameters in step.parameters:
        faults += parameters.read(request, values)
    if step.request_name is not None:
        values[step.request_name] = request
    if step.response_name is not None:
        values[step.response_name] = merged
    return values, faults, callable_
