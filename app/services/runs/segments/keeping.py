"""Keeping who is in which segment: one array a customer, and from when to when.

Only changes are written, in the transaction of what caused them and after it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.days import AsOf
from app.deployment import Deployment
from app.lifecycle.expressions import ALWAYS, Expression, terms
from app.postgres.db import ReadSession, WriteSession, fetch_rows
from app.services.common import deployment_settings
from app.services.common.deployment_settings import Pointers
from app.services.common.id_texts import NAMED, named
from app.services.customers import customers
from app.services.policies import policies
from app.services.runs import query_columns, query_rules, query_sql
from app.services.runs.query_columns import Found
from app.services.runs.query_rules import Question, Reader
from app.services.runs.segments import definitions
from app.services.runs.segments.definitions import Definitions

Inside = dict[str, frozenset[str]]
"""By customer the codes of the segments that they are in."""
PIECE = 5_000
"""Customers who are looked at by one statement."""


@dataclass(frozen=True)
class Rules:
    """The rules of segments as they are asked at an instant, by their codes."""

    known: Definitions
    rules: Mapping[str, Expression]
    question: Question

    def stored(self) -> "Rules":
        """Return those that look at what is stored alone, and by what is in force."""
        rules = {code: rule for code, rule in self.rules.items() if self._is_stored(rule)}
        asked = tuple(dict.fromkeys(term for rule in rules.values() for term in terms(rule)))
        return replace(self, rules=rules, question=replace(self.question, asked=asked))

    def _is_stored(self, rule: Expression) -> bool:
        return replace(self.question, asked=tuple(terms(rule))).is_stored


_rules: dict[tuple[str | None, str], Mapping[str, Expression]] = {}
"""By what the settings name: they are read anew where segments or kinds have changed."""
_KEPT_RULES = 64
Asks = Callable[[Expression], bool]
"""Whether a rule is to be asked."""


async def rules_at(
    session: ReadSession, pointers: Pointers, as_of: AsOf, asks: Asks | None = None
) -> Rules:
    """Return the rules of all segments, or of some; without those for which there is no model."""
    known = await definitions.named(session, pointers.segments)
    policy = (await policies.timeline(session, pointers.timeline)).at(as_of.micros)
    has_model = (pointers.model_id or policy.model_id) is not None
    rules = {
        code: rule
        for code, rule in (await _read_rules(session, pointers, known)).items()
        if (has_model or not _needs_model(rule)) and (asks is None or asks(rule))
    }
    asked = (term for rule in rules.values() for term in terms(rule))
    question = await query_rules.question(session, pointers, ALWAYS, asked, as_of, _may_all)
    return Rules(known, rules, question)


async def _read_rules(
    session: ReadSession, pointers: Pointers, known: Definitions
) -> Mapping[str, Expression]:
    """Return the rules of segments; not of one that names what is no longer declared."""
    key = pointers.segments, pointers.interaction_kinds
    if key not in _rules:
        kinds = (await query_rules.reader(session, pointers)).kinds
        found: dict[str, Expression] = {}
        for code in known.by_code:
            read = Reader(kinds)
            read.segments = known.rules
            rule = read.when({"segment": code}, "")
            if not read.faults:
                found[code] = rule
        if len(_rules) >= _KEPT_RULES:
            _rules.pop(next(iter(_rules)))
        _rules[key] = found
    return _rules[key]


def _needs_model(rule: Expression) -> bool:
    return any("model" in term.needs for term in terms(rule))


def _may_all(_: str) -> bool:
    return True


async def follow(session: WriteSession, deployment: Deployment) -> None:
    """Bring up to date in which segments those are whom a transaction has written to."""
    taken: customers.Taken | None = session.info.pop(customers.TAKEN, None)
    read = deployment_settings.SEGMENTS
    if taken is None or (read in session.info and session.info[read] is None):
        return
    pointers = await deployment_settings.pointers(session)
    as_of = replace(deployment.as_of(taken.now), is_now=True)
    rules = (await rules_at(session, pointers, as_of)).stored()
    if not rules.rules:
        return
    ids = sorted(taken.customer_ids)
    for first in range(0, len(ids), PIECE):
        piece = ids[first : first + PIECE]
        inside, kept = await _read(session, deployment, rules, piece)
        others = frozenset(rules.known.by_code) - rules.rules.keys()
        inside = {each: codes | (kept[each] & others) for each, codes in inside.items()}
        await write(session, rules.known, kept, inside, taken.now)


async def _read(
    session: ReadSession, deployment: Deployment, rules: Rules, ids: Sequence[str]
) -> tuple[Inside, Inside]:
    """Return in which segments customers are, and in which they were kept to be."""
    question, codes = rules.question, list(rules.rules)
    tables = question.tables(deployment)
    held = [f"coalesce({query_sql.holds(rule, tables)}, false)" for rule in rules.rules.values()]
    doubts = " OR ".join(f"({each})" for each in question.doubts(tables)) or "false"
    columns = ["c.customer_id", f"ARRAY[{', '.join(held)}]", f"coalesce({doubts}, false)"]
    columns.append(_KEPT_OF)
    asked = tables.bind(list(ids), "text[]")
    query = tables.select(columns, [f"c.customer_id = ANY({asked})"])
    rows = await fetch_rows(session, query, *tables.arguments)
    inside = {
        row[0]: frozenset(code for code, holds in zip(codes, row[1], strict=True) if holds)
        for row in rows
    }
    doubted = [row[0] for row in rows if row[2]]
    if doubted:
        inside |= await evaluated(session, deployment, rules, doubted)
    return inside, {row[0]: frozenset(row[3] or ()) for row in rows}


_KEPT_OF = "(SELECT k.codes FROM customer_segments k WHERE k.customer_id = c.customer_id)"


async def evaluated(
    session: ReadSession, deployment: Deployment, rules: Rules, ids: Sequence[str]
) -> Inside:
    """Return in which segments customers are by the evaluator."""
    found = await query_columns.of_customers(
        session, deployment, rules.question, (), ids, rules=list(rules.rules.values())
    )
    return inside_of(rules, found)


def inside_of(rules: Rules, found: Found) -> Inside:
    """Return in which segments those are who were evaluated with all rules."""
    codes: list[list[str]] = [[] for _ in found.customer_ids]
    for place, code in enumerate(rules.rules):
        for row in found.shares[place].nonzero()[0].tolist():
            codes[row].append(code)
    return dict(zip(found.customer_ids, map(frozenset, codes), strict=True))


async def kept_of(session: ReadSession, ids: Iterable[str]) -> Inside:
    """Return in which segments customers are kept to be."""
    return {row[0]: frozenset(row[1]) for row in await fetch_rows(session, _KEPT, named(ids))}


_KEPT = f"SELECT customer_id, codes FROM customer_segments WHERE customer_id = ANY({NAMED})"  # noqa: S608


async def write(
    session: WriteSession, known: Definitions, kept: Inside, inside: Inside, now: datetime
) -> int:
    """Keep where customers are who were taken; return how many have changed."""
    none: frozenset[str] = frozenset()
    changed = {each: codes for each, codes in inside.items() if codes != kept.get(each, none)}
    if not changed:
        return 0
    entered = [(each, code) for each in changed
               for code in sorted(changed[each] - kept.get(each, none))]  # fmt: skip
    left = [(each, code) for each in changed
            for code in sorted(kept.get(each, none) - changed[each])]  # fmt: skip
    arrays = [",".join(sorted(codes)) for codes in changed.values()]
    await fetch_rows(session, _ARRAYS, named(changed), arrays)
    if left:
        ids, codes = zip(*left, strict=True)
        await fetch_rows(session, _LEAVE, named(ids), list(codes), now)
    if entered:
        ids, codes = zip(*entered, strict=True)
        versions = [known.by_code[code].version for code in codes]
        await fetch_rows(session, _ENTER, named(ids), list(codes), now, versions)
    return len(changed)


# No code holds a comma.
_ARRAYS = (
    "INSERT INTO customer_segments (customer_id, codes)"  # noqa: S608  # no value of a caller
    f" SELECT id, string_to_array(codes, ',') FROM unnest({NAMED}, $2::text[]) AS t (id, codes)"
    " ON CONFLICT (customer_id) DO UPDATE SET codes = excluded.codes"
)
_LEAVE = (
    "UPDATE segment_periods p SET left_at = greatest($3::timestamptz, p.entered_at)"  # noqa: S608
    f" FROM unnest({NAMED}, $2::text[]) AS gone (customer_id, code)"
    f" WHERE p.customer_id = gone.customer_id AND p.customer_id = ANY({NAMED})"
    " AND p.code = gone.code AND p.left_at IS NULL"
)
_ENTER = (
    "INSERT INTO segment_periods (customer_id, code, entered_at, version)"  # noqa: S608
    f" SELECT id, code, $3::timestamptz, version FROM unnest({NAMED}, $2::text[], $4::int4[])"
    " AS t (id, code, version)"
    " ON CONFLICT (customer_id, code, entered_at) DO UPDATE SET left_at = NULL"
)
