"""Who has a line by a rule, and what is told of them: statements on what is stored.

A line is open while its rule holds, nobody had contact since the reason arose, and it is not
snoozed. That is said here once, for the list, for a customer and for previews.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.days import from_day
from app.deployment import Deployment
from app.lifecycle.expressions import AllOf, AnyOf, Compare, Expression
from app.lifecycle.presets.kinds import IN_VAIN, SNOOZED
from app.postgres.db import ReadSession, fetch_rows
from app.services.runs import query_sql
from app.services.runs.query_rules import Question
from app.services.runs.query_tables import Tables
from app.services.runs.worklist.rule_sets import Rule
from app.services.runs.worklist.since import Since, implied, since

_LATEST = "ORDER BY {0}.occurred_at DESC, {0}.source DESC, {0}.interaction_id DESC LIMIT 1"
_IS_DAY = (
    "~ '^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|[12][0-9]))$'"
)
"""What is no day of a calendar hides nothing, as the warning of its write says."""
VALUE = "coalesce({run}.value_to_save, 0)"
MOST_CONTACTED: Final = 2_000
"""Customers of some owners, whom these can hardly have met on one day."""
OF_RUN: Final = (
    "stage", "purchase_days", "last_purchase_on", "usual_gap_days", "rhythm", "chance_if_active",
    "expected_purchases", "call_reasons", "value_to_save", "next_actions",
)  # fmt: skip
OF_PROFILE: Final = (
    "name", "owner", "stage", "phone", "email", "preferred_language", "time_zone",
)  # fmt: skip
OF_CONTACT: Final = ("occurred_at", "kind", "channel", "outcome")


@dataclass(frozen=True, eq=False)
class Asked:
    """What is the same for all rules of a request: instant, run, and what is no contact."""

    question: Question
    deployment: Deployment
    no_contact: Sequence[str]
    """Kinds that are declared as no contact."""

    @property
    def left(self) -> list[str]:
        """Stages of those who have left: whom somebody puts there is not called for silence."""
        policy = self.question.policy
        return [stage for stage in policy.stages if policy.has_left(stage)]

    def tables(self) -> Tables:
        return self.question.tables(self.deployment)


@dataclass(frozen=True, slots=True)
class _Conditions:
    holds: str
    contact: str
    snoozed: str
    since: Since

    @property
    def open(self) -> str:
        """As it is, for the planner; what is null stands for false."""
        return f"{self.holds} AND NOT {self.contact} AND NOT {self.snoozed}"

    @property
    def told(self) -> tuple[str, str]:
        """Whether it holds and is open, to be read: never null."""
        return f"coalesce({self.holds}, false)", f"coalesce({self.open}, false)"


def _conditions(rule: Rule, tables: Tables, asked: Asked) -> _Conditions:
    began = since(rule.when, tables)
    at = tables.bind(tables.as_of.at, "timestamptz")
    holds = [query_sql.holds(rule.when, tables), *began.stands]
    if any("scores" in term.needs for term in rule.terms):
        bought = f"{tables.summary}.last_purchase_on"
        holds.append(f"{bought} IS NOT DISTINCT FROM {tables.run}.last_purchase_on")
        holds.append(f"NOT {_put_away(tables.bind(asked.left, 'text[]'), at)}")
        if is_of_run(rule.when):
            # In words of the index of the run, so that the planner knows it for its own.
            holds.append("r.probability IS NOT NULL AND r.call_reasons <> '{}'")
    until = f"i.occurred_at <= {at}"
    # Of a customer a beginning may not be known: then what counts for a while closes the line.
    after = "".join(
        f" AND i.{column} {sign} coalesce({each}, '-infinity')"
        for column, sign, each in (
            ("occurred_on", ">=", began.day), ("occurred_at", ">", began.instant),
        ) if each is not None
    )  # fmt: skip
    again = tables.bind(rule.again_after_days, "int4")
    mine = "i.customer_id = c.customer_id"
    contact = (
        f"EXISTS (SELECT FROM interactions i WHERE {mine} AND {until}"
        f" AND i.occurred_on > {tables.today} - {again}"
        f" AND {_is_contact('i', tables, asked)}{after})"
    )
    to = "(i.attributes ->> 'until')"
    today = tables.bind(from_day(tables.as_of.day).isoformat(), "text")
    snoozed = (
        f"coalesce((SELECT {to} {_IS_DAY} AND {to} > {today} FROM interactions i WHERE {mine}"  # noqa: S608
        f" AND i.kind = '{SNOOZED}' AND {until}{after} {_LATEST.format('i')}), false)"
    )
    return _Conditions(" AND ".join(holds), contact, snoozed, began)


def _put_away(left: str, at: str) -> str:
    """Return whether somebody has put the customer among those who left."""
    return (
        f"(c.stage = ANY({left}) AND EXISTS (SELECT FROM stage_overrides o"
        " WHERE o.customer_id = c.customer_id AND o.stage = c.stage AND o.set_at >= c.stage_since"
        f" AND coalesce(least(o.stands_until, o.released_at) > {at}, true)))"
    )


def _is_contact(alias: str, tables: Tables, asked: Asked) -> str:
    """Return whether somebody was met: who was called in vain is still to be called."""
    kinds = tables.bind(list(asked.no_contact), "text[]")
    in_vain = tables.bind(list(IN_VAIN), "text[]")
    return (
        f"({alias}.kind <> ALL({kinds})"
        f" AND ({alias}.outcome IS NULL OR {alias}.outcome <> ALL({in_vain})))"
    )


def is_of_run(rule: Expression) -> bool:
    """Say whether a rule holds of none but those whom the run would have called."""
    if isinstance(rule, Compare):
        return rule.term.name == "call_reasons" and rule.op == "contains"
    if isinstance(rule, AllOf):
        return any(is_of_run(part) for part in rule.parts)
    return isinstance(rule, AnyOf) and all(is_of_run(part) for part in rule.parts)


async def best(
    session: ReadSession,
    asked: Asked,
    rule: Rule,
    most: int,
    owners: Sequence[str] | None,
) -> list[tuple[Any, str, str | None]]:
    """Return value to save, id and owner of the open lines of a rule that are worth most."""
    tables = asked.tables()
    tables.few = owners is not None and len(owners) == 1
    conditions = _conditions(rule, tables, asked)
    of_run = is_of_run(rule.when)
    chosen = [*implied(rule.when, tables), conditions.open]
    if owners is not None:
        chosen.append(f"c.owner = ANY({tables.bind(list(owners), 'text[]')})")
    run = tables.run
    worth = VALUE.format(run=run)
    # The order of the index of a run, where the rule holds of none but its rows.
    keys = (f"{run}.value_to_save", f"{run}.customer_id") if of_run else (worth, "c.customer_id")
    order = f" ORDER BY {', '.join(f'{key} DESC' for key in keys)} LIMIT {most}"
    query = tables.select([worth, "c.customer_id", "c.owner"], chosen, order)
    return [tuple(row) for row in await fetch_rows(session, query, *tables.arguments)]


async def contacted(session: ReadSession, asked: Asked, owners: Sequence[str]) -> list[str]:
    """Return the customers of some owners with whom somebody had contact on the day."""
    tables = asked.tables()
    of_them = f"c.owner = ANY({tables.bind(list(owners), 'text[]')})"
    day = (
        f"i.occurred_at >= {tables.bind(tables.day_began, 'timestamptz')}"
        f" AND i.occurred_at <= {tables.bind(tables.as_of.at, 'timestamptz')}"
    )
    met = (
        "EXISTS (SELECT FROM interactions i WHERE i.customer_id = c.customer_id"
        f" AND {day} AND {_is_contact('i', tables, asked)})"
    )
    query = tables.select(["c.customer_id"], [of_them, met], f" LIMIT {MOST_CONTACTED}")
    return [row[0] for row in await fetch_rows(session, query, *tables.arguments)]


@dataclass(frozen=True, slots=True)
class Held:
    """A rule that holds of a customer: since when, and what has closed it, if anything."""

    rule: Rule
    day: Any
    instant: Any
    closed_by: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """What is read of a customer who is shown."""

    customer_id: str
    profile: dict[str, Any]
    run: dict[str, Any] | None
    last_contact: dict[str, Any] | None
    consent: str | None
    held: list[Held]


async def told(
    session: ReadSession, asked: Asked, rules: Sequence[Rule], ids: Sequence[str]
) -> dict[str, Told]:
    """Return what is told of customers, in one statement."""
    tables = asked.tables()
    profile = [f"c.{name}" for name in OF_PROFILE]
    run = [f"{tables.run}.{name}" for name in OF_RUN]
    contact = [f"l.{name}" for name in OF_CONTACT]
    columns = ["c.customer_id", *profile, *run, *contact, "(c.attributes -> 'consent')::text"]
    for rule in rules:
        each = _conditions(rule, tables, asked)
        columns += [each.told[0], each.contact, each.snoozed, each.since.day or "NULL::date",
                    each.since.instant or "NULL::timestamptz"]  # fmt: skip
    of_them = f"c.customer_id = ANY({tables.bind(list(ids), 'text[]')})"
    last = (
        " LEFT JOIN LATERAL (SELECT i.* FROM interactions i WHERE i.customer_id = c.customer_id"  # noqa: S608
        f" AND i.occurred_at <= {tables.bind(tables.as_of.at, 'timestamptz')}"
        f" AND {_is_contact('i', tables, asked)} {_LATEST.format('i')}) AS l ON true"
    )
    query = f"SELECT {', '.join(columns)} FROM {tables.joined}{last} WHERE {of_them}"  # noqa: S608
    rows = await fetch_rows(session, query, *tables.arguments)
    return {row[0]: _told(tuple(row), rules) for row in rows}


def _told(row: tuple[Any, ...], rules: Sequence[Rule]) -> Told:
    values = iter(row)
    customer_id = next(values)
    profile = {name: next(values) for name in OF_PROFILE}
    run = {name: next(values) for name in OF_RUN}
    contact = {name: next(values) for name in OF_CONTACT}
    consent = next(values)
    held = []
    for rule in rules:
        holds, contacted, snoozed, day, instant = (next(values) for _ in range(5))
        if holds:
            closed = "contact" if contacted else "snoozed" if snoozed else None
            held.append(Held(rule, day, instant, closed))
    return Told(
        customer_id,
        profile,
        None if run["stage"] is None else run,
        None if contact["occurred_at"] is None else contact,
        consent,
        held,
    )


async def one_in(session: ReadSession, most: int) -> int:
    """Return of how many customers one is to be looked at, so that there are about `most`."""
    ((number,),) = await fetch_rows(session, "SELECT count(*) FROM customers")
    customers: int = number
    return max(-(-customers // most), 1)


async def counted(
    session: ReadSession, asked: Asked, rules: Sequence[Rule], before: Sequence[Rule], of: int
) -> tuple[list[tuple[int, int, Any]], tuple[int, int, int]]:
    """Count one in `of` customers: by rule who is meant, lines and their value; who comes and goes.

    One statement; which customers it looks at follows from their ids alone.
    """
    tables = asked.tables()
    columns = [f"{VALUE.format(run=tables.run)} AS worth"]
    for n, rule in enumerate(rules):
        holds, is_open = _conditions(rule, tables, asked).told
        columns += [f"{holds} AS h{n}", f"{is_open} AS o{n}"]
    has = " OR ".join(_conditions(rule, tables, asked).told[1] for rule in before)
    columns.append(f"({has}) AS has")
    some = f"hashtext(c.customer_id) & 2147483647) % {tables.bind(of, 'int4')} = 0"
    # Not pulled up: each condition would be looked at wherever it is counted.
    inner = tables.select(columns, [f"({some}"], " OFFSET 0")
    counts = "".join(
        f"count(*) FILTER (WHERE h{n}), count(*) FILTER (WHERE o{n}),"
        f" coalesce(sum(worth) FILTER (WHERE o{n}), 0), "
        for n in range(len(rules))
    )
    would = " OR ".join(f"o{n}" for n in range(len(rules)))
    ends = (
        f"count(*) FILTER (WHERE {would}), count(*) FILTER (WHERE ({would}) AND NOT has),"
        f" count(*) FILTER (WHERE has AND NOT ({would}))"
    )
    query = f"SELECT {counts}{ends} FROM ({inner}) AS each"  # noqa: S608
    (row,) = await fetch_rows(session, query, *tables.arguments)
    numbers = [of * number for number in row]
    by_rule = [(numbers[3 * n], numbers[3 * n + 1], numbers[3 * n + 2]) for n in range(len(rules))]
    return by_rule, (numbers[-3], numbers[-2], numbers[-1])
