"""`clm doctor`: looks over settings, disk and database, each with what to do about it.

It changes nothing, and goes on where something fails, so that one look shows all there is.
"""

import asyncio
import shutil
from collections.abc import Callable

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli import checks
from app.cli.checks import Check, Finding
from app.config import VERSION, Settings
from app.postgres import embedded
from app.postgres.db import create_engine

_WAIT_SECONDS = 10
_FREE_WARN, _FREE_FAIL = 0.15, 0.05


def examine(read: Callable[[], Settings]) -> list[Finding]:
    """Return what was found, the settings first."""
    correct = "correct the environment"
    try:
        settings = read()
    except ValidationError as error:
        return [Finding("settings", "fail", _faults(error), correct)]
    except ValueError as error:
        return [Finding("settings", "fail", str(error), correct)]
    told = f"CLM {VERSION}, {settings.time_zone}, {settings.currency}"
    found = [Finding("settings", "ok", told)]
    url = settings.database_url
    if url is None:
        found += _disk(settings)
        try:
            url = embedded.running(settings.data_dir)
        except embedded.EmbeddedPostgresError as error:
            return [*found, Finding("database", "fail", str(error))]
    if url is None:
        told = f"no embedded database runs in {settings.data_dir}"
        advice = "start `clm serve`, or set CLM_DATABASE_URL"
        return [*found, Finding("database", "fail", told, advice)]
    return found + asyncio.run(_of_database(url, settings))


def _faults(error: ValidationError) -> str:
    return "; ".join(
        f"CLM_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}"
        for fault in error.errors(include_url=False)
    )


def _disk(settings: Settings) -> list[Finding]:
    """Say what is free where the embedded database is."""
    try:
        usage = shutil.disk_usage(settings.data_dir)
    except OSError:
        return []  # there is none yet
    free = usage.free / usage.total
    told = f"{free:.0%} of {usage.total / 1e9:.0f} GB free in {settings.data_dir}"
    status = "fail" if free < _FREE_FAIL else "warn" if free < _FREE_WARN else "ok"
    advice = None if status == "ok" else "make room: a full disk stops every write"
    return [Finding("disk", status, told, advice)]  # type: ignore[arg-type]


async def _of_database(url: str, settings: Settings) -> list[Finding]:
    named = {"application_name": "clm-doctor"}
    engine = create_engine(url, pool_size=2, server_settings=named)
    found: list[Finding] = []
    try:
        for check in (*checks.OF_SERVER, *checks.OF_SERVICE):
            said = await _tried(check, engine, settings)
            found += said
            if any(each.check in ("database", "schema") and each.status == "fail" for each in said):
                break  # nothing more can be asked of it
    finally:
        await engine.dispose()
    return found


async def _tried(check: Check, engine: AsyncEngine, settings: Settings) -> list[Finding]:
    """Return what a check finds; one that cannot end is a finding itself."""
    try:
        async with asyncio.timeout(_WAIT_SECONDS), engine.connect() as connection:
            return [finding async for finding in check(connection, settings)]
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        reason = getattr(error, "orig", None) or error
        told = f"cannot be asked: {str(reason) or type(reason).__name__}"
        advice = "see CLM_DATABASE_URL, the network, and the log of the server"
        return [Finding("database", "fail", told, advice)]
