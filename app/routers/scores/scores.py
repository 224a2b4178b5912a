"""Scores and churn risks over HTTP."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from app.edge.exports import Export
from app.errors import ExportsBusy, NoModel, NotFound
from app.http.deps import AppState, AsOfQuery, CustomerId, Here, Now, Page, Read
from app.routers.api import router, scope
from app.schemas.common.encoding import to_json
from app.schemas.common.fields import Tier
from app.schemas.common.types import Code, Text
from app.schemas.models.clv import BASIS, DISCOUNT, HORIZON, OF_MODEL, ClvBasis
from app.schemas.responses import OF_STREAMS, headers, problems
from app.schemas.scores.ad_hoc import ScoreAnswer, ScoreRequest
from app.schemas.scores.cards import Scores
from app.schemas.scores.lists import ChurnRiskPage, LookupAnswer, LookupRequest, RunId, ScorePage
from app.schemas.scores.rhythm import RhythmStatus
from app.services.models.clv_terms import GivenTerms
from app.services.scores import ad_hoc, churn_risks, lists, lookup, shared_cards, streams
from app.services.scores.run_selects import Asked

routes = router("scores")
STREAMS = streams.FORMS[1:]
HorizonQuery = Annotated[
    int | None,
    Query(
        ge=1,
        le=3650,
        description="of churn risk and expected purchases; default that of the model",
    ),
]


async def _terms(
    clv_horizon_days: Annotated[
        int | None, Query(ge=1, le=3650, description=f"{HORIZON}{OF_MODEL}", examples=[365])
    ] = None,
    annual_discount: Annotated[
        float | None,
        Query(
            ge=0, le=10, allow_inf_nan=False, description=f"{DISCOUNT}{OF_MODEL}", examples=[0.1]
        ),
    ] = None,
    clv_basis: Annotated[ClvBasis | None, Query(description=f"{BASIS}{OF_MODEL}")] = None,
) -> GivenTerms:
    return GivenTerms(clv_horizon_days, annual_discount, clv_basis)


@routes.get(
    "/customers/{customer_id}/scores",
    response_model=Scores,
    responses=problems(NotFound),
    **scope("scores:read"),
)
async def get_scores(
    customer_id: CustomerId,
    state: AppState,
    now: Now,
    as_of: AsOfQuery,
    terms: Annotated[GivenTerms, Depends(_terms)],
    horizon_days: HorizonQuery = None,
) -> Any:
    """Return what a customer is worth and how likely to churn, right immediately after a write."""
    card = await shared_cards.get(
        state.cards, customer_id, as_of=as_of, horizon_days=horizon_days, terms=terms, now=now
    )
    return Response(card, media_type=streams.FORMS[0])


async def _filters(
    stage: Annotated[Text | None, Query(description="the stage at the run")] = None,
    value_tier: Annotated[Tier | None, Query(description="by CLV, on the model's terms")] = None,
    rhythm: Annotated[RhythmStatus | None, Query(description="of this rhythm at the run")] = None,
    owner: Annotated[Text | None, Query(description="who looks after them")] = None,
    channel: Annotated[Text | None, Query(description="how they were acquired")] = None,
    reason: Annotated[
        Code | None, Query(description="what raises the risk most, such as `inactivity`")
    ] = None,
) -> dict[str, Any]:
    return {"stage": stage, "value_tier": value_tier, "rhythm": rhythm,
            "owner": owner, "channel": channel, "reason": reason}  # fmt: skip


Filters = Annotated[dict[str, Any], Depends(_filters)]
RunQuery = Annotated[RunId | None, Query(description="a kept run; default the published one")]
SinceQuery = Annotated[
    RunId | None,
    Query(
        description="only customers whose rhythm was another one in this kept run, or who were not "
        "in it"
    ),
]


@routes.get(
    "/churn-risks",
    response_model=ChurnRiskPage,
    responses=problems(NotFound),
    **scope("scores:read"),
)
async def list_churn_risks(
    session: Read,
    deployment: Here,
    page: Page,
    filters: Filters,
    include: Annotated[
        churn_risks.Include | None,
        Query(description="`lost`: also the lost; `all`: everybody who has purchased"),
    ] = None,
    run_id: RunQuery = None,
    changed_since_run: SinceQuery = None,
) -> Any:
    """List customers of the published run whom one can do something for, each with reasons.

    Those who are overdue, buy less often or for less, or have an open complaint, and are not lost;
    nor in a stage of those who have left where an override put them. Asked for one `rhythm`,
    everybody of it.

    By `-value_to_save` (default), `-probability` or `customer_id`. A run of before value to save
    was told has none, and is by probability. A cursor stays with the run that it began with.
    """
    asked = Asked(filters, run_id, changed_since_run)
    found = await churn_risks.search(session, deployment, page, asked, include=include)
    return Response(found, media_type=streams.FORMS[0])


@routes.get(
    "/scores",
    response_model=ScorePage,
    responses={
        200: {
            "content": {form: {"schema": {"type": "string"}} for form in STREAMS},
            **headers(*OF_STREAMS),
        },
        **problems(NotFound, ExportsBusy),
    },
    **scope("scores:read"),
)
async def list_scores(
    request: Request,
    state: AppState,
    session: Read,
    deployment: Here,
    page: Page,
    filters: Filters,
    rfm_group: Annotated[Text | None, Query(description="such as `champions`")] = None,
    run_id: RunQuery = None,
    changed_since_run: SinceQuery = None,
) -> Any:
    """List everybody of the published run, also those who never purchased.

    By `customer_id` (default), `-probability` or `-value_to_save`; those without such a score come
    last. With `Accept: application/x-ndjson` or `text/csv` all are answered at once, by id, a line
    each, and headers say of which run; an answer that ends without a proper end was broken off,
    and is not the whole run. A text in CSV that a spreadsheet would take for a formula has an
    apostrophe in front; in the other forms it is as it was sent. Few such exports run at once.
    """
    form = streams.form_of(request.headers.get("accept"))
    asked = Asked({**filters, "rfm_group": rfm_group}, run_id, changed_since_run)
    if form == "application/json":
        found = await lists.search(session, deployment, page, asked)
        return Response(to_json(found), media_type=form)
    lines, of_run = await streams.open_lines(
        state.database, session, deployment, page, form, asked, request.query_params.keys()
    )
    name = streams.filename(form, of_run)
    return Export(lines, state.exports, media_type=form, headers=of_run, filename=name)


@routes.post("/scores/lookup", response_model=LookupAnswer, **scope("scores:read"))
async def score_customers(request: LookupRequest, session: Read, deployment: Here, now: Now) -> Any:
    """Score up to 1,000 customers live, each as `GET /v1/customers/{id}/scores` does."""
    found = await lookup.find(session, deployment, request, now)
    return Response(found, media_type=streams.FORMS[0])


@routes.post(
    "/score",
    response_model=ScoreAnswer,
    responses=problems(NotFound, NoModel),
    **scope("scores:read"),
)
async def score_histories(request: ScoreRequest, session: Read, deployment: Here, now: Now) -> Any:
    """Score up to 10,000 histories (x, t_x, T, mean value) without storing anything."""
    return await ad_hoc.score(session, deployment, request, now)
