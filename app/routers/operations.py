"""Long work over HTTP."""

from typing import Annotated, Any

from fastapi import Path, Query

from app.errors import Conflict, NotFound
from app.http.deps import IdempotencyKey, PageInOrder, Read, Write
from app.routers.api import router, scope
from app.schemas.common.types import Text
from app.schemas.operations import Operation, OperationPage, State
from app.schemas.responses import problems
from app.services.operations import operations

routes = router("operations")
OperationId = Annotated[
    Text, Path(description="id of the operation", examples=["op_4f1d7c0a9be25d18"])
]


@routes.get(
    "/operations/{operation_id}",
    response_model=Operation,
    responses=problems(NotFound),
    **scope("operations:read"),
)
async def get_operation(operation_id: OperationId, session: Read) -> Any:
    """Return the state and progress of long work.

    While the database is in the way it waits instead of failing, for up to 12 hours: `waiting` says
    so.
    """
    return await operations.describe(session, operation_id)


@routes.post(
    "/operations/{operation_id}/cancel",
    response_model=Operation,
    responses=problems(NotFound, Conflict),
    **scope("operations:write"),
)
async def cancel_operation(
    operation_id: OperationId, session: Write, idempotency_key: IdempotencyKey = None
) -> Any:
    """End long work that has not ended. What is done of it stays done, and nothing is published.

    An activation that is cancelled when its version is in force already has to be gone on with:
    activate the version once more, or another.
    """
    del idempotency_key
    return await operations.cancel(session, operation_id)


@routes.get("/operations", response_model=OperationPage, **scope("operations:read"))
async def list_operations(
    session: Read,
    page: PageInOrder,
    state: Annotated[State | None, Query(description="where the work stands")] = None,
    kind: Annotated[Text | None, Query(description="what work", examples=["scoring_run"])] = None,
) -> Any:
    """List operations, newest first."""
    return await operations.search(session, page, state=state, kind=kind)
