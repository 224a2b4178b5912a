"""How likely so long a silence is of a customer who has not left: every model of purchases."""

import numpy as np
import pytest

from app.scoring.purchases.registry import MODELS

DROPOUT = {"a": 0.6, "b": 1.4}
MODELS_AT_HAND = {
    "mbg_nbd": MODELS["mbg_nbd"].build(r=1.2, alpha=20.0, **DROPOUT),
    "bg_nbd": MODELS["bg_nbd"].build(r=1.2, alpha=20.0, **DROPOUT),
    "pareto_nbd": MODELS["pareto_nbd"].build(r=1.2, alpha=20.0, s=0.7, beta=30.0),
    "nbd": MODELS["nbd"].build(r=1.2, alpha=20.0),
    "mbg_cnbd_k": MODELS["mbg_cnbd_k"].build(r=1.2, alpha=10.0, k=3, **DROPOUT),
    "bg_cnbd_k": MODELS["bg_cnbd_k"].build(r=1.2, alpha=10.0, k=3, **DROPOUT),
}


def test_every_kind_is_here():
    assert set(MODELS_AT_HAND) == set(MODELS)


def simulated(model, x, t_x, silence, seed=0):
    """Return the share of simulated customers of a history who are silent for longer, and n.

    Rates are drawn from the population, and the customers kept who have come to purchase ``x`` at
    about ``t_x``; whoever is still active then waits for one more gap.
    """
    rng = np.random.default_rng(seed)
    n, k = 1_500_000, int(model.params.get("k", 1))
    rate = rng.gamma(model.params["r"], 1 / model.params["alpha"], n)
    last = rng.gamma(k * x, 1 / rate) if x else np.zeros(n)
    alike = np.abs(last - t_x) <= 0.03 * t_x
    gap = rng.gamma(k, 1 / rate[alike])
    return float((gap > silence).mean()), int(alike.sum())


@pytest.mark.parametrize("kind", ["mbg_nbd", "mbg_cnbd_k"])
@pytest.mark.parametrize(
    ("x", "t_x", "silence"), [(0, 0, 15), (1, 30, 10), (3, 60, 40), (6, 80, 20)]
)
def test_it_is_the_share_of_simulated_customers(kind, x, t_x, silence):
    model = MODELS_AT_HAND[kind]
    share, n = simulated(model, x, t_x, silence)
    assert n > 5_000
    found = float(model.silence_if_active(x, t_x, t_x + silence))
    assert found == pytest.approx(share, abs=4 * (share * (1 - share) / n) ** 0.5 + 0.005)


@pytest.mark.parametrize("kind", MODELS_AT_HAND)
def test_it_begins_at_one_and_falls_with_the_silence(kind):
    model = MODELS_AT_HAND[kind]
    silence = np.linspace(0, 2000, 200)
    for x, t_x in ((0, 0.0), (1, 5.0), (40, 900.0)):
        found = model.silence_if_active(x, t_x, t_x + silence)
        assert found[0] == 1
        assert (np.diff(found) < 0).all()
        assert (found > 0).all()


def test_gaps_of_one_phase_have_no_memory():
    erlang = MODELS["mbg_cnbd_k"].build(r=1.2, alpha=20.0, k=1, **DROPOUT)
    x, t_x, T = np.array([0, 1, 7, 30]), np.array([0, 4, 90, 200]), np.array([50, 4, 200, 900])
    plain = ((20 + t_x) / (20 + T)) ** (1.2 + x)
    for model in (erlang, *(MODELS_AT_HAND[kind] for kind in ("mbg_nbd", "pareto_nbd", "nbd"))):
        assert model.silence_if_active(x, t_x, T) == pytest.approx(plain, rel=1e-12)


def test_alike_customers_are_as_regular_as_their_common_rate():
    """A population without differences has a huge alpha: nothing cancels."""
    model = MODELS["nbd"].build(r=1e9, alpha=1e10)
    assert float(model.silence_if_active(3, 30, 50)) == pytest.approx(np.exp(-2), rel=1e-6)


def test_a_history_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="t_x"):
        MODELS_AT_HAND["nbd"].silence_if_active(1, 5, 4)
