"""Rebuilds over HTTP."""

from typing import Any

from fastapi import Response

from app.errors import NotFound, OperationRunning
from app.http.deps import IdempotencyKey, Now, PageInOrder, Principal, Read, Write
from app.routers.api import accept, router, scope
from app.routers.operations import OperationId
from app.schemas.operations import RebuildOperation
from app.schemas.rebuilds import RebuildDifferencePage, RebuildRequest
from app.schemas.responses import headers, problems
from app.services.rebuilds import rebuilds

routes = router("rebuilds")


@routes.post(
    "/rebuilds",
    status_code=202,
    response_model=RebuildOperation,
    responses={202: headers("Location", "Retry-After"), **problems(OperationRunning)},
    **scope("rebuilds:write"),
)
async def start_rebuild(
    request: RebuildRequest,
    session: Write,
    now: Now,
    principal: Principal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Derive anew from the facts what is kept of customers, and compare; mend it on request.

    The result of the operation, a RebuildResult, counts what differed; each value that did is
    listed at `/v1/rebuilds/{operation_id}/differences`. A release that derives something else from
    the same facts starts a rebuild of everybody by itself.
    """
    del idempotency_key
    operation = await rebuilds.submit(session, request, now=now, by=principal.key_id)
    return accept(response, operation)


@routes.get(
    "/rebuilds/{operation_id}/differences",
    response_model=RebuildDifferencePage,
    responses=problems(NotFound),
    **scope("operations:read"),
)
async def list_rebuild_differences(
    operation_id: OperationId, session: Read, page: PageInOrder
) -> Any:
    """List what a rebuild found to differ, by customer and field; up to 200 of 200 customers."""
    return await rebuilds.list_differences(session, operation_id, page)
