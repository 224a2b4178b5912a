"""What operations need: liveness, readiness, metrics; and what this deployment is."""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.errors import DatabaseUnavailable, Draining, Unavailable
from app.http.deps import AppState, Now, Read
from app.routers.api import operation_id, router, scope
from app.schemas.common.types import Answer
from app.schemas.info import Info
from app.schemas.responses import problems
from app.services.system import health, info
from app.telemetry import metrics

routes = router("info")
bare_routes = APIRouter(tags=["health"], generate_unique_id_function=operation_id)
metrics_routes = APIRouter(tags=["health"], generate_unique_id_function=operation_id)
_OPEN: dict[str, Any] = {"openapi_extra": {"security": []}}
"""Nobody needs a key to watch over a process."""


class Health(Answer):
    """That it is well."""

    status: Literal["ok"] = Field("ok", description="always `ok`; a problem otherwise")


@routes.get("/info", response_model=Info, **scope("scores:read"))
async def get_info(session: Read, state: AppState) -> Any:
    """Return zone, currency, version, limits, and the active policy, model and run."""
    return await info.get(session, state.settings)


@bare_routes.get("/livez", response_model=Health, **_OPEN)
async def get_liveness() -> Any:
    """Answer while the process runs; asks nothing of the database."""
    return Health()


@bare_routes.get(
    "/readyz",
    response_model=Health,
    responses=problems(DatabaseUnavailable, Draining, Unavailable),
    **_OPEN,
)
async def get_readiness(state: AppState, request: Request) -> Any:
    """Answer ok when the database answers, its schema is the newest, and nothing is closing."""
    guard = getattr(request.app.state, "guard", None)  # there once the server has started
    if guard is not None and guard.draining:
        raise Draining
    await health.check(state.database)
    return Health()


@metrics_routes.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    **_OPEN,
)
async def get_metrics(state: AppState, now: Now) -> Response:
    """Return the metrics in the text format of Prometheus."""
    metrics.set_gauges(**await state.watch.figures(now))
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)


# FastAPI lets no GET answer HEAD by itself.
for _routes, _path, _endpoint in (
    (bare_routes, "/livez", get_liveness),
    (bare_routes, "/readyz", get_readiness),
    (metrics_routes, "/metrics", get_metrics),
):
    _routes.head(_path, include_in_schema=False)(_endpoint)
