"""All scores of a run in one answer, as lines that the database itself writes.

The rows of a run never change, and one COPY sees one snapshot: what is sent is the whole run, even
if it is dropped meanwhile. An answer that breaks off was not whole: the connection closes early.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, Literal

from sqlalchemy import ColumnElement, Text, case, cast, func, literal, null, text
from sqlalchemy.dialects.postgresql import asyncpg

from app.days import from_day
from app.db import AnySelect, Database, ReadSession
from app.deployment import Deployment
from app.errors import FieldError, ValidationFailed
from app.models import Score
from app.schemas.common.types import format_instant
from app.services.common.paging import PageRequest
from app.services.models import model_store
from app.services.scores import lists
from app.services.scores.lists import AMOUNTS, IS_NEW, OF_RHYTHM, PLAIN, PREVIOUS, Asked

Form = Literal["application/json", "application/x-ndjson", "text/csv"]
FORMS: tuple[Form, ...] = ("application/json", "application/x-ndjson", "text/csv")
TIME_LIMIT = "30min"
OF_PAGES = ("limit", "cursor", "sort")
_WAITING = 16
"""Pieces that wait for a slow reader; then the database waits."""
# In JSON no control character stands as it is, so that nothing is quoted.
_LINES = {"format": "csv", "delimiter": "\x02", "quote": "\x01"}
_DIALECT: Any = asyncpg.dialect()  # type: ignore[no-untyped-call]


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
) -> tuple[AsyncIterator[bytes], dict[str, str]]:
    """Return the lines of a run, and the headers; no line is read before the first is asked for.

    `given` are the names of the parameters that the caller gave.
    """
    check(given)
    run = await lists.run_of(session, page, asked)
    # Without a run there is nobody.
    run_id, horizon_days = 0, None
    silent: ColumnElement[Any] = null()
    if run is not None:
        run_id, horizon_days = run.run_id, run.horizon_days
        silent = literal(from_day(deployment.as_of(run.as_of).day)) - Score.last_purchase_on
    columns = (_csv if form == "text/csv" else _json)(deployment, horizon_days, silent, asked.since)
    statement = lists.chosen(columns, run_id, asked).with_only_columns(*columns)
    lines = _lines(database, form, *_compiled(statement.order_by(Score.customer_id)))
    if run is None:
        return lines, {}
    return lines, _headers(lists.head(run, await model_store.load(session, run.model_id)))


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


def _compiled(statement: AnySelect) -> tuple[str, list[Any]]:
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return str(compiled), [compiled.params[name] for name in compiled.positiontup or ()]


def _csv(
    deployment: Deployment,
    horizon_days: int | None,
    silent: ColumnElement[Any],
    since: int | None,
) -> list[ColumnElement[Any]]:
    plain = [
        func.array_to_string(each, " ").label(each.key) if each.key == "call_reasons" else each
        for each in PLAIN
    ]
    rhythm = [*(getattr(Score, name) for name in OF_RHYTHM), silent.label("days_silent")]
    amounts = [_amount(each).label(name) for name, each in AMOUNTS.items()]
    more = {"currency": deployment.currency, "horizon_days": horizon_days}
    earlier: list[ColumnElement[Any]] = []
    if since is not None:
        earlier.append(PREVIOUS.probability.label("previous_probability"))
        earlier.append(PREVIOUS.rhythm.label("previous_rhythm"))
    told = [literal(value).label(name) for name, value in more.items()]
    return [*plain, *rhythm, *amounts, *told, *earlier]


def _json(
    deployment: Deployment,
    horizon_days: int | None,
    silent: ColumnElement[Any],
    since: int | None,
) -> list[ColumnElement[Any]]:
    pairs: list[Any] = [part for each in PLAIN for part in (each.key, each)]
    rhythm = func.json_build_object(
        "status", Score.rhythm, "usual_gap_days", Score.usual_gap_days,
        "days_silent", silent, "chance_if_active", Score.chance_if_active,
    )  # fmt: skip
    pairs += ["rhythm", case((Score.rhythm.is_not(None), rhythm), else_=null())]
    for name, each in AMOUNTS.items():
        money = func.json_build_object("amount", _amount(each), "currency", deployment.currency)
        pairs += [name, case((each.is_not(None), money), else_=null())]
    earlier: Any = null()
    if since is not None:
        known = func.json_build_object(
            "run_id", since, "probability", PREVIOUS.probability, "rhythm", PREVIOUS.rhythm
        )
        earlier = case((IS_NEW, null()), else_=known)
    pairs += ["horizon_days", horizon_days, "previous", earlier]
    return [func.json_build_object(*pairs)]


def _amount(each: ColumnElement[Any]) -> ColumnElement[Any]:
    """Write an amount as the API does: at least two digits behind the point."""
    cents = func.round(each, 2)
    return case((each == cents, cast(cents, Text)), else_=cast(func.trim_scale(each), Text))


async def _lines(
    database: Database, form: Form, statement: str, arguments: list[Any]
) -> AsyncIterator[bytes]:
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
        await connection.execute(text(f"SET LOCAL statement_timeout = '{TIME_LIMIT}'"))
        driver: Any = (await connection.get_raw_connection()).driver_connection
        options = {"format": "csv", "header": True} if form == "text/csv" else _LINES

        async def copy() -> None:
            try:
                await driver.copy_from_query(statement, *arguments, output=take, **options)
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
                driver.terminate()
                while not pieces.empty():
                    pieces.get_nowait()
                await asyncio.wait([copying], timeout=5)
                if copying.done() and not copying.cancelled():
                    copying.exception()  # that the connection ended is no news
                with contextlib.suppress(Exception):
                    await connection.invalidate()
