"""Scoring runs over HTTP."""

from typing import Any

from fastapi import Response

from app.errors import NotFound, OperationRunning
from app.http.deps import Here, IdempotencyKey, Now, Principal, Write
from app.routers.api import accept, router, scope
from app.schemas.models.models import RunRequest
from app.schemas.operations import ScoringRunOperation
from app.schemas.responses import headers, problems
from app.services.runs import runs

routes = router("scores")


@routes.post(
    "/scoring-runs",
    status_code=202,
    response_model=ScoringRunOperation,
    responses={202: headers("Location", "Retry-After"), **problems(NotFound, OperationRunning)},
    **scope("models:write"),
)
async def start_scoring_run(
    request: RunRequest,
    session: Write,
    deployment: Here,
    now: Now,
    principal: Principal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Score everybody, and record the transitions of time. Fits a model if there is none."""
    del idempotency_key
    operation = await runs.submit(session, deployment, request, now=now, by=principal.key_id)
    return accept(response, operation)
