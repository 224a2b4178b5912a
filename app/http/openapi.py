"""The OpenAPI document: what FastAPI cannot know by itself."""

import threading
from typing import Any

from fastapi import FastAPI

from app.errors import (
    AppError,
    Conflict,
    Draining,
    ExportsBusy,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    ImportsBusy,
    InternalError,
    InvalidCursor,
    NotFound,
    ReportTooLong,
    Unavailable,
    ValidationFailed,
    tree,
)
from app.schemas.document import operations, tidy
from app.schemas.examples import examples
from app.schemas.responses import CODES, HEADERS, header_reference, problem_component

TAGS = [
    {"name": "customers", "description": "Who they are: people and companies, also prospects."},
    {"name": "transactions", "description": "What they buy: purchases and refunds, as facts."},
    {
        "name": "interactions",
        "description": "What happens to them: visits, calls, campaigns, tickets, complaints, "
        "survey answers, payments overdue and any other dated fact; and what is declared of their "
        "kinds.",
    },
    {
        "name": "timeline",
        "description": "All of it in one list: transactions, interactions, churn records, "
        "transitions, and changes of the profile.",
    },
    {
        "name": "stages",
        "description": "Where they stand: `potential` 潜在, `initial` 初始, `active` 活跃, "
        "`loyal` 忠诚, `churned` 流失; and the ledger of transitions. Version 1 of the policy: "
        "potential has no purchase day; initial one; active two or more; loyal five or more in "
        "the current life and 180 days since the first purchase; churned is silent for longer "
        "than max(180 days, min(3 gaps, gap + 365 days)), the gap being the own mean gap of the "
        "current life. A purchase after that begins a new life: a win-back.",
    },
    {
        "name": "policies",
        "description": "What decides where they stand: versions of stages and rules, whose "
        "stage another one would change, and putting it in force.",
    },
    {
        "name": "models",
        "description": "What is learnt from the facts: fitted models, and their back-tests.",
    },
    {
        "name": "scores",
        "description": "What each is worth and who is about to churn: RFM, lifetime value, churn "
        "risk with reasons. Churn risk is the probability of no purchase in the horizon.",
    },
    {
        "name": "queries",
        "description": "Any question about customers: for whom a rule holds, and what they amount "
        "to in groups.",
    },
    {
        "name": "segments",
        "description": "Named rules: who is in them, since when, and what would bring somebody in "
        "or out.",
    },
    {
        "name": "worklist",
        "description": "Whom to call today and why, and the rules that make the list.",
    },
    {
        "name": "reports",
        "description": "Tables of ledger and facts as they are now, and counts of the published "
        "run.",
    },
    {
        "name": "rebuilds",
        "description": "Everything derived, derived anew from the facts: compared, and mended.",
    },
    {
        "name": "imports",
        "description": "Files of any size in, by presets or mappings; and the systems they are of.",
    },
    {"name": "operations", "description": "Long work, and its progress."},
    {"name": "keys", "description": "Who may call, what they may do, and how often."},
    {"name": "audit", "description": "Who did what: each request and command that wrote."},
    {"name": "info", "description": "What this deployment is."},
    {"name": "health", "description": "For operations: liveness, readiness, metrics."},
]

ABOUT: dict[str, Any] = {
    "title": "CLM",
    "description": "Customer lifecycle management: facts in; stage, value and churn risk out.\n\n"
    "Bodies are JSON in UTF-8, as they are or packed with `Content-Encoding: gzip`. What a write "
    "accepts without full effect it tells in `warnings`.",
    "contact": {"name": "The team that runs CLM"},
    "license_info": {"name": "Proprietary", "identifier": "LicenseRef-Proprietary"},
    "servers": [{"url": ".", "description": "The deployment that serves this document"}],
    "openapi_tags": TAGS,
}

_BEFORE_ANY = (400, 408, 413, 415, 431)
"""How any request is refused before its operation begins, whatever it asks for."""
_BEFORE_AUTHORISED = (401, 403, 429, 503)
_OF_FEW = (InvalidCursor, Unavailable, ReportTooLong, Draining, ExportsBusy, ImportsBusy)
"""What only some operations answer: they say so themselves, or their form does."""
_OF_EVERY = (
    *(kind for kind in tree() if kind.status in _BEFORE_ANY and kind not in _OF_FEW),
    InternalError,
)
_OF_AUTHORISED = (
    *(kind for kind in tree() if kind.status in _BEFORE_AUTHORISED and kind not in _OF_FEW),
    ValidationFailed,
)
_OF_A_KEY = (IdempotencyInProgress, IdempotencyKeyReused)
_WRITES = ("put", "patch", "delete")
_UNUSED = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> None:
    """Make the document say what is true: problems instead of FastAPI's own validation error."""
    generate = app.openapi
    writing = threading.Lock()

    def openapi() -> dict[str, Any]:
        with writing:  # a second of work, which is done once whoever comes meanwhile
            if app.openapi_schema is None:
                app.openapi_schema = _described(generate())
            return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend it


def _described(document: dict[str, Any]) -> dict[str, Any]:
    components = document["components"]
    for name in _UNUSED:
        components["schemas"].pop(name, None)
    components["responses"] = {}
    components["headers"] = dict(HEADERS)
    for path in document["paths"].values():
        for method, operation in path.items():
            _complete(method, operation, components["responses"])
    tidy(document)
    for operation in operations(document):
        _show(operation)
    return document


def _complete(method: str, operation: dict[str, Any], components: dict[str, Any]) -> None:
    """Sum an operation up, name all of its problems, and the headers of its answers."""
    operation["summary"] = summary(operation["description"])
    repeatable = "Idempotency-Key" in _parameters(operation)
    names = _headers(repeatable=repeatable, limited="x-required-scope" in operation)
    always = {name: header_reference(name) for name in names}
    answers: dict[str, Any] = {}
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            answers[status] = {**response, "headers": {**response.get("headers", {}), **always}}
    for status, codes in sorted(_problems(method, operation).items()):
        name, components_of = problem_component(codes)
        components[name] = components_of
        answers[str(status)] = {"$ref": f"#/components/responses/{name}"}
    operation["responses"] = answers


def summary(description: str) -> str:
    """Return the first sentence."""
    first = " ".join(description.split("\n\n", maxsplit=1)[0].split())
    sentence, dot, _ = first.partition(". ")
    return sentence + "." if dot else first


def _parameters(operation: dict[str, Any]) -> set[str]:
    return {parameter["name"] for parameter in operation.get("parameters", ())}


def _headers(*, repeatable: bool, limited: bool) -> list[str]:
    return [
        "X-Request-Id",
        *["Idempotent-Replayed"] * repeatable,
        *["RateLimit", "RateLimit-Policy"] * limited,
    ]


def _problems(method: str, operation: dict[str, Any]) -> dict[int, list[str]]:
    """Return by status the codes of what an operation declares, and of what its form entails."""
    kinds: list[type[AppError]] = [*_OF_EVERY]
    if "x-required-scope" in operation:
        kinds += _OF_AUTHORISED
    named = _parameters(operation)
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
        kinds.append(NotFound)  # also of what is not there to be found: an empty step
    if "cursor" in named:
        kinds.append(InvalidCursor)
    if "Idempotency-Key" in named:
        kinds += _OF_A_KEY
    if "Idempotency-Key" in named or method in _WRITES:
        kinds.append(Conflict)  # with what another request writes at the same time
    found: dict[int, list[str]] = {}
    for status, response in operation["responses"].items():
        if CODES in response:
            found[int(status)] = list(response[CODES])
    for kind in kinds:
        codes = found.setdefault(kind.status, [])
        if kind.code not in codes:
            codes.append(kind.code)
    return found


def _show(operation: dict[str, Any]) -> None:
    """Show an answer of each kind as it really was."""
    for status, response in operation["responses"].items():
        for form, content in response.get("content", {}).items():
            shown = examples().get(operation["operationId"], {}).get(status, {})
            if form in shown:
                content["example"] = shown[form]
