"""The OpenAPI document: what FastAPI cannot know by itself."""

from typing import Any

from fastapi import FastAPI

from app.schemas.responses import HEADERS, header_reference, problem_components

TAGS = [
    {"name": "customers", "description": "Who they are: people and companies, also prospects."},
    {"name": "transactions", "description": "What they buy: purchases and refunds, as facts."},
    {
        "name": "interactions",
        "description": "What happens to them: visits, calls, campaigns, tickets, complaints, "
        "survey answers, payments overdue and any other dated fact.",
    },
    {
        "name": "timeline",
        "description": "All of it in one list: transactions, interactions and moves.",
    },
    {
        "name": "stages",
        "description": "Where they stand: `potential` 潜在, `initial` 初始, `active` 活跃, "
        "`loyal` 忠诚, `churned` 流失; and the ledger of moves. Version 1 of the policy: "
        "potential has no purchase day; initial one; active two or more; loyal five or more in "
        "the current life and 180 days since the first purchase; churned is silent for longer "
        "than max(180 days, min(3 gaps, gap + 365 days)), the gap being the own mean gap of the "
        "current life. A purchase after that begins a new life: a win-back.",
    },
    {
        "name": "policies",
        "description": "What decides where they stand: versions of stages and rules, who would "
        "move under another one, and putting it in force.",
    },
    {
        "name": "models",
        "description": "What is learnt from the facts: fitted models, and their back-tests.",
    },
    {
        "name": "scores",
        "description": "What each is worth and who is about to leave: RFM, lifetime value, churn "
        "risk with reasons. Churn risk is the probability of no purchase in the horizon.",
    },
    {"name": "reports", "description": "Counts of the published run."},
    {"name": "operations", "description": "Long work, and its progress."},
    {"name": "info", "description": "What this deployment is."},
    {"name": "health", "description": "For operations: liveness, readiness, metrics."},
]


_OF_A_BODY = (408, 413, 415)
_OF_A_WRITE = (409,)


def describe(app: FastAPI) -> None:
    """Make the document say what is true: problems instead of FastAPI's own validation error."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            components = document["components"]
            for name in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(name, None)
            components["responses"] = problem_components()
            components["headers"] = dict(HEADERS)
            for path in document["paths"].values():
                for method, operation in path.items():
                    _complete(method, operation)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend it


def _complete(method: str, operation: dict[str, Any]) -> None:
    """Name every problem of an operation, and the headers of its answers."""
    answers: dict[str, Any] = {}
    named = [parameter["name"] for parameter in operation.get("parameters", ())]
    repeatable = "Idempotency-Key" in named
    failures = set(_OF_A_BODY) if "requestBody" in operation else set()
    if repeatable or method in ("put", "patch"):
        failures.update(_OF_A_WRITE)
    for status, response in operation["responses"].items():
        if status.startswith(("4", "5")):
            failures.add(int(status))
            continue
        more = ["X-Request-Id"] + ["Idempotent-Replayed"] * repeatable
        shown = {name: header_reference(name) for name in more}
        answers[status] = {**response, "headers": {**response.get("headers", {}), **shown}}
    for status in sorted(failures):
        answers[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    operation["responses"] = answers
