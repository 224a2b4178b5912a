"""The commands that move files: `clm import`, `clm export`."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from app.config import Settings
from app.demo import show
from app.demo.errors import DemoError
from app.transfer import exporting, importing, services
from app.transfer.sending import Asked

Files = Annotated[list[Path], typer.Argument(help="files, plain or packed with gzip or zstd")]
Presets = Annotated[
    list[str] | None,
    typer.Option("--preset", help="a known layout; once for all files, or one for each"),
]
MappingName = Annotated[
    str | None, typer.Option("--mapping", help="a mapping of the service, or a .json file of one")
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", help="NAME=VALUE that a preset asks for; VALUE may be JSON"),
]
Url = Annotated[
    str | None,
    typer.Option("--url", help="address of the service, instead of CLM_URL; its key is CLM_KEY"),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port", help="where the service of the data folder listens, instead of CLM_PORT"
    ),
]


def add_to(commands: typer.Typer, settings: Callable[[], Settings]) -> None:
    """Add the commands to those of `clm`."""

    @commands.command(name="import")
    def run_import(
        files: Files,
        preset: Presets = None,
        mapping: MappingName = None,
        parameter: Parameters = None,
        time_zone: Annotated[
            str | None, typer.Option("--time-zone", help="of times without offset, and of days")
        ] = None,
        source: Annotated[str | None, typer.Option(help="the system that facts come from")] = None,
        rate: Annotated[
            list[str] | None,
            typer.Option("--rate", help="USD=0.92: of amounts that have no rate of their own"),
        ] = None,
        columns: Annotated[
            str | None, typer.Option(help="names of the columns of a file without header: a,b,c")
        ] = None,
        delimiter: Annotated[str | None, typer.Option(help="what parts fields of CSV")] = None,
        encoding: Annotated[str | None, typer.Option(help="encoding of the text")] = None,
        skip_lines: Annotated[
            int | None, typer.Option("--skip-lines", help="lines above the header, as of a title")
        ] = None,
        as_of: Annotated[
            str | None, typer.Option("--as-of", help="day of the scores: last, now or 2011-12-09")
        ] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="keep nothing")] = False,
        no_scores: Annotated[bool, typer.Option("--no-scores", help="only take in")] = False,
        yes: Annotated[bool, typer.Option("--yes", help="agree to what is proposed")] = False,
        url: Url = None,
        port: Port = None,
    ) -> None:
        """Take files in, and say whom to call.

        To the service of --url or CLM_URL, with the key of CLM_KEY; else to that of the data
        folder, which is run meanwhile if it does not run. A file without
        --preset and --mapping gets a proposal, which is used once it is agreed to.
        """
        with _told():
            said = {"columns": columns.split(",") if columns else None, "delimiter": delimiter,
                    "encoding": encoding, "skip_lines": skip_lines}  # fmt: skip
            one = Asked(
                mapping=mapping, parameters=dict(map(_parameter, parameter or ())),
                file={name: value for name, value in said.items() if value is not None},
                time_zone=time_zone, source=source,
                exchange_rates=dict(map(_field, rate or ())), dry_run=dry_run,
            )  # fmt: skip
            asked = _asked(files, preset, one)
            _check_day(as_of)
            console = show.console(sys.stdout)
            with services.opened(_at(settings(), url, port)) as client:
                whole = importing.run(
                    console, client, files, asked, as_of=as_of, score=not no_scores,
                    confirm=lambda question: yes or _agreed(question),
                )  # fmt: skip
        raise typer.Exit(0 if whole else 3)

    @commands.command(name="export")
    def run_export(
        what: Annotated[exporting.What, typer.Argument(help="what to write out")],
        out: Annotated[Path | None, typer.Option("--out", help="a file; else the screen")] = None,
        form: Annotated[exporting.Form, typer.Option("--format", help="csv or ndjson")] = "csv",
        import_id: Annotated[
            str | None, typer.Option("--import", help="of `rejected`: id of the import")
        ] = None,
        field: Annotated[
            list[str] | None,
            typer.Option("--field", help="of `zoho`: a field of theirs and ours, CLM_Stage=stage"),
        ] = None,
        url: Url = None,
        port: Port = None,
    ) -> None:
        """Write out all scores, customers or facts, or the refused rows of an import.

        `segments`: who is in which of them, a line for each membership.
        `zoho`: customers with their scores, as bodies for its upsert of contacts, one a line.
        """
        with _told(), services.opened(_at(settings(), url, port)) as client:
            fields = dict(map(_field, field or ()))
            exporting.run(client, what, form, out, import_id, fields)


def _at(settings: Settings, url: str | None, port: int | None) -> Settings:
    """Return the settings with the service that was named."""
    if url is not None and port is not None:
        raise DemoError("name one of --url and --port")
    if url is not None:
        if not url.startswith(("http://", "https://")):
            raise DemoError("--url is an address such as https://clm.example.com")
        return settings.model_copy(update={"url": url})
    return settings if port is None else settings.model_copy(update={"url": None, "port": port})


def _asked(files: list[Path], preset: list[str] | None, one: Asked) -> list[Asked]:
    """Return how each file is to be read."""
    for file in files:
        if not file.is_file():
            raise DemoError(f"{file} is no file")
    presets: list[str | None] = [*preset] if preset else [None]
    if len(presets) == 1:
        presets *= len(files)
    if len(presets) != len(files):
        raise DemoError("name one preset, or one for each file")
    return [replace(one, preset=each) for each in presets]


def _parameter(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise DemoError(f"--parameter {text}: write NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _field(text: str) -> tuple[str, str]:
    theirs, separator, ours = text.partition("=")
    if not separator:
        raise DemoError(f"{text}: write NAME=VALUE")
    return theirs, ours


def _check_day(as_of: str | None) -> None:
    if as_of not in (None, "last", "now"):
        try:
            date.fromisoformat(str(as_of))
        except ValueError:
            raise DemoError("--as-of is last, now, or a day such as 2011-12-09") from None


def _agreed(question: str) -> bool:
    return sys.stdin.isatty() and typer.confirm(question)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say in a line what has gone wrong."""
    try:
        yield
    except DemoError as error:
        typer.echo(f"clm: {error}", err=True)
        raise typer.Exit(1) from None
