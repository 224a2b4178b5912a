"""All scores of a run in one answer, as lines that the database itself writes.

The rows of a run never change, and one COPY sees one snapshot: what is sent is the whole run, even
if it is dropped meanwhile. An answer that breaks off was not whole: the connection closes early.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.days import from_day
from app.deployment import Deployment
from app.errors import FieldError, NotFound, ValidationFailed
from app.postgres.db import Database, ReadSession, limit
from app.postgres.limits import EXPORT
from app.postgres.sqlstates import is_missing_table
from app.schemas.common.types import format_instant
from app.services.common.paging import PageRequest
from app.services.scores import kept_runs, lists
from app.services.scores.kept_runs import KeptRun
from app.services.scores.lists import AMOUNTS, OF_RHYTHM, PLAIN
from app.services.scores.run_selects import Asked, RunSelect

Form = Literal["application/json", "application/x-ndjson", "text/csv"]
FORMS: tuple[Form, ...] = ("application/json", "application/x-ndjson", "text/csv")
OF_PAGES = ("limit", "cursor", "sort")
_WAITING = 4
"""Pieces that wait for a slow reader; then the database waits."""
# In JSON no control character stands as it is, so that nothing is quoted.
_LINES = {"format": "csv", "delimiter": "\x02", "quote": "\x01"}
CSV_COLUMNS = (*PLAIN, *OF_RHYTHM, "days_silent", *AMOUNTS, "currency", "horizon_days")
OF_EARLIER = ("previous_probability", "previous_rhythm")
_ENDINGS: Mapping[Form, str] = {"application/x-ndjson": "ndjson", "text/csv": "csv"}
_OF_CALLERS = "customer_id", "stage"
"""Texts that are not codes of ours."""
_FORMULA = r"('=', '+', '-', '@', E'\t', E'\r', E'\n', '＝', '＋', '－', '＠')"
_NUMBER = r"'^[+-]?[0-9]+([.][0-9]+)?$'"


def form_of(accept: str | None) -> Form:
    """Return the form that a caller prefers; JSON where there is no telling."""
    best: tuple[float, Form] = (0.0, "application/json")
    for each in (accept or "").lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                with contextlib.suppress(ValueError):
                    weight = float(parameter[2:])
        for form in FORMS:
            if name == form and weight > best[0]:
                best = weight, form
    return best[1]


def check(given: Collection[str]) -> None:
    """Refuse parameters that belong to pages."""
    faults = [
        FieldError(f"query:{name}", "not_with_stream", "is for pages: ask for application/json")
        for name in OF_PAGES
        if name in given
    ]
    if faults:
        raise ValidationFailed(errors=faults)


async def open_lines(
    database: Database,
    session: ReadSession,
    deployment: Deployment,
    page: PageRequest,
    form: Form,
    asked: Asked,
    given: Collection[str],
) -> tuple[AsyncGenerator[bytes], dict[str, str]]:
    """Return the lines of a run, and the headers; no line is read before the first is asked for.

    `given` are the names of the parameters that the caller gave.
    """
    check(given)
    kept_runs.forget(session)
    run = await lists.run_of(session, deployment, page, asked)
    if run is None:
        return _nobody(form), {}
    chosen = RunSelect(run.run_id, asked)
    columns = (_csv if form == "text/csv" else _json)(deployment, run, chosen)
    query = chosen.rows(columns, " ORDER BY s.customer_id")
    return _lines(database, form, query, chosen.arguments), _headers(run.head)


def filename(form: Form, of_run: Mapping[str, str]) -> str:
    """Return what the lines of a run are saved as, by its headers."""
    run_id = of_run.get("CLM-Run-Id")
    return f"scores{'' if run_id is None else f'-run-{run_id}'}.{_ENDINGS[form]}"


async def _nobody(form: Form) -> AsyncGenerator[bytes]:
    """Yield what there is before the first run: the names of the columns, if there are such."""
    if form == "text/csv":
        yield f"{','.join(CSV_COLUMNS)}\r\n".encode()


def _headers(head: Mapping[str, Any]) -> dict[str, str]:
    """Return what a page says of its run as a whole."""
    risk, clv = head["churn_risk"], head["clv"]
    return {
        "CLM-As-Of": format_instant(head["as_of"]),
        "CLM-Run-Id": str(head["run_id"]),
        "CLM-Model-Id": head["model_id"],
        "CLM-Stage-Policy-Version": str(head["stage_policy_version"]),
        "CLM-Churn-Risk-Status": risk["status"],
        "CLM-Churn-Risk-Extrapolated": str(risk["extrapolated"]).lower(),
        "CLM-Clv-Horizon-Days": str(clv["horizon_days"]),
        "CLM-Clv-Annual-Discount": str(clv["annual_discount"]),
        "CLM-Clv-Basis": clv["basis"],
        "CLM-Clv-Caveats": ", ".join(clv["caveats"]),
    }


def _csv(deployment: Deployment, run: KeptRun, chosen: RunSelect) -> list[str]:
    told = {
        **{name: _no_formula(f"s.{name}") for name in _OF_CALLERS},
        "run_id": f"{run.run_id}::bigint",
        "call_reasons": "array_to_string(s.call_reasons, ' ')",
        "days_silent": _silent(run, chosen),
        **{name: _amount(name) for name in AMOUNTS},
        "currency": f"{chosen.bind(deployment.currency)}::text",
        "horizon_days": f"{chosen.bind(run.horizon_days)}::integer",
        "previous_probability": "p.probability",
        "previous_rhythm": "p.rhythm",
    }
    names = CSV_COLUMNS if chosen.asked.since is None else (*CSV_COLUMNS, *OF_EARLIER)
    return [f"{told.get(name, f's.{name}')} AS {name}" for name in names]


def _no_formula(value: str) -> str:
    """Have spreadsheets show a text rather than reckon it; numbers stay as they are."""
    return (
        f"CASE WHEN left({value}, 1) IN {_FORMULA} AND {value} !~ {_NUMBER} THEN chr(39) || {value}"
        f" ELSE {value} END"
    )


def _json(deployment: Deployment, run: KeptRun, chosen: RunSelect) -> list[str]:
    currency = f"{chosen.bind(deployment.currency)}::text"
    told = {name: f"s.{name}" for name in PLAIN if name != "run_id"}
    told["run_id"] = f"{run.run_id}::bigint"
    told["rhythm"] = (
        "CASE WHEN s.rhythm IS NOT NULL THEN json_build_object('status', s.rhythm,"
        " 'usual_gap_days', s.usual_gap_days, 'days_silent',"
        f" {_silent(run, chosen)}, 'chance_if_active', s.chance_if_active) END"
    )
    for name in AMOUNTS:
        money = f"json_build_object('amount', {_amount(name)}, 'currency', {currency})"
        told[name] = f"CASE WHEN s.{name} IS NOT NULL THEN {money} END"
    told["horizon_days"] = f"{chosen.bind(run.horizon_days)}::integer"
    told["previous"] = "NULL"
    if chosen.asked.since is not None:
        told["previous"] = (
            "CASE WHEN p.customer_id IS NOT NULL THEN json_build_object('run_id',"
            f" {chosen.asked.since}::bigint, 'probability', p.probability, 'rhythm', p.rhythm) END"
        )
    pairs = ", ".join(f"'{name}', {value}" for name, value in told.items())
    return [f"json_build_object({pairs})"]


def _silent(run: KeptRun, chosen: RunSelect) -> str:
    return f"{chosen.bind(from_day(run.as_of.day))}::date - s.last_purchase_on"


def _amount(name: str) -> str:
    """Write an amount as the API does: at least two digits behind the point."""
    cents = f"round(s.{name}, 2)"
    return f"CASE WHEN s.{name} = {cents} THEN {cents}::text ELSE trim_scale(s.{name})::text END"


async def _lines(
    database: Database, form: Form, statement: str, arguments: list[Any]
) -> AsyncGenerator[bytes]:
    """Yield the lines as the database writes them, on a connection of their own.

    A reader who goes away ends the statement, by the end of its connection.
    """
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
    gone = False

    async def take(piece: bytes) -> None:
        if not gone:
            await pieces.put(bytes(piece))

    async with database.engine.connect() as connection:
        # In order, so that the first lines come at once and none waits for a sort.
        await connection.execute(text("SET TRANSACTION READ ONLY"))
        await connection.execute(text("SET LOCAL enable_sort = off"))
        await limit(connection, EXPORT)
        driver: Any = (await connection.get_raw_connection()).driver_connection
        options = {"format": "csv", "header": True} if form == "text/csv" else _LINES

        async def copy() -> None:
            try:
                await driver.copy_from_query(
                    statement, *arguments, output=take, timeout=EXPORT.command, **options
                )
            except Exception as error:
                if is_missing_table(error):
                    raise NotFound("The run is no longer kept.") from None
                raise
            finally:
                if not gone:
                    await pieces.put(None)

        copying = asyncio.create_task(copy())
        try:
            while (piece := await pieces.get()) is not None:
                yield piece.replace(b"\n", b"\r\n") if form == "text/csv" else piece
            await copying
        finally:
            if not copying.done():
                gone = True
                while not pieces.empty():
                    pieces.get_nowait()
                await _break_off(connection, driver, copying)


async def _break_off(connection: AsyncConnection, driver: Any, copying: asyncio.Task[None]) -> None:
    """End a statement by the end of its connection."""
    driver.terminate()
    await asyncio.wait([copying], timeout=5)
    if copying.done() and not copying.cancelled():
        copying.exception()  # that the connection ended is no news
    with contextlib.suppress(Exception):
        await connection.invalidate()
