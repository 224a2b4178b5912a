"""Reports that take longer than a request may: a worker makes them.

Each is an operation of one part, whose result is the report. Several may be open, so that a page of
reports need not ask for one after the other; one that is asked for again meanwhile is the same.
"""

from datetime import datetime
from typing import Any, Final

from app.deployment import Deployment
from app.errors import OperationRunning, ReportTooLong
from app.postgres.db import WriteSession
from app.postgres.sqlstates import hindrance
from app.schemas.reports import Report
from app.services.common import as_of as as_ofs
from app.services.common.stored_documents import Section
from app.services.operations import operations, parts
from app.services.operations.parts import Part
from app.services.runs.live_reports import catalogue
from app.services.runs.live_reports.questions import Question

REPORT: Final = "report"
MOST: Final = 20
"""Reports that may be open: each takes a worker for as long as its statement does."""


class ReportAsked(Section):
    """What was asked, as it was sent."""

    name: str
    since: str | None
    until: str | None
    by: str | None
    as_of: str | None


async def submit(
    session: WriteSession, asked: ReportAsked, *, now: datetime, requested_by: str
) -> dict[str, Any]:
    """Have a worker make a report, unless one is at it."""
    same = await operations.find_all_open(session, REPORT)
    for each in same:
        if operations.request_of(each) == asked.model_dump(mode="json"):
            return operations.to_response(each)
    if len(same) >= MOST:
        raise OperationRunning(
            f"{MOST} reports are being made, as many as may be at a time. Ask again when one of"
            " them is done.",
            operation_id=same[0].operation_id,
        )
    row = await operations.submit(
        session,
        REPORT,
        asked,
        now=now,
        requested_by=requested_by,
        operation_id=operations.new_id(),
    )
    return operations.to_response(row)


async def make_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Make the report, as of the instant that was asked for, or of now."""
    asked = part.asked(ReportAsked)
    as_of = as_ofs.parse(asked.as_of, deployment, now)
    question = await catalogue.read(
        session, deployment, asked.name, since=asked.since, until=asked.until, by=asked.by,
        as_of=as_of,
    )  # fmt: skip
    told = await _made(session, asked.name, question, now)
    if told is None:  # it would take as long again, and keep the worker from all else meanwhile
        raise ReportTooLong("Ask for a shorter time, or let the database have more to do it with.")
    shown = Report.model_validate(told).model_dump(mode="json", by_alias=True)
    await parts.note(session, part, {"report": shown})


async def _made(
    session: WriteSession, name: str, question: Question, now: datetime
) -> dict[str, Any] | None:
    """Return the report; None where its statement takes longer than one may."""
    try:
        return await catalogue.make(session, name, question, now=now)
    except Exception as error:
        if hindrance(error) != "statement_timeout":
            raise
    return None


async def result(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Return the report."""
    del deployment, now
    (noted,) = await parts.noted(session, part)
    report: dict[str, Any] = noted["report"]
    return report
