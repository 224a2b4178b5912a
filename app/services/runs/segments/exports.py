"""Who is in which segments, of all customers: a line for each membership, as a query tells it.

Customers are looked at once, by id and in pieces, with the rules of all segments, so that no pass
is needed for each, and what is said of one customer fits together.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from app.deployment import Deployment
from app.lifecycle.expressions import Expression
from app.postgres.db import Database, ReadSession, fetch_rows
from app.schemas.common.encoding import to_json
from app.schemas.common.types import format_instant
from app.services.common import as_of as as_ofs
from app.services.common import deployment_settings
from app.services.common.copied_lines import Form
from app.services.common.id_texts import NAMED, named
from app.services.common.threads import in_turns
from app.services.runs import query_columns
from app.services.runs.query_lines import cell, row
from app.services.runs.query_rules import May, can_be_asked
from app.services.runs.segments import keeping
from app.services.runs.segments.definitions import Definition
from app.services.runs.segments.keeping import Inside, Rules

PIECE = 1_000
_CSV = ("customer_id", "segment", "version", "name_en", "name_zh", "entered_at")
_SINCE = (
    "SELECT customer_id, code, entered_at FROM segment_periods"  # noqa: S608  # no value of a caller
    f" WHERE customer_id = ANY({NAMED}) AND left_at IS NULL"
)


@dataclass(frozen=True)
class _Written:
    """The parts of lines in one form; what is said of a segment is the same in all of its lines."""

    customer: Callable[[str], str]
    segments: Mapping[str, str]
    since: Callable[[datetime | None], str]


async def open_lines(
    database: Database,
    session: ReadSession,
    deployment: Deployment,
    form: Form,
    *,
    now: datetime,
    may: May,
) -> tuple[AsyncGenerator[bytes], dict[str, str]]:
    """Return the lines, and what headers say of all; nobody is looked at before they are read.

    Left out are segments whose rule the key may not ask, or for which there is no model.
    """
    as_of = as_ofs.parse(None, deployment, now)

    def asks(rule: Expression) -> bool:
        return can_be_asked(rule, as_of, may)

    pointers = await deployment_settings.pointers(session)
    rules = await keeping.rules_at(session, pointers, as_of, asks)
    of_all = {
        "CLM-As-Of": format_instant(as_of.at),
        "CLM-Segments-Left-Out": str(len(rules.known.by_code) - len(rules.rules)),
    }
    return _lines(database, deployment, rules, form), of_all


async def _lines(
    database: Database, deployment: Deployment, rules: Rules, form: Form
) -> AsyncGenerator[bytes]:
    if form == "text/csv":
        yield row(_CSV)
    written = _written(rules, form)
    async with database.reads() as opened:
        session = ReadSession(opened)
        async for inside in _pieces(session, deployment, rules):
            told = _told(written, inside, await _since(session, inside))
            yield "".join([line async for line in in_turns(told)]).encode()


async def _pieces(
    session: ReadSession, deployment: Deployment, rules: Rules
) -> AsyncIterator[Inside]:
    """Yield in which segments customers are, by id; of those alone who are in any."""
    asked, after = list(rules.rules.values()), ""
    while asked:
        up_to = await query_columns.end_of(session, after, PIECE)
        found = await query_columns.of_range(
            session, deployment, rules.question, after=after, up_to=up_to, rules=asked
        )
        inside = {each: codes for each, codes in keeping.inside_of(rules, found).items() if codes}
        if inside:
            yield inside
        if up_to is None:
            return
        after = up_to


async def _since(session: ReadSession, inside: Inside) -> dict[tuple[str, str], datetime]:
    return {row[:2]: row[2] for row in await fetch_rows(session, _SINCE, named(inside))}


def _told(
    written: _Written, inside: Inside, since: Mapping[tuple[str, str], datetime]
) -> Iterator[str]:
    """Yield the lines of some customers."""
    for customer_id, codes in inside.items():
        begin = written.customer(customer_id)
        for code in sorted(codes):
            entered_at = written.since(since.get((customer_id, code)))
            yield f"{begin}{written.segments[code]}{entered_at}"


def _written(rules: Rules, form: Form) -> _Written:
    known = [rules.known.by_code[code] for code in rules.rules]
    if form == "text/csv":
        cells = {each.code: [each.code, each.version, *_names(each)] for each in known}
        segments = {code: f",{_cells(of)}" for code, of in cells.items()}
        return _Written(lambda each: _cells([each]), segments, _cell_of)
    said = {
        each.code: {
            "segment": each.code, "version": each.version, "name": each.document["name"]
        }
        for each in known
    }  # fmt: skip
    segments = {code: f",{to_json(of).decode()[1:-1]}" for code, of in said.items()}
    return _Written(lambda each: to_json({"customer_id": each}).decode()[:-1], segments, _pair_of)


def _names(segment: Definition) -> list[str]:
    return [segment.document["name"][language] for language in ("en", "zh")]


def _cells(values: Sequence[Any]) -> str:
    return row(list(map(cell, values))).decode().rstrip("\r\n")


# Many have been found at once, by a worker.
@lru_cache
def _cell_of(entered_at: datetime | None) -> str:
    return f",{'' if entered_at is None else format_instant(entered_at)}\r\n"


@lru_cache
def _pair_of(entered_at: datetime | None) -> str:
    return f",{to_json({'entered_at': entered_at}).decode()[1:]}\n"
