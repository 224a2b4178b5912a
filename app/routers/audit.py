"""Who did what, over HTTP."""

from typing import Annotated, Any

from fastapi import Query

from app.http.deps import Here, Page, Read, Since, Until
from app.routers.api import router, scope
from app.schemas.audit import AuditPage
from app.schemas.common.types import Identifier, Text
from app.services.access import audit_log
from app.services.common import as_of as as_ofs

routes = router("audit")


@routes.get("/audit", response_model=AuditPage, **scope("audit:read"))
async def list_audit_entries(
    session: Read,
    deployment: Here,
    page: Page,
    actor: Annotated[
        Text | None,
        Query(description="id of an API key, `cli` or `worker`", examples=["Xf3kP9aQ"]),
    ] = None,
    operation: Annotated[
        Text | None, Query(description="what was done", examples=["void_transaction"])
    ] = None,
    customer_id: Annotated[
        Identifier | None,
        Query(description="that named this customer among its first 20", examples=["c-1001"]),
    ] = None,
    since: Since = None,
    until: Until = None,
) -> Any:
    """List who wrote what and when: a row for each request that had an effect, and for commands.

    By `-recorded_at` (default) or `recorded_at`, in the order in which their transactions began to
    write. An entry is listed as soon as no write that began before it still runs, so that none is
    ever passed over: whoever keeps up with the list asks for `sort=recorded_at`, keeps the last
    `next_cursor` that was not null, and goes on from there later. Replayed answers and refused
    requests wrote nothing.
    """
    first, last = as_ofs.span(since, until, deployment)
    return await audit_log.search(
        session,
        page,
        actor=actor,
        operation=operation,
        customer_id=customer_id,
        since=None if first is None else first.at,
        until=None if last is None else last.at,
    )
