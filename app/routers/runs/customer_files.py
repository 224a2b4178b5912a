"""The customer file over HTTP."""

from typing import Any

from app.errors import NotFound
from app.http.deps import CustomerId, Here, Now, Principal, Read
from app.routers.api import router, scope
from app.schemas.customer_files import CustomerFile
from app.schemas.responses import problems
from app.services.runs import customer_files

routes = router("customers")


@routes.get(
    "/customers/{customer_id}/file",
    response_model=CustomerFile,
    responses=problems(NotFound),
    **scope("scores:read"),
)
async def get_customer_file(
    customer_id: CustomerId, session: Read, deployment: Here, now: Now, principal: Principal
) -> Any:
    """Return all that is known of a customer, in one call.

    The profile and who told of it, stage and history, score card, segments, habits, worklist
    and the last interactions, each as its own operation answers it. It needs
    `customers:read` as well.
    """
    return await customer_files.get(session, deployment, customer_id, now=now, may=principal.may)
