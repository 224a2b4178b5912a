"""The timeline over HTTP."""

from typing import Annotated, Any

from fastapi import Query

from app.errors import NotFound
from app.http.deps import CustomerId, Here, PageInOrder, Read
from app.routers.api import router, scope
from app.schemas.ingest.timeline import TimelinePage, TimelineType
from app.schemas.responses import problems
from app.services.ingest import timeline

routes = router("timeline")


@routes.get(
    "/customers/{customer_id}/timeline",
    response_model=TimelinePage,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def list_timeline(
    customer_id: CustomerId,
    session: Read,
    deployment: Here,
    page: PageInOrder,
    only: Annotated[
        TimelineType | None, Query(alias="type", description="only entries of this type")
    ] = None,
) -> Any:
    """List everything that happened to a customer, newest first.

    Transactions, interactions, churn records, transitions, and changes of the profile.

    Of one instant, transitions come before the facts that they follow from.
    """
    return await timeline.of_customer(session, deployment, customer_id, page, only=only)
