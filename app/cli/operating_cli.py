"""The commands of those who operate the service: `clm doctor`, `clm backup`, `clm restore`."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from app.cli import backup, doctor
from app.cli.backup import Manifest
from app.cli.checks import Finding
from app.config import Settings
from app.migrate import migrate
from app.postgres.db import create_engine
from app.postgres.pg_programs import BackupError

Result = TypeVar("Result")
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


class Opened(Protocol):
    """Yields the URL of a database, migrated if asked, and the settings as it has them."""

    def __call__(
        self, settings: Settings, *, migrated: bool = True
    ) -> AbstractContextManager[tuple[str, Settings]]: ...


def add_to(commands: typer.Typer, settings: Callable[[], Settings], opened: Opened) -> None:
    """Add the commands to those of `clm`."""

    @commands.command(name="doctor")
    def run_doctor(
        as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    ) -> None:
        """Look over settings, database, keys and work; exit with 1 if something has failed."""
        found = doctor.examine(settings)
        if as_json:
            typer.echo(json.dumps([finding.document() for finding in found], indent=2))
        else:
            _show(found)
        raise typer.Exit(any(finding.status == "fail" for finding in found))

    @commands.command(name="backup")
    def run_backup(file: Annotated[Path, typer.Argument(help="the file to write")]) -> None:
        """Write the whole database, which stays in service, and a digest of each table."""
        _tried(lambda: backup.require_new(file))
        with opened(settings()) as (url, _):
            made = _tried(lambda: asyncio.run(backup.back_up(url, file)))
        typer.echo(f"backed up {_told(made)} into {file}")

    @commands.command(name="restore")
    def run_restore(file: Annotated[Path, typer.Argument(help="a backup")]) -> None:
        """Restore a backup into a database without facts, see that it is whole, and migrate it."""
        here = settings()
        with opened(here, migrated=False) as (url, _):
            made = _tried(lambda: asyncio.run(backup.restore(url, file)))
            typer.echo(f"restored {_told(made)} as of {made.made_at}; every digest is the same")
            typer.echo(asyncio.run(_migrated(url, here)))


async def _migrated(url: str, settings: Settings) -> str:
    engine = create_engine(url, pool_size=2)
    try:
        return await migrate(engine, settings)
    finally:
        await engine.dispose()


def _tried(work: Callable[[], Result]) -> Result:
    try:
        return work()
    except BackupError as error:
        typer.echo(f"clm: {error}", err=True)
        raise typer.Exit(1) from None


def _told(made: Manifest) -> str:
    rows = sum(digest.rows for digest in made.tables.values())
    return f"{rows:,} rows of {len(made.tables)} tables"


def _show(found: list[Finding]) -> None:
    table = Table("", "what", "found", "what to do", box=None, pad_edge=False)
    for finding in found:
        colour = _COLOURS[finding.status]
        status = f"[{colour}]{finding.status}[/{colour}]"
        table.add_row(status, finding.check, finding.detail, finding.advice or "")
    Console().print(table)
