"""The worklist over HTTP: its lines, those of a customer, and the rules that make them."""

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response

from app.errors import Conflict, NotFound, PreviewExpired
from app.http.deps import (
    AppState,
    CustomerId,
    Here,
    IdempotencyKey,
    Now,
    PageInOrder,
    Principal,
    Read,
    Write,
)
from app.routers.api import router, scope
from app.schemas.common.types import Code, Line
from app.schemas.responses import headers, problems
from app.schemas.worklist import CustomerWorklist, Worklist
from app.schemas.worklist_rules import (
    WorklistActivation,
    WorklistPreview,
    WorklistRules,
    WorklistRulesIn,
    WorklistRulesPage,
)
from app.services.common import copied_lines
from app.services.runs.worklist import csv_lines, rule_sets, worklist

routes = router("worklist")
CSV = "text/csv"
Version = Annotated[
    int, Path(ge=0, le=2**31 - 1, description="version of the rules; 0 is the ready set",
              examples=[0])
]  # fmt: skip


@routes.get(
    "/worklist",
    response_model=Worklist,
    responses={
        200: {"content": {CSV: {"schema": {"type": "string"}}}, **headers("Content-Disposition")},
    },
    **scope("scores:read"),
)
async def list_worklist(
    request: Request,
    session: Read,
    deployment: Here,
    now: Now,
    principal: Principal,
    owner: Annotated[
        Line | None, Query(description="only customers of this owner", examples=["anna"])
    ] = None,
    team: Annotated[
        Code | None,
        Query(description="only customers of the owners of this team", examples=["north"]),
    ] = None,
    date: Annotated[
        str | None,
        Query(
            max_length=10,
            description="today, or a day within 366 days, by what is known now; default today",
            examples=["2026-12-01"],
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="lines at most")] = 50,
) -> Any:
    """List whom to call and why, a line a customer: complaints, promises, then value to save.

    A line is done when a contact is recorded after its reason arose, or hidden until the day in
    the attribute `until` of an interaction of the kind `snoozed`; it comes back when the reason
    does. At most `lines_a_day` lines of an owner are shown. Without `customers:read_pii` rules on
    personal data make no lines. With `Accept: text/csv` the lines alone.
    """
    found = await worklist.listed(
        session, deployment, owner=owner, team=team, on=date, limit=limit, now=now,
        may=principal.may,
    )  # fmt: skip
    if copied_lines.form_of(request.headers.get("accept")) != CSV:
        return found
    named = {"Content-Disposition": f'attachment; filename="worklist-{found["date"]}.csv"'}
    return Response(csv_lines.write(found["items"]), media_type=CSV, headers=named)


@routes.get(
    "/customers/{customer_id}/worklist",
    response_model=CustomerWorklist,
    responses=problems(NotFound),
    **scope("scores:read"),
)
async def get_customer_worklist(
    customer_id: CustomerId, session: Read, deployment: Here, now: Now, principal: Principal
) -> Any:
    """Return why to call a customer today, and which reasons have been seen to."""
    return await worklist.of_customer(session, deployment, customer_id, now=now, may=principal.may)


@routes.get("/worklist-rules", response_model=WorklistRulesPage, **scope("customers:read"))
async def list_worklist_rules(session: Read, page: PageInOrder) -> Any:
    """List the versions of the rules, newest first; the ready set, 0, comes last."""
    return await rule_sets.search(session, page)


@routes.post(
    "/worklist-rules",
    status_code=201,
    response_model=WorklistRules,
    responses={201: headers("Location"), **problems(Conflict)},
    **scope("policies:write"),
)
async def create_worklist_rules(
    rules: WorklistRulesIn,
    session: Write,
    now: Now,
    principal: Principal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Store rules as a new version. The list is made by those in force until it is activated."""
    del idempotency_key
    created = await rule_sets.create(session, rules, now=now, by=principal.key_id)
    response.headers["Location"] = f"/v1/worklist-rules/{created['version']}"
    return created


@routes.get(
    "/worklist-rules/{version}",
    response_model=WorklistRules,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def get_worklist_rules(version: Version, session: Read) -> Any:
    """Return a version of the rules; 0 is the ready set."""
    return await rule_sets.describe(session, version)


@routes.get(
    "/worklist-rules/{version}/preview",
    response_model=WorklistPreview,
    responses=problems(NotFound),
    **scope("policies:write"),
)
async def preview_worklist_rules(
    version: Version, session: Read, deployment: Here, now: Now, state: AppState
) -> Any:
    """Count what a version would make of today's list, and who would come and go.

    Of more than 20,000 customers a sample is looked at, and its numbers are multiplied. The token
    is what activation takes.
    """
    return await worklist.preview(session, deployment, version, secret=state.cursor_secret, now=now)


@routes.post(
    "/worklist-rules/{version}/activate",
    response_model=WorklistRules,
    responses=problems(NotFound, PreviewExpired),
    **scope("policies:write"),
)
async def activate_worklist_rules(
    version: Version,
    activation: WorklistActivation,
    session: Write,
    now: Now,
    principal: Principal,
    state: AppState,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Put a version in force that was previewed within the last 24 hours.

    The preview of one that names a segment that has been retired since is too old, too.
    """
    del idempotency_key
    return await rule_sets.activate(
        session, version, activation.preview_token, secret=state.cursor_secret, now=now,
        by=principal.key_id,
    )  # fmt: skip
