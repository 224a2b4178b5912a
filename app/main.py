"""The API: wiring only."""

import asyncio
import gc
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_swagger import patch_fastapi
from sqlalchemy.pool import QueuePool

from app import dispatch, handlers, logs, metrics, schema, tracing
from app.config import VERSION, Settings
from app.db import Database
from app.dispatch import Dispatch
from app.guard import Guard
from app.openapi import ABOUT, describe
from app.routers import (
    customers,
    interaction_kinds,
    operations,
    policies,
    rebuilds,
    stages,
    system,
)
from app.routers.ingest import churn_records, interactions, timeline, transactions
from app.routers.models import backtests, models
from app.routers.runs import reports, runs
from app.routers.scores import diffs, scores
from app.state import State

SHUTDOWN_SECONDS = 25
SWITCH_SECONDS = 0.001
"""How long a thread that reads a large body keeps the event loop waiting for the interpreter."""

COLLECTED_AFTER = 10_000, 20, 50
"""How many new objects, and younger collections, have the collector look at each generation.

By default it looks at all that the requests under way hold, some hundred thousand objects of a
large body, again and again, and nothing else runs meanwhile.
"""


def create_app(settings: Settings, database: Database) -> FastAPI:
    """Return the API on a database whose schema is the newest."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.clm = await State.begin(settings, database)
        telling = asyncio.create_task(_tell_pool(database)) if metrics.shared() else None
        yield
        if telling is not None:
            telling.cancel()
        await database.close()

    app = FastAPI(
        **ABOUT,
        version=VERSION,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,  # each thing has one path
        strict_content_type=False,  # without a content type, a body counts as JSON
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    for module in (
        customers,
        transactions,
        interactions,
        interaction_kinds,
        churn_records,
        timeline,
        stages,
        policies,
        models,
        backtests,
        runs,
        scores,
        diffs,
        reports,
        rebuilds,
        operations,
    ):
        app.include_router(module.routes)
    app.include_router(system.routes)
    app.include_router(system.bare_routes)
    patch_fastapi(app, title="CLM")
    handlers.install(app)
    app.add_middleware(Dispatch, found=dispatch.operations(app))
    app.add_middleware(Guard, settings=settings)
    describe(app)
    metrics.set_build(VERSION, schema.head())
    return app


async def _tell_pool(database: Database) -> None:
    """Keep saying what the pool holds, as another process may be the one that is asked."""
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    while True:
        metrics.set_pool(pool.size(), pool.checkedout())
        await asyncio.sleep(1)


def _operation_id(route: APIRoute) -> str:
    return route.name


class Server(uvicorn.Server):
    """A server that says it is not ready for a while before it closes its door."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                backlog=4096,
            )
        )
        self._api = app
        self._drain_seconds = settings.drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        guard = getattr(self._api.state, "guard", None)
        if guard is None or guard.draining or not self._drain_seconds or sig == signal.SIGINT:
            super().handle_exit(sig, frame)
            return
        guard.draining = True
        asyncio.get_running_loop().call_later(self._drain_seconds, super().handle_exit, sig, frame)


def serve(settings: Settings, url: str, listening: socket.socket | None = None) -> None:
    """Serve the API until a signal ends it, on a socket that is open already if one is given."""
    logs.configure(settings.log_level)
    tracing.configure("clm-api", VERSION)
    app = create_app(settings, Database.connect(settings, url))
    # What lives as long as the process need not be looked at by each collection amid a request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)
    sys.setswitchinterval(SWITCH_SECONDS)
    # A second of work, which whoever asked for it first would hold everybody up with.
    threading.Thread(target=app.openapi, daemon=True).start()
    Server(app, settings).run(None if listening is None else [listening])
