"""Changes of scores over HTTP."""

from typing import Annotated, Any

from fastapi import Query

from app.errors import NoModel, NotFound
from app.http.deps import CustomerId, Here, Now, Read
from app.routers.api import router, scope
from app.schemas.responses import problems
from app.schemas.scores.diffs import ScoreDiff
from app.services.scores import diffs

routes = router("scores")


@routes.get(
    "/customers/{customer_id}/scores/diff",
    response_model=ScoreDiff,
    responses=problems(NotFound, NoModel),
    **scope("scores:read"),
)
async def get_score_diff(
    customer_id: CustomerId,
    session: Read,
    deployment: Here,
    now: Now,
    since: Annotated[
        str,
        Query(
            alias="from",
            max_length=40,
            description="an instant (RFC 3339), or a day, which means its end",
            examples=["2026-01-31"],
        ),
    ],
    until: Annotated[
        str | None,
        Query(
            alias="to",
            max_length=40,
            description="an instant or a day, not before `from`; default now",
            examples=["2026-03-31"],
        ),
    ] = None,
    horizon_days: Annotated[
        int | None, Query(ge=1, le=3650, description="of churn risk; default that of the model")
    ] = None,
) -> Any:
    """Return why the churn risk changed between two instants, cause by cause."""
    return await diffs.get(
        session,
        deployment,
        customer_id,
        since=since,
        until=until,
        horizon_days=horizon_days,
        now=now,
    )
