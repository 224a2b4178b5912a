"""Margin rates against a slow twin and a population of which everything is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.scoring.spend import margins


def sums(by_customer):
    """Return what `fit` takes, of purchases (value, margin) by customer, with loops."""
    return tuple(
        [add(own) for own in by_customer]
        for add in (
            len,
            lambda own: sum(value for value, _ in own),
            lambda own: sum(margin for _, margin in own),
            lambda own: sum(margin * margin / value for value, margin in own),
        )
    )


def population(rng, customers=4000, spread=0.1):
    found = []
    for _ in range(customers):
        rate = 0.2 + spread * rng.normal()
        values = rng.gamma(2, 25, rng.integers(1, 12))
        # The rate of a purchase varies the less, the more it is worth.
        found.append([(v, v * (rate + rng.normal() * 2 / math.sqrt(v))) for v in values])
    return found


def slow(by_customer):
    """Return rate and prior revenue by the textbook's estimators, deviation by deviation."""
    weights = [[value for value, _ in own] for own in by_customer]
    rates = [[margin / value for value, margin in own] for own in by_customer]
    total = sum(map(sum, weights))
    means = [np.average(r, weights=w) for r, w in zip(rates, weights, strict=True)]
    rate = sum(m * sum(w) for m, w in zip(means, weights, strict=True)) / total
    degrees = sum(len(own) - 1 for own in by_customer)
    within = (
        sum(
            w * (r - m) ** 2
            for ws, rs, m in zip(weights, rates, means, strict=True)
            for w, r in zip(ws, rs, strict=True)
        )
        / degrees
    )
    between = sum(sum(w) * (m - rate) ** 2 for w, m in zip(weights, means, strict=True))
    between -= (len(by_customer) - 1) * within
    between /= total - sum(sum(w) ** 2 for w in weights) / total
    return rate, within / between


def test_it_is_the_textbook():
    own = population(np.random.default_rng(0), customers=200)
    found = margins.fit(*sums(own))
    rate, prior = slow(own)
    assert found.rate == pytest.approx(rate)
    assert found.prior_revenue == pytest.approx(prior, rel=1e-9)
    assert found.customers == 200


def test_it_finds_what_a_population_is_made_of_and_foretells_better_than_either():
    rng = np.random.default_rng(1)
    own = population(rng)
    found = margins.fit(*sums(own))
    assert found.rate == pytest.approx(0.2, abs=0.01)
    assert found.prior_revenue == pytest.approx(2**2 / 0.1**2, rel=0.2)
    seen, later = [each[: len(each) // 2] for each in own], [each[len(each) // 2 :] for each in own]
    _, w, m, _ = (np.array(column) for column in sums(seen))
    truth = np.array([sum(b for _, b in each) / sum(a for a, _ in each) for each in later])
    shrunk = found.of(w, m)
    alone = np.where(w > 0, m / np.maximum(w, 1e-9), found.rate)
    error = {name: np.mean((guess - truth) ** 2) for name, guess in
             (("shrunk", shrunk), ("alone", alone), ("all", found.rate))}  # fmt: skip
    assert error["shrunk"] < min(error["alone"], error["all"])


def test_alike_customers_have_the_rate_of_all():
    found = margins.fit(*sums(population(np.random.default_rng(6), customers=100, spread=0.0)))
    assert found.prior_revenue > 5000
    one_each = [[(10.0, 1.0)], [(20.0, -4.0)]]
    found = margins.fit(*sums(one_each))
    assert math.isinf(found.prior_revenue)
    np.testing.assert_allclose(found.of([10, 20, 0], [1, -4, 0]), -0.1)


def test_losses_stay_losses_and_who_has_no_margin_has_the_rate_of_all():
    found = margins.MarginRates(0.3, 100.0, 5)
    np.testing.assert_allclose(
        found.of([0, 100, 1e9], [0, -50, -2e8]), [0.3, -0.1, -0.2], rtol=1e-6
    )
    exact = margins.MarginRates(0.3, 0.0, 5)
    np.testing.assert_allclose(exact.of([0, 50], [0, 5]), [0.3, 0.1])


def test_nobody_has_any():
    assert margins.fit([], [], [], []) is None
    assert margins.fit([0], [0], [0], [0]) is None
