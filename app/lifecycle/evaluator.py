"""The one evaluator: columns of many customers in, their stages and the deciding rules out.

Used for one customer, for a batch at ingest and for everybody, so that a rule has one meaning.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.lifecycle.facts import Point, State
from app.lifecycle.policy import CLOCK_VARIABLES, Condition, Policy

Ints = NDArray[np.int64]
DayStart = Callable[[Ints], Ints]
"""From days to the instants at which they begin in the deployment's zone."""

_OPERATORS: dict[str, Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
}

FACT, SILENCE = 0, 1
CAUSES = ("fact", "silence")


@dataclass(frozen=True)
class Columns:
    """States as columns of equal length; days of those who never purchased are 0."""

    purchase_days: Ints
    first_day: Ints
    last_day: Ints
    life_start_day: Ints
    life_purchase_days: Ints

    @classmethod
    def of(cls, states: Sequence[State]) -> "Columns":
        table = np.array(states, dtype=np.int64).reshape(len(states), len(State._fields))
        return cls(*table.T[:5])

    def take(self, rows: Ints) -> "Columns":
        return Columns(
            self.purchase_days[rows],
            self.first_day[rows],
            self.last_day[rows],
            self.life_start_day[rows],
            self.life_purchase_days[rows],
        )


def silence_limit(policy: Policy, columns: Columns) -> NDArray[np.float64]:
    """Return `SilenceLimit.after` of each row."""
    rule = policy.silence
    gaps = columns.life_purchase_days - 1
    gap = (columns.last_day - columns.life_start_day) / np.maximum(gaps, 1)
    own = np.minimum(rule.gap_multiple * gap, gap + rule.gap_margin_days)
    return np.where(gaps > 0, np.maximum(rule.floor_days, own), rule.floor_days)


def variables(policy: Policy, columns: Columns, day: Ints) -> dict[str, NDArray[np.float64]]:
    """Return the variables that rules may name, as they are at the end of each `day`."""
    return {
        "purchase_days": columns.purchase_days.astype(np.float64),
        "life_purchase_days": columns.life_purchase_days.astype(np.float64),
        "tenure_days": (day - columns.first_day).astype(np.float64),
        "days_silent": (day - columns.last_day).astype(np.float64),
        "silence_limit_days": silence_limit(policy, columns),
    }


def _value(condition: Condition, values: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    if isinstance(condition.value, str):
        return values[condition.value]
    return np.float64(condition.value)  # type: ignore[return-value]  # broadcasts as an array


def evaluate(policy: Policy, columns: Columns, day: Ints) -> tuple[Ints, Ints]:
    """Return the stage code and the index of the deciding rule of each row on its `day`."""
    values = variables(policy, columns, day)
    rule = np.full(len(columns.purchase_days), -1, dtype=np.int64)
    for index, candidate in enumerate(policy.rules):
        holds = rule < 0
        for condition in candidate.conditions:
            compare = _OPERATORS[condition.operator]
            holds = holds & compare(values[condition.variable], _value(condition, values))
        rule[holds] = index
    stage_of = np.array([policy.stage_code(each.stage) for each in policy.rules], dtype=np.int64)
    return stage_of[rule], rule


def turning_days(policy: Policy, columns: Columns) -> Ints:
    """Return, one column a clock condition, the first day on which it turns without a fact."""
    base = {"days_silent": columns.last_day, "tenure_days": columns.first_day}
    values = {"silence_limit_days": silence_limit(policy, columns)}
    turns = []
    for rule in policy.rules:
        for condition in rule.conditions:
            if condition.variable in CLOCK_VARIABLES:
                limit = np.broadcast_to(
                    _value(condition, values), columns.purchase_days.shape
                ).astype(np.float64)
                after_equal = condition.operator in (">", "<=")
                days = np.floor(limit) + 1 if after_equal else np.ceil(limit)
                turns.append(base[condition.variable] + days.astype(np.int64))
    return np.stack(turns, axis=1)


@dataclass(frozen=True)
class Moves:
    """Changes of stage in order of owner and time; `point` names the state behind each."""

    owner: Ints
    at: Ints
    day: Ints
    from_stage: Ints
    to_stage: Ints
    cause: Ints
    rule: Ints
    point: Ints


def moves(
    policy: Policy,
    owner: Ints,
    points: Sequence[Point],
    *,
    until: Ints,
    day_start: DayStart,
    first_is_known: NDArray[np.bool_] | None = None,
) -> Moves:
    """Return every change of stage that follows from the points, up to `until` (by owner).

    Parameters
    ----------
    owner
        For each point the number of its customer, ascending; points of one in order of time.
    until
        By owner number, the last instant to look at.
    first_is_known
        By owner number, whether the first point is where the ledger stands already, so that it is
        no move; otherwise everyone begins in the first stage of the policy.
    """
    columns = Columns.of([point.state for point in points])
    at = np.array([point.at for point in points], dtype=np.int64)
    day = np.array([point.day for point in points], dtype=np.int64)
    is_first = np.r_[True, owner[1:] != owner[:-1]] if len(owner) else np.zeros(0, dtype=bool)

    turning_point, turning_day, turning_at = _turnings(
        policy, columns, at, day, owner, until, day_start
    )
    rows = np.concatenate([np.arange(len(at)), turning_point])
    all_at = np.concatenate([at, turning_at])
    all_day = np.concatenate([day, turning_day])
    cause = np.repeat([FACT, SILENCE], [len(at), len(turning_at)])
    stage, rule = evaluate(policy, columns.take(rows), all_day)

    order = np.lexsort((cause == FACT, all_at, owner[rows]))
    rows, all_at, all_day = rows[order], all_at[order], all_day[order]
    cause, stage, rule = cause[order], stage[order], rule[order]
    begins = is_first[rows] & (cause == FACT)
    before = np.r_[np.zeros(1, dtype=np.int64), stage[:-1]] if len(stage) else stage
    before = np.where(begins, 0, before)
    changed = stage != before
    if first_is_known is not None:
        changed &= ~(begins & first_is_known[owner[rows]])
    return Moves(
        owner[rows][changed],
        all_at[changed],
        all_day[changed],
        before[changed],
        stage[changed],
        cause[changed],
        rule[changed],
        rows[changed],
    )


def _turnings(
    policy: Policy,
    columns: Columns,
    at: Ints,
    day: Ints,
    owner: Ints,
    until: Ints,
    day_start: DayStart,
) -> tuple[Ints, Ints, Ints]:
    """Return point, day and instant of the turns that come before the next fact and `until`.

    A turn at the very instant of the next fact is no period of its own: the fact decides.
    """
    days = turning_days(policy, columns)
    point, which = np.nonzero((days > day[:, None]) & (columns.purchase_days > 0)[:, None])
    turn_day = days[point, which]
    turn_at = day_start(turn_day)
    has_next = np.r_[owner[1:] == owner[:-1], False] if len(owner) else np.zeros(0, dtype=bool)
    next_at = np.where(has_next, np.r_[at[1:], 0], np.iinfo(np.int64).max) if len(at) else at
    kept = (turn_at < next_at[point]) & (turn_at <= until[owner[point]])
    return point[kept], turn_day[kept], turn_at[kept]
