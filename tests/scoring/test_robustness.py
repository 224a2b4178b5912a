"""Random and degenerate populations: every fit returns, with a status and usable predictions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.scoring.purchases import registry
from tests.depth import deep
from tests.scoring.populations import population

STATUSES = {"ok", "weakly_identified", "no_dropout_identified", "fallback"}


def check(kind, seed):
    x, t_x, T, gaps = population(seed)
    model = kind.fit(x, t_x, T, sum_log_gaps=gaps)
    assert model.status in STATUSES
    assert model.n == x.size
    assert all(0 < value < math.inf for value in model.params.values())
    assert math.isfinite(model.log_likelihood)
    few = x[:40], t_x[:40], T[:40]
    horizon = max(float(T.max()), 1.0) / 4
    for p in (model.p_alive(*few), model.p_no_purchase(*few, horizon=horizon)):
        assert ((p >= 0) & (p <= 1)).all()
    for values in (
        model.expected_purchases(*few, horizon=horizon),
        model.discounted_purchases(
            *few, annual_discount=0.1, periods_per_year=4 * horizon, horizon=horizon
        ),
    ):
        assert ((values >= 0) & np.isfinite(values)).all()
    assert np.isfinite(model.no_purchase_log_odds(*few, horizon=horizon)).all()
    assert np.isfinite(model.log_likelihood_each(*few)).all()


# One in two for the models that take milliseconds, degenerate ones all; one in twenty or so for the
# others, with large and degenerate ones among them.
EVERY = {"pareto_nbd": 20, "mbg_cnbd_k": 25, "bg_cnbd_k": 25}


@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize("kind", registry.MODELS.values(), ids=registry.MODELS)
def test_every_population_gets_a_usable_model(kind, part):
    every = EVERY.get(kind.name, 1)
    for seed in range(0, 500, every):
        if every == 1 and seed % 4 and seed % 3 and not deep():
            continue
        if seed // every % 5 == part:
            try:
                check(kind, seed)
            except Exception as problem:
                problem.add_note(f"population {seed}")
                raise
