"""Long work over HTTP."""

from typing import Annotated, Any

from fastapi import Path, Query

from app.deps import PageInOrder, Read
from app.errors import NotFound
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
    """Return the state and progress of long work."""
    return await operations.describe(session, operation_id)


@routes.get("/operations", response_model=OperationPage, **scope("operations:read"))
async def list_operations(
    session: Read,
    page: PageInOrder,
    state: Annotated[State | None, Query(description="where the work stands")] = None,
    kind: Annotated[Text | None, Query(description="what work", examples=["scoring_run"])] = None,
) -> Any:
    """List operations, newest first."""
    return await operations.search(session, page, state=state, kind=kind)
