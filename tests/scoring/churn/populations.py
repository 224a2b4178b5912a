"""Made-up populations on which churn risk must not be absurd, whatever became of them."""

from __future__ import annotations

import numpy as np

from app.scoring.histories.features import Facts


def poisson(rng, start, rate, end, factor=np.ones_like, leave=None):
    """Purchases at a rate of each customer's own, times a factor of the day, until they leave."""
    most = float(factor(np.arange(end + 1.0)).max())
    until = np.full(start.size, end) if leave is None else np.minimum(leave, end)
    rows = []
    for customer, (first, own, last) in enumerate(zip(start, rate, until, strict=True)):
        gaps = rng.exponential(1 / (own * most), rng.poisson(own * most * end) + 30)
        when = first + np.cumsum(gaps)
        when = when[when <= last]
        kept = when[rng.random(when.size) < factor(when) / most]
        rows += [(customer, int(day)) for day in (first, *kept)]
    return facts(rows)


def facts(rows):
    customer, day = np.array(rows).reshape(-1, 2).T
    return Facts(customer=customer, day=day, amount=np.ones(customer.size))


def season(day):
    """The last 60 days of each year."""
    return np.where(day % 365 >= 305, 2.2, 0.85)


def alike(rng, end):
    """All alike, and the rate known to nobody but the season."""
    start = rng.uniform(0, 365, 600)
    return poisson(rng, start, np.full(600, 1 / 90), end, season)


def growth(rng, end):
    start = end * np.sqrt(rng.random(700))
    rate = rng.gamma(1, 1 / 60, 700) + 1e-4
    return poisson(rng, start, rate, end, leave=start + rng.exponential(300, 700))


def strike(rng, end):
    """For 60 days nobody bought, half a year ago."""
    start = rng.uniform(0, end / 2, 500)
    rate = rng.gamma(2, 1 / 100, 500) + 1e-4

    def open_(day):
        return np.where((day >= end - 240) & (day < end - 180), 1e-9, 1.0)

    return poisson(rng, start, rate, end, open_)


def dearer(rng, end):
    """Prices rose half a year ago, and half as much is bought since."""
    start = rng.uniform(0, end / 2, 500)
    rate = rng.gamma(2, 1 / 100, 500) + 1e-4
    return poisson(rng, start, rate, end, lambda day: np.where(day >= end - 180, 0.5, 1.0))


def subscriptions(rng, end):
    rows = []
    for customer in range(400):
        day = rng.uniform(0, 0.9 * end)
        while day <= end:
            rows.append((customer, int(day)))
            if rng.random() < 0.05:
                break
            day += 30
    return facts(rows)


def twelve(rng, end):
    """Business customers who order every other week or so."""
    return poisson(rng, rng.uniform(0, 60, 12), rng.gamma(3, 1 / 45, 12) + 0.02, end)


def once(rng, end):
    return facts(list(enumerate(rng.integers(0, end, 400))))


def donors(rng, end, *, n=139, leave=0.02, spread=None):
    """They give each month, to the day."""
    rows = []
    for customer in range(n):
        day = float(rng.uniform(0, spread or end / 2))
        while day <= end:
            rows.append((customer, int(day)))
            if rng.random() < leave:
                break
            day += rng.normal(30.6, 1.0)
    return facts(rows)


ALL = (alike, growth, strike, dearer, subscriptions, twelve, once, donors)
