"""The command `clm`.

A command imports what it alone needs, so that the others start without waiting for it.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Annotated, NoReturn, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from app import embedded, logs, migrate
from app.config import VERSION, Settings, load_settings
from app.db import Database, ReadSession, WriteSession, create_engine, database_time
from app.services.access import keys as keys_service
from app.services.common.deployment_settings import SettingsMismatch
from app.sqlstates import DATABASE_ERRORS

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Customer lifecycle management.")
keys = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")
app.add_typer(keys, name="keys")

BACKLOG = 4096
"""Connections that may wait to be taken, as those of a single process."""
WORKER_CONNECTIONS = 3

Result = TypeVar("Result")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on")] = None,
    processes: Annotated[int | None, typer.Option(help="processes of the API")] = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="serve the API alone")] = False,
    listening: Annotated[
        int | None, typer.Option("--listening", hidden=True, help="descriptor of an open socket")
    ] = None,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="end when standard input does")
    ] = False,
) -> None:
    """Serve the API, with a worker, and the embedded database if no other is named."""
    from app import children
    from app import main as api

    settings = _settings(host=host, port=port, processes=processes)
    opened = None if listening is None else socket.socket(fileno=listening)
    # Once it has closed its door, uvicorn sends itself the signal again: it must unwind this
    # stack, which stops the worker and then the database, and not end the process at once.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if until_eof:
        threading.Thread(target=_end_at_eof, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        url = stack.enter_context(_database(settings, own=True))
        if opened is None:
            _warn_of_connections(settings, url, worker=not no_worker)
        if settings.processes > 1:
            opened = stack.enter_context(_listening(settings))
        if not no_worker:
            stack.enter_context(children.worker_beside(url))
        if settings.processes == 1 or opened is None:
            api.serve(settings, url, opened)
            return
        logs.configure(settings.log_level)
        stop_seconds = settings.drain_seconds + api.SHUTDOWN_SECONDS + children.STOP_SECONDS
        stack.enter_context(children.apis(url, opened, settings.processes, stop_seconds))
        threading.Event().wait()


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Yield a socket that takes connections for several processes."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        opened = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG
        )
    except OSError as error:
        _fail(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}")
    with opened:
        yield opened


def _warn_of_connections(settings: Settings, url: str, *, worker: bool) -> None:
    """Say so if all processes together may ask for more connections than the database has."""
    wanted = settings.processes * settings.pool_size + (WORKER_CONNECTIONS if worker else 0)
    allowed = _with_engine(url, lambda database: database.most_connections())
    if wanted > allowed:
        typer.echo(
            f"clm: CLM_PROCESSES={settings.processes} with CLM_POOL_SIZE={settings.pool_size}"
            f"{' and a worker' if worker else ''} may take {wanted} connections, the database"
            f" allows {allowed}: lower them, or raise max_connections",
            err=True,
        )


def _end_at_eof() -> None:
    """Wait for the end of standard input, then end the process as a signal would."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    _end()


def _end() -> None:
    """End the process as a signal would."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


@app.command(name="worker")
def run_worker(
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="end when standard input does")
    ] = False,
) -> None:
    """Work off operations: model fits and scoring runs."""
    from app import worker

    settings = _settings()
    with _database(settings) as url:
        worker.work(settings, url, until_eof=until_eof)


@app.command(name="migrate")
def run_migrate() -> None:
    """Bring the database to the newest schema."""
    settings = _settings()
    with _database(settings, migrated=False) as url:
        _with_engine(url, lambda database: migrate.migrate(database.engine, settings))
    typer.echo("the schema is the newest")


@app.command(name="demo")
def run_demo(
    once: Annotated[bool, typer.Option("--once", help="exit after printing")] = False,
    no_shift: Annotated[
        bool, typer.Option("--no-shift", help="keep the dates of 1997 instead of ending yesterday")
    ] = False,
    proof: Annotated[
        bool, typer.Option("--proof", help="show the RFM grid and the truth panel as well")
    ] = False,
) -> None:
    """See the service do its job on real purchase data, on a database of its own."""
    from app import demo

    try:
        demo.run(_settings(), once=once, shift=not no_shift, proof=proof)
    except demo.DemoError as error:
        _fail(str(error))


@keys.command(name="create")
def create_key(
    name: Annotated[str, typer.Option(help="who will use it")],
    scopes: Annotated[str, typer.Option(help=f"comma-separated: {', '.join(keys_service.SCOPES)}")],
    expires_in_days: Annotated[int | None, typer.Option(min=1, max=3650)] = None,
) -> None:
    """Make a key and print it, this once."""

    async def create(session: WriteSession) -> str:
        now = await database_time(session)
        expires_at = None if expires_in_days is None else now + timedelta(days=expires_in_days)
        wanted = [scope.strip() for scope in scopes.split(",")]
        return await keys_service.create(session, name, wanted, now=now, expires_at=expires_at)

    typer.echo(_in_transaction(create))


@keys.command(name="list")
def list_keys() -> None:
    """List the keys; secrets are not kept and cannot be shown."""
    table = Table("id", "name", "scopes", "created", "expires", "revoked")
    for row in _in_transaction(keys_service.listed):
        dates = (row.created_at, row.expires_at, row.revoked_at)
        shown = [f"{at:%Y-%m-%d %H:%M}" if at else "" for at in dates]
        table.add_row(row.key_id, row.name, ", ".join(row.scopes), *shown)
    Console().print(table)


@keys.command(name="revoke")
def revoke_key(key_id: str) -> None:
    """Revoke a key; it stops working within ten seconds."""

    async def revoke(session: WriteSession) -> bool:
        return await keys_service.revoke(session, key_id, await database_time(session))

    if not _in_transaction(revoke):
        _fail(f"there is no valid key {key_id!r}")
    typer.echo(f"revoked {key_id}")


def _settings(**given: str | int | None) -> Settings:
    settings = load_settings()
    return settings.model_copy(update={k: v for k, v in given.items() if v is not None})


@contextlib.contextmanager
def _database(settings: Settings, *, own: bool = False, migrated: bool = True) -> Iterator[str]:
    """Yield the URL of a database fit for use: the named one, or the embedded one.

    The embedded one is migrated at start, and started again if it dies; if it cannot be, the
    process ends and says so. A server of this folder that runs already is used, save by `serve`,
    which must own it.
    """
    if settings.database_url is not None:
        if migrated:
            _with_engine(settings.database_url, lambda db: migrate.verify(db.engine, settings))
        yield settings.database_url
        return
    if not settings.embedded:
        _fail("CLM_DATABASE_URL is not set, and the embedded database is not offered here")
    running = None if own else embedded.running(settings.data_dir)
    if running is not None:
        _with_engine(running, lambda db: migrate.verify(db.engine, settings))
        yield running
        return
    with embedded.EmbeddedPostgres.start(settings.data_dir) as server:
        _with_engine(server.url, lambda db: migrate.migrate(db.engine, settings))
        server.keep(_end)
        try:
            yield server.url
        finally:
            if server.failure is not None:
                raise server.failure


def _with_engine(url: str, use: Callable[[Database], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        database = Database.on(create_engine(url, pool_size=2))
        try:
            return await use(database)
        finally:
            await database.close()

    return asyncio.run(run())


def _in_transaction(use: Callable[[WriteSession], Awaitable[Result]]) -> Result:
    async def run(database: Database) -> Result:
        async with database.writes() as session, session.begin():
            return await use(WriteSession(ReadSession(session)))

    with _database(_settings()) as url:
        return _with_engine(url, run)


def _fail(message: str) -> NoReturn:
    typer.echo(f"clm: {message}", err=True)
    raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(VERSION)


def main() -> None:
    """Run the command; what the user can mend is said in a line, not in a traceback."""
    try:
        app()
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            name = "_".join(str(part) for part in fault["loc"]).upper()
            typer.echo(f"clm: CLM_{name}: {fault['msg']}", err=True)
        sys.exit(2)
    except (
        embedded.EmbeddedPostgresError,
        migrate.SchemaOutdated,
        SettingsMismatch,
        ValueError,
    ) as error:
        typer.echo(f"clm: {error}", err=True)
        sys.exit(2)
    except DATABASE_ERRORS as error:
        typer.echo(f"clm: cannot use the database: {error}", err=True)
        sys.exit(2)
