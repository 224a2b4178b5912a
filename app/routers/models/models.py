"""Models over HTTP."""

from typing import Annotated, Any

from fastapi import Path, Response

from app.errors import Conflict, NotFound, OperationRunning
from app.http.deps import Here, IdempotencyKey, Now, PageInOrder, Principal, Read, Write
from app.routers.api import accept, router, scope
from app.schemas.common.types import Text
from app.schemas.models.models import Model, ModelPage, ModelRequest
from app.schemas.operations import ModelFitOperation
from app.schemas.responses import headers, problems
from app.services.models import model_store

routes = router("models")
ModelId = Annotated[Text, Path(description="id of the model", examples=["model_5f0c2a9d1b7e4c63"])]


@routes.post(
    "/models",
    status_code=202,
    response_model=ModelFitOperation,
    responses={202: headers("Location", "Retry-After"), **problems(OperationRunning)},
    **scope("models:write"),
)
async def fit_model(
    request: ModelRequest,
    session: Write,
    deployment: Here,
    now: Now,
    principal: Principal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Fit a model to the facts up to `as_of`; follow the operation in `Location`."""
    del idempotency_key
    operation = await model_store.submit(session, deployment, request, now=now, by=principal.key_id)
    return accept(response, operation)


@routes.get("/models", response_model=ModelPage, **scope("scores:read"))
async def list_models(session: Read, deployment: Here, page: PageInOrder) -> Any:
    """List fitted models, newest first."""
    return await model_store.search(session, deployment, page)


@routes.get(
    "/models/{model_id}", response_model=Model, responses=problems(NotFound), **scope("scores:read")
)
async def get_model(model_id: ModelId, session: Read, deployment: Here) -> Any:
    """Return parameters, likelihood, cuts and status of a model."""
    return await model_store.describe(session, deployment, model_id)


@routes.post(
    "/models/{model_id}/activate",
    response_model=Model,
    responses=problems(NotFound, Conflict),
    **scope("models:write"),
)
async def activate_model(
    model_id: ModelId,
    session: Write,
    deployment: Here,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Score with this model from now on; the one in force until now is retired."""
    del idempotency_key
    return await model_store.choose(session, deployment, model_id, now)
