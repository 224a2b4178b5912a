"""Writes a chunk of a file through the doors of bulks, and keeps which of its rows were refused."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.mappings.applying import Mapped, Outcome, Rejected
from app.mappings.rows import BadRow, Problem, Row
from app.mappings.rules import Fact
from app.postgres.db import copy_rows
from app.services.common import threads
from app.services.ingest.imports import named_purchases, tallies
from app.services.ingest.imports.doors import DATED, DOORS, Door, Writer, problem_of
from app.services.ingest.imports.tallies import Tally

WRITTEN = "facts_written"
"""Where a session has the facts that it writes, to be counted once it has committed."""
REJECTED_KEPT = 1_000_000
"""Rejected rows of a file that are kept; of a file that fits in nothing the first say why."""
_COLUMNS = ("import_id", "line", "field", "code", "detail", "raw")
Refused = tuple[Row | BadRow, Problem]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A fact, and which of the mapped outcomes it is of."""

    place: int
    fact: Fact


async def write(writer: Writer, outcomes: Sequence[Outcome], tally: Tally) -> list[Refused]:
    """Write the facts of a chunk and count them; return the rows that were refused."""
    tallies.count_rows(tally, outcomes)
    refusals = [(each.rows, each.problem) for each in outcomes if isinstance(each, Rejected)]
    mapped = [each for each in outcomes if isinstance(each, Mapped)]
    tallies.keep_first(tally, [fact for outcome in mapped for fact in outcome.facts])
    refused: dict[int, Problem] = {}
    for kind, door in DOORS.items():
        placed = [
            _Placed(place, fact)
            for place, outcome in enumerate(mapped)
            for fact in outcome.facts
            if fact.kind == kind
        ]
        if placed:
            for place, problem in (await _write_kind(writer, door, placed, tally)).items():
                refused.setdefault(place, problem)
    refusals += [(mapped[place].rows, problem) for place, problem in sorted(refused.items())]
    tally["mapped_rows"] += sum(
        len(outcome.rows) for place, outcome in enumerate(mapped) if place not in refused
    )
    for rows, problem in refusals:
        tallies.count_problem(tally["rejections"], problem, rows[0].line)
    return [(row, problem) for rows, problem in refusals for row in rows]


async def _write_kind(
    writer: Writer, door: Door, placed: Sequence[_Placed], tally: Tally
) -> dict[int, Problem]:
    """Write facts of one kind; return which outcomes had one that was refused, and why."""
    kind = placed[0].fact.kind
    faults = await named_purchases.complete(writer.session, [each.fact.item for each in placed])
    refused = {placed[row].place: problem for row, problem in faults.items()}
    tallies.count_statuses(tally, kind, ["rejected"] * len(faults))
    rest = [each for row, each in enumerate(placed) if row not in faults]
    if kind == "transactions":
        writer.add_rates(each.fact.item for each in rest)
    items = [door.shape.validate_python(each.fact.item) async for each in threads.in_turns(rest)]
    if not items:
        return refused
    written = await door.write(writer, items)
    tally["customers_created"] += written.customers_created
    statuses = [status for status, _ in written.outcomes]
    tallies.count_statuses(tally, kind, statuses)
    writer.session.info.setdefault(WRITTEN, []).append((kind, Counter(statuses)))
    for each, (_, error) in zip(rest, written.outcomes, strict=True):
        if error is not None:
            refused.setdefault(each.place, problem_of(error))
    stored = [
        item for item, (_, error) in zip(items, written.outcomes, strict=True) if error is None
    ]
    if kind in DATED:
        tallies.count_days(tally, stored)
    if kind == "transactions":
        tallies.count_money(tally, stored, writer.deployment.currency)
    return refused


async def keep(writer: Writer, import_id: str, tally: Tally, refused: Sequence[Refused]) -> None:
    """Keep rows that were refused, to be mended and sent again."""
    room = max(REJECTED_KEPT - tally["rejected_rows"], 0)
    tally["rejected_rows"] += len(refused)
    rows = {
        row.line: (
            import_id,
            row.line,
            problem.column,
            problem.code,
            problem.detail,
            row.raw.encode("utf-8", "replace"),
        )
        for row, problem in refused[:room]
    }
    await copy_rows(writer.session, "import_rejections", _COLUMNS, list(rows.values()))
