"""Logs of businesses with a known season."""

import datetime as dt

import numpy as np

from app.seasons import UNITS, Season

BEGAN = (dt.date(2018, 4, 1) - dt.date(1970, 1, 1)).days
SHAPES = {
    "none": [1.0] * 12,
    "christmas": [0.7, 0.8, *[0.9] * 8, 1.6, 2.5],
    "summer": np.exp(0.9 * np.cos(2 * np.pi * (np.arange(12) - 6) / 12)),
}
AHEAD = 400


def season(shape):
    return Season.nearest(SHAPES[shape])


def log(shape, *, days, seed, customers=1500, strike=None):
    """Return customer, day and amount: customers come evenly, buy in seasonal time and leave.

    In the days of a strike, given from and to, nobody buys again.
    """
    rng = np.random.default_rng(seed)
    own, end = season(shape), BEGAN + days + AHEAD
    first = BEGAN + np.sort(rng.integers(0, days, customers))
    clock = (lambda day: day * 1.0) if own is None else lambda day: own.clock(day) / UNITS
    begun = 0.0 if own is None else float(own.clock(BEGAN)) / UNITS
    day_of = (
        (lambda told: told)
        if own is None
        else lambda told: BEGAN + own.days_after(BEGAN, told - begun)
    )
    rate, leave = rng.gamma(0.6, 1 / 40, customers), rng.beta(0.8, 3, customers)
    who, days_of = [np.arange(customers)], [first]
    now, left = clock(first), np.arange(customers)
    while left.size:
        stays = rng.random(left.size) > leave[left]
        left, now = left[stays], now[stays]
        now = now + rng.exponential(1 / rate[left])
        seen = now < clock(np.array(end))
        left, now = left[seen], now[seen]
        who.append(left)
        days_of.append(np.floor(day_of(now)).astype(np.int64))
    customer, day = np.concatenate(who), np.concatenate(days_of)
    if strike is not None:
        kept = (day < BEGAN + strike[0]) | (day >= BEGAN + strike[1])
        kept[:customers] = True
        customer, day = customer[kept], day[kept]
    return customer, day, np.ones(day.size)
