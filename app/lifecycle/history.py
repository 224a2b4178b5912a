"""The history of a customer's stage as a function of time, and the moves that it consists of.

The stage at an instant is what the policy then in force makes of the facts up to then, unless
somebody had decided otherwise by hand and that decision still stands.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from app.lifecycle.evaluator import evaluate, turns
from app.lifecycle.expressions import Column
from app.lifecycle.policy import Policy
from app.lifecycle.records import Bools, Ints, Records
from app.lifecycle.variables import LEVELS, Term

DayStart = Callable[[Ints], Ints]
"""From days to the instants at which they begin in the deployment's zone."""

SILENCE, FACT, POLICY, MANUAL = range(4)
"""Why a stage may change, in the order in which changes of one instant take effect."""
CAUSES = ("silence", "fact", "policy", "manual")
BY_HAND = "by_hand"
"""What stands in the ledger in place of a rule where somebody decided."""


@dataclass(frozen=True)
class Segment:
    """A policy, from when on it is in force, and the customers' records under it."""

    policy: Policy
    records: Records
    start: int = np.iinfo(np.int64).min
    start_day: int = 0


@dataclass(frozen=True, slots=True)
class Override:
    """A decision by hand. With `until` it is a pin, which no rule overrules before then.

    Without, it stands until a fact that rules look at, or until the rules change their answer.
    """

    at: int
    day: int
    stage: str
    until: int | None
    until_day: int
    reason: str
    actor: str


class Move(NamedTuple):
    """A change of stage, with what decided it; `evidence` is JSON."""

    owner: int
    from_stage: str
    to_stage: str
    at: int
    cause: str
    rule: str
    policy_version: int
    reason: str | None
    actor: str | None
    evidence: str


@dataclass(frozen=True)
class Customers:
    """Whose history is asked for: by owner number, up to when, and from where.

    `known` says whose first record is where the ledger stands already, so that it is no move;
    everybody else begins where the policy then in force puts somebody not known.
    """

    until: Ints
    until_day: Ints
    known: Bools
    overrides: Mapping[int, Sequence[Override]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Rows:
    """Instants at which a stage may change."""

    owner: Ints
    at: Ints
    day: Ints
    cause: Ints
    segment: Ints
    record: Ints

    @classmethod
    def join(cls, parts: Sequence["_Rows"]) -> "_Rows":
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES))

    def take(self, rows: Ints) -> "_Rows":
        return _Rows(*(getattr(self, name)[rows] for name in _NAMES))

    def in_order(self) -> "_Rows":
        """Return the rows by owner and time; of those of one instant the last cause counts."""
        rows = self.take(np.lexsort((self.cause, self.at, self.owner)))
        same = (rows.owner[1:] == rows.owner[:-1]) & (rows.at[1:] == rows.at[:-1])
        return rows.take(np.flatnonzero(~np.r_[same, False])) if same.any() else rows


_NAMES = ("owner", "at", "day", "cause", "segment", "record")


@dataclass(frozen=True)
class History:
    """Every instant at which a stage might have changed, and what it then was."""

    segments: tuple[Segment, ...]
    names: tuple[str, ...]
    rows: _Rows
    stage: Ints
    """By row, the place in `names`."""
    rule: Ints
    by_hand: Mapping[int, Override]
    """By row, the decision that stood."""
    before: Ints
    changed: Bools

    def last(self, customers: int) -> list[tuple[str, int | None]]:
        """Return for each customer the stage at the end, and the instant of the last move."""
        beginning = self.segments[-1].policy.beginning
        found: list[tuple[str, int | None]] = [(beginning, None)] * customers
        for row, owner in enumerate(self.rows.owner.tolist()):
            since = int(self.rows.at[row]) if self.changed[row] else found[owner][1]
            found[owner] = self.names[self.stage[row]], since
        return found

    def beginning(self, owner: int) -> str:
        """Return the stage in which a customer began."""
        (rows,) = np.nonzero(self.rows.owner == owner)
        segment = self.rows.segment[rows[0]] if len(rows) else len(self.segments) - 1
        return self.segments[segment].policy.beginning

    def last_step(self) -> tuple[str, str]:
        """Return the stages before and after the last instant."""
        return self.names[self.before[-1]], self.names[self.stage[-1]]

    def standing_override(self, owner: int) -> Override | None:
        """Return the decision by hand that stands at the end, if one does."""
        (rows,) = np.nonzero(self.rows.owner == owner)
        return self.by_hand.get(int(rows[-1])) if len(rows) else None

    def moves(self) -> list[Move]:
        """Return the changes of stage in order of owner and time."""
        rows = np.flatnonzero(self.changed)
        told = self._evidence(rows)
        moves = []
        for place, row in enumerate(rows.tolist()):
            policy = self.segments[self.rows.segment[row]].policy
            hand = self.by_hand.get(row)
            manual = self.rows.cause[row] == MANUAL
            moves.append(
                Move(
                    int(self.rows.owner[row]),
                    self.names[self.before[row]],
                    self.names[self.stage[row]],
                    int(self.rows.at[row]),
                    CAUSES[self.rows.cause[row]],
                    BY_HAND if hand and manual else policy.rules[self.rule[row]].code,
                    policy.version,
                    hand.reason if hand and manual else "pin_ended" if manual else None,
                    hand.actor if hand and manual else None,
                    told[place],
                )
            )
        return moves

    def _evidence(self, rows: Ints) -> list[str]:
        """Return, as JSON, the values that decided."""
        told = ["{}"] * len(rows)
        for number, segment in enumerate(self.segments):
            here = np.flatnonzero(self.rows.segment[rows] == number)
            own = rows[here]
            values = segment.records.values(
                segment.policy.terms, self.rows.record[own], self.rows.day[own]
            )
            shown = [_as_json(term, column) for term, column in values.items()]
            names = [json.dumps(term.key, ensure_ascii=False).replace("%", "%%") for term in values]
            form = "{" + ", ".join(f"{name}: %s" for name in names) + "}"
            for place, parts in zip(here.tolist(), zip(*shown, strict=True), strict=False):
                told[place] = form % parts
        return told


def shown(term: Term, column: Column) -> list[object]:
    """Return values as evidence and explanations show them; None for what is not known."""
    if column.dtype == object:
        return list(column)
    levels = LEVELS.get(term.name)
    return [
        None if value != value else levels[int(value)] if levels else value  # noqa: PLR0124
        for value in column.tolist()
    ]


def _as_json(term: Term, column: Column) -> list[str]:
    if column.dtype != object and term.name not in LEVELS:
        return ["null" if value != value else f"{value:.10g}" for value in column.tolist()]  # noqa: PLR0124
    return [json.dumps(value, ensure_ascii=False) for value in shown(term, column)]


def trace(segments: Sequence[Segment], customers: Customers, day_start: DayStart) -> History:
    """Follow the stages of customers through time."""
    rows = _rows(segments, customers)
    rows = _Rows.join([rows, _turns(segments, customers, rows, day_start)]).in_order()
    names = tuple(dict.fromkeys(name for each in segments for name in each.policy.stages))
    stage = np.zeros(len(rows.owner), dtype=np.int64)
    rule = np.zeros(len(rows.owner), dtype=np.int64)
    for number, segment in enumerate(segments):
        own = np.flatnonzero(rows.segment == number)
        decided, rule[own] = evaluate(
            segment.policy, segment.records, rows.record[own], rows.day[own]
        )
        stage[own] = np.array([names.index(name) for name in segment.policy.stages])[decided]
    by_hand = _overrule(segments, customers, names, rows, stage)
    begins = np.r_[True, rows.owner[1:] != rows.owner[:-1]][: len(rows.owner)]
    first = np.array([names.index(each.policy.beginning) for each in segments])
    before = np.where(begins, first[rows.segment], np.r_[0, stage][: len(stage)])
    changed = (stage != before) & ~(begins & customers.known[rows.owner])
    return History(tuple(segments), names, rows, stage, rule, by_hand, before, changed)


def _rows(segments: Sequence[Segment], customers: Customers) -> _Rows:
    """Return the instants of facts, of activations and of decisions by hand, in order."""
    parts = []
    owners = np.arange(len(customers.until))
    ends = [segment.start for segment in segments[1:]] + [np.iinfo(np.int64).max]
    for number, (segment, end) in enumerate(zip(segments, ends, strict=True)):
        records = segment.records
        counted = (records.at < end) & (records.at <= customers.until[records.owner])
        own = np.flatnonzero((records.at >= segment.start) & counted)
        parts.append(_at(records.owner[own], records.at[own], records.day[own], FACT, number, own))
        if number:
            reached = owners[customers.until >= segment.start]
            begun = _in_force(records, reached, segment.start - 1) >= 0
            record = _in_force(records, reached, segment.start)
            parts.append(
                _at(reached[begun], segment.start, segment.start_day, POLICY, number, record[begun])
            )
    for owner, decided in customers.overrides.items():
        times = [(each.at, each.day) for each in decided]
        times += [
            (each.until, each.until_day)
            for n, each in enumerate(decided)
            # Where another decision took its place before, nothing ends with a pin.
            if each.until is not None
            and not any(later.at <= each.until for later in decided[n + 1 :])
        ]
        for at, day in times:
            if at <= customers.until[owner]:
                number = max(n for n, each in enumerate(segments) if each.start <= at)
                record = _in_force(segments[number].records, np.array([owner]), at)
                parts.append(_at(np.array([owner]), at, day, MANUAL, number, record))
    return _Rows.join(parts).in_order()


def _at(
    owner: Ints, at: Ints | int, day: Ints | int, cause: int, segment: int, record: Ints
) -> _Rows:
    n = len(owner)
    return _Rows(
        owner,
        np.broadcast_to(at, n),
        np.broadcast_to(day, n),
        np.full(n, cause),
        np.full(n, segment),
        record,
    )


def _in_force(records: Records, owner: Ints, at: int) -> Ints:
    """Return the record of each owner that is in force at an instant, -1 before the first."""
    before = np.r_[0, np.cumsum(records.at <= at)]
    start = np.searchsorted(records.owner, owner, side="left")
    end = np.searchsorted(records.owner, owner, side="right")
    seen = before[end] - before[start]
    return np.where(seen > 0, start + seen - 1, -1)


def _turns(
    segments: Sequence[Segment], customers: Customers, rows: _Rows, day_start: DayStart
) -> _Rows:
    """Return the turns of time that come before the next row and up to the end.

    A turn at the very instant of the next row is no period of its own: that row decides.
    """
    n = len(rows.owner)
    last = customers.until_day[rows.owner]
    if n > 1:
        has_next = np.flatnonzero(rows.owner[1:] == rows.owner[:-1])
        next_at, next_day = rows.at[has_next + 1], rows.day[has_next + 1]
        last[has_next] = np.where(day_start(next_day) < next_at, next_day, next_day - 1)
    parts = []
    for number, segment in enumerate(segments):
        own = np.flatnonzero(rows.segment == number)
        place, day = turns(
            segment.policy, segment.records, rows.record[own], rows.day[own], last[own]
        )
        row = own[place]
        parts.append(
            replace(rows.take(row), at=day_start(day), day=day, cause=np.full(len(row), SILENCE))
        )
    return _Rows.join(parts)


def _overrule(
    segments: Sequence[Segment],
    customers: Customers,
    names: Sequence[str],
    rows: _Rows,
    stage: Ints,
) -> dict[int, Override]:
    """Put decisions by hand in the place of what rules say; return by row which one stood."""
    stood: dict[int, Override] = {}
    for owner, decided in customers.overrides.items():
        start, end = np.searchsorted(rows.owner, [owner, owner + 1])
        standing: Override | None = None
        ruled = -1
        for row in range(int(start), int(end)):
            policy = segments[rows.segment[row]].policy
            at, says = int(rows.at[row]), int(stage[row])
            news = segments[rows.segment[row]].records.at[rows.record[row]] == at
            made = [each for each in decided if each.at == at]
            if made:
                standing = made[-1]
            elif standing is not None and standing.until is None and (news or says != ruled):
                standing = None
            ruled = says
            if standing is not None and standing.until is not None and at >= standing.until:
                standing = None
            if standing is not None and standing.stage not in policy.stages:
                standing = None
            if standing is not None:
                stood[row] = standing
                stage[row] = names.index(standing.stage)
    return stood
