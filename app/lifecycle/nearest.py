"""What would turn a rule for one customer: the fewest comparisons, and by how much each.

Of several ways that take as few, that one counts whose numbers have the least way to go, each as a
share of its threshold.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.lifecycle.expressions import ORDERED, AllOf, AnyOf, Compare, Expression
from app.lifecycle.variables.definition import Term, Turning

Known = Mapping[Term, Any]
"""The value of each term for the customer; None where it is not known."""
_RISES: Final = (">", ">=")


@dataclass(frozen=True, slots=True)
class Turn:
    """A comparison that has to come to hold, or no longer to.

    `missing` is by how much the number has to rise, or fall if negative, in the unit of the
    variable; None of what is no number or is not known. `in_days`: time alone turns it after so
    many whole days, while no fact arrives; None: it does not, or nobody knows when.
    """

    compare: Compare
    must_hold: bool
    value: Any
    missing: float | None
    in_days: int | None


@dataclass(frozen=True, slots=True)
class Way:
    """What has to turn, and after how many days time takes away something that has to stay.

    `within_days` is None where time takes nothing of it away.
    """

    turns: tuple[Turn, ...]
    within_days: int | None

    @property
    def length(self) -> tuple[int, float]:
        return len(self.turns), sum(map(_share, self.turns))


Holds = Callable[[Compare], bool]


def nearest(rule: Expression, known: Known, holds: Holds, *, must_hold: bool) -> Way | None:
    """Return the nearest way by which a rule comes to hold, or not to; None if there is none."""
    if isinstance(rule, Compare):
        return _compared(rule, known, holds(rule), must_hold=must_hold)
    if not isinstance(rule, (AllOf, AnyOf)):
        return nearest(rule.part, known, holds, must_hold=not must_hold)
    ways = [nearest(part, known, holds, must_hold=must_hold) for part in rule.parts]
    if isinstance(rule, AllOf) is must_hold:
        return None if None in ways else _together([way for way in ways if way is not None])
    found = [way for way in ways if way is not None]
    return min(found, key=lambda way: way.length) if found else None


def _together(ways: list[Way]) -> Way:
    turns = dict.fromkeys(turn for way in ways for turn in way.turns)
    return Way(tuple(turns), _earliest(way.within_days for way in ways))


def _earliest(days: Any) -> int | None:
    return min((each for each in days if each is not None), default=None)


def _compared(rule: Compare, known: Known, holds: bool, *, must_hold: bool) -> Way:  # noqa: FBT001
    value, bound = known[rule.term], _bound(rule, known)
    if holds is must_hold:
        return Way((), _days_until(rule, value, bound, holds=not must_hold))
    missing = None
    if bound is not None and isinstance(value, (int, float)) and not isinstance(value, bool):
        missing = _missing(rule, float(value), bound, must_hold=must_hold)
    turn = Turn(rule, must_hold, value, missing,
                _days_until(rule, value, bound, holds=must_hold))  # fmt: skip
    return Way((turn,), None)


def _bound(rule: Compare, known: Known) -> float | None:
    """Return the number that a value is compared with; None of other comparisons."""
    other: Any = known[rule.value] if isinstance(rule.value, Term) else rule.value
    number = isinstance(other, (int, float)) and not isinstance(other, bool)
    return float(other) if number and rule.op in (*ORDERED, "==") else None


def _missing(rule: Compare, value: float, bound: float, *, must_hold: bool) -> float | None:
    """Return by how much a number has to rise or fall; None where any other number would do."""
    if rule.op == "==":
        return bound - value if must_hold else None
    rises = (rule.op in _RISES) is must_hold
    reached = (rule.op in (">=", "<=")) is must_hold
    if not rule.term.variable.whole:
        return bound - value
    if rises:
        least = math.ceil(bound) if reached else math.floor(bound) + 1
    else:
        least = math.floor(bound) if reached else math.ceil(bound) - 1
    return least - value


def _days_until(rule: Compare, value: Any, bound: float | None, *, holds: bool) -> int | None:
    """Return after how many days time alone has a comparison hold, or no longer hold."""
    slope = _slope(rule.term)
    if not slope or bound is None or rule.op == "==" or isinstance(rule.value, Term):
        return None
    rises = (rule.op in _RISES) is holds
    if not isinstance(value, (int, float)) or rises is not (slope > 0):
        return None
    reached = (rule.op in (">=", "<=")) is holds
    way = (bound - value) * slope
    return max(math.ceil(way) if reached else math.floor(way) + 1, 0)


def _slope(term: Term) -> int:
    """Return by how much a day changes a number, if by one each."""
    if term.turning is Turning.AGES:
        return 1
    counts_down = term.turning is Turning.FALLS and term.variable.unit == "days"
    return -1 if counts_down and term.days is None else 0


def _share(turn: Turn) -> float:
    bound = turn.compare.value
    if turn.missing is None or not isinstance(bound, float):
        return 1.0
    return abs(turn.missing) / max(abs(bound), 1.0)
