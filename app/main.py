"""The API: wiring only."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI
from sqlalchemy.pool import QueuePool

from app.config import VERSION, Settings
from app.edge import handlers
from app.edge.admin_port import AdminPort
from app.edge.cors import Cors
from app.edge.door import Door
from app.edge.guard import Guard
from app.edge.protocol import Connection, connections_of
from app.edge.shedding import Shedding
from app.errors import AppError
from app.http import deps, dispatch
from app.http.dispatch import Dispatch
from app.http.openapi import ABOUT, describe
from app.http.state import State
from app.postgres import schema
from app.postgres.db import Database
from app.postgres.limits import SHUTDOWN_SECONDS
from app.routers import (
    audit,
    customers,
    docs,
    interaction_kinds,
    keys,
    operations,
    policies,
    rebuilds,
    stages,
    system,
)
from app.routers.ingest import (
    churn_records,
    exports,
    imports,
    interactions,
    mappings,
    sources,
    timeline,
    transactions,
)
from app.routers.models import backtests, models
from app.routers.runs import customer_files, queries, reports, runs, segments, worklist
from app.routers.scores import diffs, scores
from app.telemetry import logs, metrics, tracing

SLOW_READERS_SECONDS = 10
"""How long a server that ends waits for callers who do not keep up with what it sends."""
STARTUP_FAILURE = 3
"""The status of a process that could not begin to serve; why is in its log."""
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
        beside = [asyncio.create_task(app.state.clm.tell_usage())]
        if metrics.shared():
            beside.append(asyncio.create_task(_tell_pool(database)))
        yield
        for task in beside:
            task.cancel()
        await app.state.clm.write_usage()
        await database.close()

    app = FastAPI(
        **ABOUT,
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,  # each thing has one path
        openapi_url=None,  # app/routers/docs.py
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    # As they are: what FastAPI includes it works out again, which takes longer than all else here.
    for module in (
        customers,
        transactions,
        interactions,
        interaction_kinds,
        churn_records,
        timeline,
        imports,
        mappings,
        sources,
        exports,
        stages,
        policies,
        models,
        backtests,
        runs,
        scores,
        diffs,
        queries,
        segments,
        reports,
        worklist,
        customer_files,
        rebuilds,
        operations,
        keys,
        audit,
        system,
    ):
        app.routes.extend(module.routes.routes)
    app.include_router(system.bare_routes)  # FastAPI runs these, for this app
    if settings.metrics:
        app.include_router(system.metrics_routes)
    if settings.docs:
        app.routes.extend(docs.routes.routes)
    handlers.install(app)
    app.add_middleware(Dispatch, found=dispatch.operations(app))
    if settings.admin_port is not None:
        paths = "/metrics", *docs.PATHS
        app.add_middleware(AdminPort, port=settings.admin_port, paths=paths)
    app.add_middleware(Guard, settings=settings, recognise=deps.recognise)
    if settings.cors_origins:
        app.add_middleware(Cors, origins=settings.cors_origins)
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


class Server(uvicorn.Server):
    """A server that says it is not ready for a while before it closes its door."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=connections_of(
                    Door(settings, self._refusal, self._shed), settings.write_seconds
                ),
                ws="none",
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
        self._shedding: Shedding | None = None
        self._drain_seconds = settings.drain_seconds

    def _refusal(self, method: str, path: str, authorization: str | None) -> AppError | None:
        guard: Guard = self._api.state.guard
        return guard.refusal(self._api.state.clm.recognition, method, path, authorization)

    def _shed(self, data: bytes, fields: list[tuple[bytes, bytes]]) -> bytes | None:
        if self._shedding is None:
            guard: Guard = self._api.state.guard
            self._shedding = Shedding(guard.admission, lambda: self._api.state.clm.recognition)
        return self._shedding.answer(data, fields) if self._shedding.active else None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        guard = getattr(self._api.state, "guard", None)
        if guard is None or guard.draining or not self._drain_seconds or sig == signal.SIGINT:
            super().handle_exit(sig, frame)
            return
        guard.draining = True
        asyncio.get_running_loop().call_later(self._drain_seconds, super().handle_exit, sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is under way, but for answers that their readers do not take."""
        asyncio.get_running_loop().call_later(SLOW_READERS_SECONDS, self._cut_off)
        await super().shutdown(sockets)

    def _cut_off(self) -> None:
        for each in list(self.server_state.connections):
            if isinstance(each, Connection) and each.lags:
                each.cut_off()


def serve(settings: Settings, url: str, listening: list[socket.socket] | None = None) -> None:
    """Serve the API until a signal ends it, on sockets that are open already if some are given."""
    logs.configure(settings.log_level)
    tracing.configure("clm-api", VERSION)
    app = create_app(settings, Database.connect(settings, url))
    # What lives as long as the process need not be looked at by each collection amid a request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)
    sys.setswitchinterval(SWITCH_SECONDS)
    server = Server(app, settings)
    server.run(listening)
    if not server.started:
        sys.exit(STARTUP_FAILURE)
