"""Scores and churn risks over HTTP."""

from typing import Annotated, Any

from fastapi import Query

from app.deps import AsOfQuery, CustomerId, Here, Now, Page, Read
from app.routers.api import router, scope
from app.schemas.responses import problems
from app.schemas.score_rows import ScoreAnswer, ScoreRequest
from app.schemas.scores import ChurnRiskPage, Level, Scores, Tier
from app.schemas.types import Text
from app.services import churn_risks, score_rows, scores
from app.services.score_cards import DEFAULT_HORIZON_DAYS

routes = router("scores")


@routes.get(
    "/customers/{customer_id}/scores",
    response_model=Scores,
    responses=problems(404),
    **scope("scores:read"),
)
async def get_scores(
    customer_id: CustomerId,
    session: Read,
    here: Here,
    now: Now,
    as_of: AsOfQuery,
    horizon_days: Annotated[
        int, Query(ge=1, le=3650, description="of churn risk and expected purchases")
    ] = DEFAULT_HORIZON_DAYS,
) -> Any:
    """Return what a customer is worth and how likely to leave, right immediately after a write."""
    return await scores.get(
        session, here, customer_id, as_of=as_of, horizon_days=horizon_days, now=now
    )


@routes.get("/churn-risks", response_model=ChurnRiskPage, **scope("scores:read"))
async def list_churn_risks(
    session: Read,
    here: Here,
    now: Now,
    page: Page,
    stage: Annotated[Text | None, Query(description="the stage at the run")] = None,
    value_tier: Annotated[Tier | None, Query(description="by 12-month CLV")] = None,
    level: Annotated[Level | None, Query(description="of the churn risk")] = None,
    at_risk: Annotated[
        bool | None, Query(description="silent for more than twice the usual gap")
    ] = None,
    owner: Annotated[Text | None, Query(description="who looks after them")] = None,
    include_churned: Annotated[bool, Query(description="also those who have left")] = False,
) -> Any:
    """List customers of the published run, each with reasons.

    By `-value_at_risk` (default), `-probability` or `customer_id`. Where dropout is not identified
    in the data, value at risk is null and the list is by probability. A cursor stays with the run
    that it began with.
    """
    filters = {"stage": stage, "value_tier": value_tier, "level": level, "at_risk": at_risk,
               "owner": owner}  # fmt: skip
    return await churn_risks.search(
        session, here, page, filters=filters, include_churned=include_churned, now=now
    )


@routes.post(
    "/score",
    response_model=ScoreAnswer,
    responses=problems(404, 409),
    **scope("scores:read"),
)
async def score_histories(request: ScoreRequest, session: Read, here: Here, now: Now) -> Any:
    """Score up to 10,000 histories (x, t_x, T, mean value) without storing anything."""
    return await score_rows.score(session, here, request, now)
