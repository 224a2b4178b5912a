"""The reports that there are: what each is called, how it can be parted, and who makes it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from app.days import AsOf
from app.deployment import Deployment
from app.errors import NotFound
from app.lifecycle.policy import Names
from app.lifecycle.presets.parts import text
from app.postgres.db import ReadSession
from app.services.runs.live_reports import (
    acquisition,
    churn,
    flow,
    funnel,
    interactions,
    movers,
    questions,
    retention,
    return_curve,
    value,
)
from app.services.runs.live_reports.questions import Question
from app.services.runs.live_reports.tables import Table
from app.services.runs.live_reports.words import COLUMNS, NOTES, OTHER


@dataclass(frozen=True, slots=True)
class Report:
    """A report; the first of the ways to part it is the usual one."""

    title: Names
    ways: tuple[str, ...]
    make: Callable[[ReadSession, Question], Awaitable[Table]]


REPORTS: Final[Mapping[str, Report]] = {
    "flow": Report(text("Stages on two days", "两日之间的阶段流转"), flow.WAYS, flow.of_days),
    "funnel": Report(
        text("From stage to stage", "阶段转化漏斗"), funnel.WAYS, funnel.of_new_customers
    ),
    "retention": Report(
        text("Retention by month", "按月留存"), retention.WAYS, retention.of_first_purchases
    ),
    "return-curve": Report(
        text("Who comes back after a silence", "沉默后回购曲线"),
        return_curve.WAYS,
        return_curve.of_silences,
    ),
    "churn": Report(text("Churn and win-backs", "流失与挽回"), churn.WAYS, churn.of_period),
    "value": Report(text("Value of customers", "客户价值"), value.WAYS, value.of_period),
    "movers": Report(
        text("Customers in another stage, with money", "阶段变动客户及金额"),
        movers.WAYS,
        movers.between_days,
    ),
    "acquisition": Report(
        text("New customers", "获客"), acquisition.WAYS, acquisition.of_new_customers
    ),
    "interactions": Report(
        text("Interactions and complaints", "互动与投诉"),
        interactions.WAYS,
        interactions.of_period,
    ),
}


def offered() -> dict[str, Any]:
    """Return which reports there are, and by what."""
    return {
        "items": [
            {
                "name": name,
                "title": report.title,
                "by": [{"code": way, "name": COLUMNS[way].title} for way in report.ways],
            }
            for name, report in REPORTS.items()
        ]
    }


async def read(
    session: ReadSession,
    deployment: Deployment,
    name: str,
    *,
    since: str | None,
    until: str | None,
    by: str | None,
    as_of: AsOf,
) -> Question:
    """Return what is asked of a report; refuse one that there is not, and what makes no sense."""
    if name not in REPORTS:
        raise NotFound(f"There is no report {name!r}; there are {', '.join(REPORTS)}.")
    return await questions.read(
        session, deployment, REPORTS[name].ways, since=since, until=until, by=by, as_of=as_of
    )


async def make(
    session: ReadSession, name: str, question: Question, *, now: datetime
) -> dict[str, Any]:
    """Return a report as the API answers it."""
    report, as_of, deployment = REPORTS[name], question.as_of, question.deployment
    table = await report.make(session, question)
    return {
        "name": name,
        "title": report.title,
        "by": question.by,
        "from": question.first_on,
        "to": question.last_on,
        "as_of": as_of.at,
        "time_zone": deployment.calendar.zone.key,
        "policy_version": question.timeline.at(as_of.micros).version,
        "run_id": table.run_id,
        "stages_recorded_until": datetime.fromisoformat(question.pointers.recorded_until),
        "columns": [_column(each, table) for each in table.columns],
        "rows": [_row(table, row) for row in table.rows],
        "totals": None if table.totals is None else _row(table, table.totals),
        "notes": [{"code": code, "text": NOTES[code]} for code in table.notes],
        "computed_at": now,
    }


def _column(name: str, table: Table) -> dict[str, Any]:
    column = COLUMNS[name]
    words = table.words.get(name, OTHER) if column.type == "code" else {}
    told = [*table.rows, table.totals or {}] if words else ()
    met = {row.get(name) for row in told}
    return {
        "name": name,
        "title": column.title,
        "type": column.type,
        "unit": column.unit,
        "words": [{"code": code, "name": words[code]} for code in words if code in met],
    }


def _row(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _cell(row.get(name)) for name in table.columns}


def _cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
