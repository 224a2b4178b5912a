"""What would bring somebody in or out: the fewest comparisons, by how much, and by when."""

from typing import Any

import pytest

from app.lifecycle.expressions import Compare, comparisons
from app.lifecycle.nearest import Way, nearest
from app.lifecycle.reading import ExpressionReader
from app.lifecycle.variables.definition import Term


def rule(name: str, op: str, value: Any) -> dict[str, Any]:
    return {"variable": name, "op": op, "value": value}


def way(when: dict[str, Any], *, must_hold: bool, **known: Any) -> Way | None:
    reader = ExpressionReader({})
    reader.allows = lambda _: True
    expression = reader.when(when, "")
    assert not reader.faults
    values: dict[Term, Any] = {each.term: known.get(each.term.name)
                               for each in comparisons(expression)}  # fmt: skip

    def holds(compare: Compare) -> bool:
        value = values[compare.term]
        if value is None or isinstance(compare.value, Term):
            return False
        compared = {"<": value < compare.value, ">=": value >= compare.value,
                    ">": value > compare.value, "<=": value <= compare.value,
                    "==": value == compare.value}  # fmt: skip
        return bool(compared[compare.op])

    return nearest(expression, values, holds, must_hold=must_hold)


@pytest.mark.parametrize(
    ("op", "bound", "value", "must_hold", "missing"),
    [(">=", 3, 1, True, 2), (">", 3, 1, True, 3), ("<", 3, 5, True, -3), ("<=", 3, 5, True, -2),
     (">=", 3, 5, False, -3), (">", 3, 5, False, -2), ("<", 3, 1, False, 2),
     ("<=", 3, 1, False, 3), (">=", 2.5, 1, True, 2), ("==", 4, 1, True, 3),
     ("==", 4, 4, False, None)],
)  # fmt: skip
def test_a_whole_number_has_to_go_so_far(
    op: str, bound: float, value: float, must_hold: bool, missing: float | None
) -> None:
    found = way(rule("purchase_days", op, bound), must_hold=must_hold, purchase_days=value)
    assert found is not None
    assert [(turn.missing, turn.in_days) for turn in found.turns] == [(missing, None)]


def test_money_has_to_reach_its_bound() -> None:
    found = way(rule("revenue", ">=", 100), must_hold=True, revenue=70.5)
    assert found is not None
    assert found.turns[0].missing == pytest.approx(29.5)


@pytest.mark.parametrize(
    ("op", "bound", "value", "must_hold", "days"),
    [(">", 60, 10, True, 51), (">=", 60, 10, True, 50), ("<", 60, 10, False, 50),
     ("<=", 60, 10, False, 51), ("<", 60, 90, True, None), (">", 60, 90, False, None)],
)  # fmt: skip
def test_time_turns_what_ages(
    op: str, bound: float, value: float, must_hold: bool, days: int | None
) -> None:
    asked = rule("days_since_last_purchase", op, bound)
    found = way(asked, must_hold=must_hold, days_since_last_purchase=value)
    assert found is not None
    assert [turn.in_days for turn in found.turns] == [days]


def test_an_end_comes_nearer() -> None:
    asked = rule("days_until_contract_end", "<=", 60)
    found = way(asked, must_hold=True, days_until_contract_end=75)
    assert found is not None
    assert (found.turns[0].missing, found.turns[0].in_days) == (-15, 15)


def test_what_has_to_stay_may_run_out() -> None:
    both = {"all": [rule("purchase_days", ">=", 3), rule("tenure_days", "<", 90)]}
    found = way(both, must_hold=True, purchase_days=1, tenure_days=80)
    assert found is not None
    assert [turn.missing for turn in found.turns] == [2]
    assert found.within_days == 10


def test_the_fewest_and_then_the_shortest_count() -> None:
    many = {"all": [rule("purchase_days", ">=", 9), rule("revenue", ">=", 1000)]}
    near, far = rule("revenue", ">=", 200), rule("lives", ">=", 5)
    found = way({"any": [many, far, near]}, must_hold=True, purchase_days=1, revenue=150, lives=1)
    assert found is not None
    assert [turn.compare.term.name for turn in found.turns] == ["revenue"]
    out = way({"all": [rule("purchase_days", ">=", 1), rule("revenue", ">=", 149)]},
              must_hold=False, purchase_days=9, revenue=150)  # fmt: skip
    assert out is not None
    assert [turn.compare.term.name for turn in out.turns] == ["revenue"]
    negated = way({"not": rule("purchase_days", ">=", 2)}, must_hold=True, purchase_days=4)
    assert negated is not None
    assert [(turn.must_hold, turn.missing) for turn in negated.turns] == [(False, -3)]
