"""Shapes that several resources share: problems, pages, and the answer to a bulk."""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from app.errors import FieldError, printable
from app.schemas.common.types import Answer, Shape
from app.schemas.common.warnings import Warnings, WriteWarning

Item = TypeVar("Item")
BULK_LIMIT = 1000
_NO_OBJECT = ("dict_type", "model_type", "model_attributes_type")


class ProblemField(BaseModel):
    """One fault of a request: where it is, and what."""

    pointer: str = Field(
        description="JSON pointer into the body, or query:name, path:name, header:name",
        examples=["/items/3/amount"],
    )
    code: str = Field(description="code of the fault, to branch on", examples=["decimal"])
    detail: str = Field(
        description="the fault in words",
        examples=['must be a decimal number in a string, such as "12.50"'],
    )


class Problem(BaseModel):
    """A problem document of RFC 9457. Branch on `code`, never on the texts.

    Some codes come with further members; those have schemas of their own.
    """

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="URN of the kind of problem", examples=["urn:clm:problem:validation_failed"]
    )
    title: str = Field(
        description="the kind in words", examples=["The request does not fit its description"]
    )
    status: int = Field(description="the status of HTTP", examples=[422])
    detail: str = Field(
        description="this case in words", examples=["The request does not fit its description"]
    )
    instance: str = Field(description="the path that was asked", examples=["/v1/transactions"])
    code: str = Field(description="code of the kind, to branch on", examples=["validation_failed"])
    request_id: str = Field(
        description="id of the request in logs", examples=["0b6bd6f3a0fd4d6c8f2a1c9e4d5b6a70"]
    )
    errors: list[ProblemField] = Field(
        default_factory=list, description="the faults, where the request has some"
    )


class Page(Answer, Generic[Item]):
    """A page of a list; `next_cursor` is null on the last one."""

    items: list[Item] = Field(description="what is on this page, in order")
    next_cursor: str | None = Field(
        None, description="pass it as `cursor`, with the same filters and sort, for the next page"
    )


class Rejected(BaseModel):
    """An item that did not validate; keeps its faults so that the others can be written."""

    faults: list[FieldError]


def _keep_faults(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError as error:
        return Rejected(
            faults=[
                FieldError(to_pointer(each["loc"]), each["type"], printable(detail_of(each), 300))
                for each in error.errors(include_url=False, include_input=False)[:20]
            ]
        )


def detail_of(error: Mapping[str, Any]) -> str:
    """Return what one of pydantic's errors says, without names of ours and values of callers."""
    if error["type"] in _NO_OBJECT:
        return "must be an object"
    if error["type"] == "union_tag_invalid":
        context = error.get("ctx", {})
        return f"{context.get('discriminator')} must be one of {context.get('expected_tags')}"
    return str(error["msg"])


Lenient = Annotated[Item, WrapValidator(_keep_faults)]
"""An item of a partial bulk: a bad one becomes `Rejected` instead of failing the request."""


class Batch(Shape, Generic[Item]):
    """Many items, applied as one write."""

    items: list[Lenient[Item]] = Field(
        min_length=1, max_length=BULK_LIMIT, description="what to write, at most 1,000 items"
    )
    mode: Literal["partial", "atomic"] = Field(
        "partial", description="atomic: all or nothing; partial: bad items are rejected alone"
    )


def to_pointer(location: tuple[int | str, ...]) -> str:
    """Return the JSON pointer (RFC 6901) of a location in a body."""
    steps = [printable(str(part)).replace("~", "~0").replace("/", "~1") for part in location]
    return "".join(f"/{step}" for step in steps)


class BulkCounts(Answer):
    """How many items each outcome had."""

    created: int = Field(0, description="items that were not known before")
    updated: int = Field(0, description="items that replaced what was known")
    duplicate: int = Field(0, description="items that were known as they are")
    rejected: int = Field(0, description="items that were not written")


class BulkItemError(Answer):
    """Why an item was rejected."""

    code: str = Field(description="code of the kind of problem", examples=["validation_failed"])
    detail: str = Field(
        description="the problem in words", examples=["The request does not fit its description"]
    )
    errors: list[ProblemField] = Field(default_factory=list, description="the faults of the item")


class BulkItem(Answer):
    """What became of one item."""

    index: int = Field(description="its place in the request, from 0")
    status: Literal["created", "updated", "duplicate", "rejected"] = Field(
        description="what became of it"
    )
    error: BulkItemError | None = Field(None, description="why it was rejected; else null")
    warnings: list[WriteWarning] = Field(
        default_factory=list, description="what of it was accepted without full effect"
    )


class BulkAnswer(Answer):
    """What became of each item, in the order of the request."""

    counts: BulkCounts = Field(description="how many items each outcome had")
    items: list[BulkItem] = Field(description="the outcome of each item")
    warnings: list[WriteWarning] = Field(
        default_factory=list, description="what concerns the batch as a whole"
    )


def bulk_answer(
    outcomes: list[tuple[Any, BulkItemError | None]], warnings: Warnings
) -> dict[str, Any]:
    """Count and number the outcomes of a bulk."""
    items, silent = [], warnings.is_empty()
    for index, (status, error) in enumerate(outcomes):
        told = None if silent else warnings.of(index, f"/items/{index}")
        items.append(
            BulkItem(index=index, status=status, error=error, warnings=told or [])
            if error or told
            else _untroubled(index, status)
        )
    counts = BulkCounts(**Counter(status for status, _ in outcomes))
    return {"counts": counts, "items": items, "warnings": warnings.batch}


@cache
def _untroubled(index: int, status: Any) -> BulkItem:
    """Return what nearly all items are answered with; answers share it, and nobody changes it."""
    return BulkItem(index=index, status=status, error=None)
