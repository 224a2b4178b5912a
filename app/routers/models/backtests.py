"""Back-tests over HTTP."""

from typing import Annotated, Any

from fastapi import Path, Query, Response

from app.errors import NotFound, OperationRunning
from app.http.deps import Here, IdempotencyKey, Now, PageInOrder, Principal, Read, Write
from app.routers.api import accept, router, scope
from app.schemas.common.types import Text
from app.schemas.models.backtests import Backtest, BacktestPage, BacktestRequest
from app.schemas.operations import BacktestOperation
from app.schemas.responses import headers, problems
from app.services.models import backtests
from app.services.models.backtest_picture import Language

routes = router("models")
BacktestId = Annotated[
    Text, Path(description="id of the back-test", examples=["backtest_5f0c2a9d1b7e4c63"])
]
SVG = "image/svg+xml"


@routes.post(
    "/backtests",
    status_code=202,
    response_model=BacktestOperation,
    responses={202: headers("Location", "Retry-After"), **problems(OperationRunning)},
    **scope("models:write"),
)
async def start_backtest(
    request: BacktestRequest,
    session: Write,
    deployment: Here,
    now: Now,
    principal: Principal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Test churn risk on one's own past; the result of the operation has the `backtest_id`."""
    del idempotency_key
    operation = await backtests.submit(session, deployment, request, now=now, by=principal.key_id)
    return accept(response, operation)


@routes.get("/backtests", response_model=BacktestPage, **scope("scores:read"))
async def list_backtests(session: Read, page: PageInOrder) -> Any:
    """List back-tests, newest first."""
    return await backtests.search(session, page)


@routes.get(
    "/backtests/{backtest_id}",
    response_model=Backtest,
    responses=problems(NotFound),
    **scope("scores:read"),
)
async def get_backtest(backtest_id: BacktestId, session: Read, deployment: Here) -> Any:
    """Return calibration, figures beside baselines, what is behind them, totals, lift and bands."""
    return await backtests.describe(session, deployment, backtest_id)


@routes.get(
    "/backtests/{backtest_id}/picture.svg",
    response_class=Response,
    responses={
        200: {
            "content": {SVG: {"schema": {"type": "string"}}},
            "description": "the picture, with a title and a description for screen readers",
        },
        **problems(NotFound),
    },
    **scope("scores:read"),
)
async def get_backtest_picture(
    backtest_id: BacktestId,
    session: Read,
    language: Annotated[
        Language, Query(description="language of the words in the picture: English or Chinese")
    ] = "en",
) -> Response:
    """Return a picture: churn risk told and seen at the last cut, and purchases by window."""
    return Response(await backtests.picture(session, backtest_id, language), media_type=SVG)
