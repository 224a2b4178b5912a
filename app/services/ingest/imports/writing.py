"""Writes a chunk of a file through the doors of bulks, and keeps which of its rows were refused."""

from collections import Counter
from collections.abc import Sequence

from app.mappings.applying import Rejected
from app.mappings.rows import BadRow, Problem, Row
from app.postgres.db import copy_rows
from app.services.ingest.imports import money, named_purchases, tallies
from app.services.ingest.imports.doors import DOORS, Door, Writer, problem_of
from app.services.ingest.imports.preparing import Facts, Prepared
from app.services.ingest.imports.tallies import Tally

WRITTEN = "facts_written"
"""Where a session has the facts that it writes, to be counted once it has committed."""
REJECTED_KEPT = 1_000_000
"""Rejected rows of a file that are kept; of a file that fits in nothing the first say why."""
_COLUMNS = ("import_id", "line", "field", "code", "detail", "raw")
Refused = tuple[Row | BadRow, Problem]


async def write(writer: Writer, chunk: Prepared, tally: Tally) -> list[Refused]:
    """Write the facts of a chunk and count them; return the rows that were refused."""
    tallies.count_rows(tally, chunk.outcomes, chunk.plain)
    tallies.keep_first(tally, chunk.mapped)
    refusals = [(each.rows, each.problem) for each in chunk.outcomes if isinstance(each, Rejected)]
    refused: dict[int, Problem] = {}
    for kind, door in DOORS.items():
        facts = chunk.facts.get(kind)
        if facts is not None and facts.places:
            for place, problem in (await _write_kind(writer, door, facts, tally)).items():
                refused.setdefault(place, problem)
    refusals += [(chunk.rows[place], problem) for place, problem in sorted(refused.items())]
    tally["mapped_rows"] += sum(map(len, chunk.rows))
    tally["mapped_rows"] -= sum(len(chunk.rows[place]) for place in refused)
    for rows, problem in refusals:
        tallies.count_problem(tally["rejections"], problem, rows[0].line)
    return [(row, problem) for rows, problem in refusals for row in rows]


async def _write_kind(writer: Writer, door: Door, facts: Facts, tally: Tally) -> dict[int, Problem]:
    """Write facts of one kind; return which outcomes had one that was refused, and why."""
    faults: dict[int, Problem] = {}
    if facts.waiting:
        faults = await named_purchases.complete(writer.session, facts.said)
        for row in facts.waiting:
            facts.complete(row, faults.get(row))
    written = await door.write(writer, facts.batch)
    tally["customers_created"] += written.customers_created
    counts = Counter(status for status, _ in written.outcomes)
    tallies.count_statuses(tally, facts.kind, counts)
    writer.session.info.setdefault(WRITTEN, []).append((facts.kind, counts))
    refused = {facts.places[row]: problem for row, problem in faults.items()}
    for place, (_, error) in zip(facts.places, written.outcomes, strict=True):
        if error is not None:
            refused.setdefault(place, problem_of(error))
    if written.accepted is not None:
        rows = [
            row
            for row, index in enumerate(written.accepted.indexes)
            if written.outcomes[index][1] is None
        ]
        stored = (
            written.accepted.take(rows) if len(rows) < len(written.accepted) else written.accepted
        )
        tallies.count_days(tally, stored)
        if facts.kind == "transactions":
            outcomes = [written.outcomes[index][0] for index in stored.indexes]
            await money.count(writer.session, tally["money"], stored, outcomes)
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
