"""What nobody could have foreseen is said."""

from __future__ import annotations

import numpy as np
import pytest

from app.scoring.churn import churn_selection, notes
from app.scoring.churn.candidates import Judged
from app.scoring.histories.features import Facts
from tests.scoring.churn import populations


def of(left, *, n=1000):
    """Windows of so many customers, of whom so many left each time."""
    churned = np.concatenate([np.arange(n) < round(share * n) for share in left])
    window = np.repeat(np.arange(len(left)), n)
    return Judged(tuple(range(len(left))), churned.astype(float), window, n)


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ((0.5, 0.5, 0.5, 0.5, 0.7), True),
        ((0.5, 0.5, 0.5, 0.5, 0.3), True),
        ((0.5, 0.5, 0.5, 0.5, 0.55), False),  # too little to matter
        ((0.5, 0.7, 0.3, 0.7, 0.3, 0.7), False),  # it has been so before
        ((0.5, 0.5, 0.7), False),  # nothing to compare with
    ],
)
def test_a_shock_is_what_exceeds_what_windows_differ_by(left, said):
    on = of(left)
    found = notes.changed(np.full(on.churned.size, 0.5), on, 30)
    assert bool(found) == said
    if said:
        assert f"{left[-1]:.0%}"[:2] in found
        assert "30 days" in found
        assert "50.0%" in found


def test_chance_among_few_is_no_shock_nor_is_everybody_leaving_infinite():
    told = np.full(4 * 12, 0.5)
    assert notes.changed(told, of((0.5, 0.5, 0.5, 0.75), n=12), 30) == ""
    assert "of" not in notes.changed(np.full(20, 0.5), of((1.0, 1.0, 1.0, 1.0), n=5), 30)
    assert notes.changed(np.zeros(0), Judged((), np.zeros(0), np.zeros(0, int), 0), 30) == ""


def test_a_strike_is_said_with_the_model():
    """Nobody could order in the last month."""
    rng = np.random.default_rng(1)
    facts = populations.growth(rng, 760)
    calm = churn_selection.choose(facts, as_of=760, horizon=30, kinds=("mbg_nbd",))
    assert "differ from what was learnt" not in calm.note
    kept = (facts.day <= 730) | (rng.random(facts.day.size) < 0.1)
    struck = Facts(customer=facts.customer[kept], day=facts.day[kept], amount=facts.amount[kept])
    choice = churn_selection.choose(struck, as_of=760, horizon=30, kinds=("mbg_nbd",))
    assert "the last 30 days differ from what was learnt" in choice.note
