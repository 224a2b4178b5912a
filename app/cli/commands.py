"""The command `clm`.

A command imports what it alone needs, so that the others start without waiting for it.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, NoReturn, TypeVar

import typer
from pydantic import ValidationError

from app import migrate
from app.cli import keys_cli, operating_cli
from app.config import VERSION, Settings, load_settings
from app.errors import AppError
from app.postgres import embedded, roles
from app.postgres.db import Database, ReadSession, WriteSession, create_engine
from app.postgres.limits import SHUTDOWN_SECONDS
from app.postgres.sqlstates import DATABASE_ERRORS
from app.services.common.deployment_settings import SettingsMismatch
from app.telemetry import logs

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Customer lifecycle management.")
app.add_typer(keys_cli.app, name="keys")

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
        list[int] | None,
        typer.Option("--listening", hidden=True, help="descriptors of open sockets"),
    ] = None,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="end when standard input does")
    ] = False,
) -> None:
    """Serve the API, with a worker, and the embedded database if no other is named."""
    settings = _settings(host=host, port=port, processes=processes)
    with _kept():
        from app import children

        if settings.processes == 1:  # else each of them imports it
            from app import main as api

    opened = [socket.socket(fileno=each) for each in listening or ()]
    # Once it has closed its door, uvicorn sends itself the signal again: it must unwind this
    # stack, which stops the worker and then the database, and not end the process at once.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if until_eof:
        threading.Thread(target=_end_at_eof, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        url, settings = stack.enter_context(_database(settings, own=True))
        if not opened:
            _warn_of_connections(settings, url, worker=not no_worker)
            if settings.processes > 1 or settings.admin_port is not None:
                opened = list(_listening(settings, stack))
        if not no_worker:
            stack.enter_context(children.worker_beside(url))
        if settings.processes == 1:
            api.serve(settings, url, opened or None)
            return
        logs.configure(settings.log_level)
        stop_seconds = settings.drain_seconds + SHUTDOWN_SECONDS + children.STOP_SECONDS
        stack.enter_context(children.apis(url, opened, settings.processes, stop_seconds))
        threading.Event().wait()


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """Look for no garbage while what stays is imported: that takes a sixth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _listening(settings: Settings, stack: contextlib.ExitStack) -> Iterator[socket.socket]:
    """Yield a socket for each port, which several processes can take connections from."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    for port in (settings.port, settings.admin_port):
        if port is None:
            continue
        try:
            yield stack.enter_context(
                socket.create_server((settings.host, port), family=family, backlog=BACKLOG)
            )
        except OSError as error:
            _fail(f"cannot listen on {settings.host} port {port}: {error.strerror}")


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
    settings = _settings()
    with _kept():
        from app import worker

    with _database(settings) as (url, settings):
        worker.work(settings, url, until_eof=until_eof)


@app.command(name="migrate")
def run_migrate() -> None:
    """Bring the database to the newest schema, and let the application's role work on it."""
    settings = _settings()
    with _database(settings, migrated=False) as (url, _):
        done = _with_engine(url, lambda database: migrate.migrate(database.engine, settings))
    typer.echo(done)


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


@keys_cli.app.callback()
def _of_keys(context: typer.Context) -> None:
    context.obj = _in_transaction


def _settings(**given: str | int | None) -> Settings:
    settings = load_settings()
    return settings.model_copy(update={k: v for k, v in given.items() if v is not None})


@contextlib.contextmanager
def _database(
    settings: Settings, *, own: bool = False, migrated: bool = True
) -> Iterator[tuple[str, Settings]]:
    """Yield a database fit for use, the named or the embedded one, and the settings it settles.

    The embedded one is migrated at start, and started again if it dies; if it cannot be, the
    process ends and says so. A server of this folder that runs already is used, save by `serve`,
    which must own it.
    """
    if settings.database_url is not None:
        url = settings.database_url
        if migrated:
            settings = _with_engine(url, lambda db: migrate.verify(db.engine, settings))
        yield url, settings
        return
    if not settings.embedded:
        _fail("CLM_DATABASE_URL is not set, and the embedded database is not offered here")
    running = None if own else embedded.running(settings.data_dir)
    if running is not None:
        yield running, _with_engine(running, lambda db: migrate.verify(db.engine, settings))
        return
    with embedded.EmbeddedPostgres.start(settings.data_dir) as server:
        _with_engine(server.url, lambda db: migrate.migrate(db.engine, settings))
        settings = _with_engine(server.url, lambda db: migrate.verify(db.engine, settings))
        server.keep(_end)
        try:
            yield server.url, settings
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

    with _database(_settings()) as (url, _):
        return _with_engine(url, run)


def _fail(message: str) -> NoReturn:
    typer.echo(f"clm: {message}", err=True)
    raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(VERSION)


operating_cli.add_to(app, _settings, _database)


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
        roles.RoleRefused,
        SettingsMismatch,
        ValueError,
    ) as error:
        typer.echo(f"clm: {error}", err=True)
        sys.exit(2)
    except AppError as error:
        said = [f"{fault.pointer}: {fault.detail}" for fault in error.errors]
        typer.echo(f"clm: {'; '.join(said) or error.detail}", err=True)
        sys.exit(1)
    except DATABASE_ERRORS as error:
        typer.echo(f"clm: cannot use the database: {error}", err=True)
        sys.exit(2)
