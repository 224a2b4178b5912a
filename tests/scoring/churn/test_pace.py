"""The pace of late: followed where it changed, quiet where it did not, and blind to the future."""

from __future__ import annotations

import numpy as np
import pytest

from app.scoring.churn import observation, walk_forward
from app.scoring.churn.pace import MOST, Pace
from app.scoring.histories.features import Facts, Features, features_at
from app.scoring.purchases.registry import MODELS
from app.seasons import Season
from tests.scoring.churn import populations

CUT, WINDOW = 690, 90


def shop(pace=1.0, *, since=CUT - 60):
    """Buyers who have bought at a pace of their own, and everybody at another one since a day."""
    rng = np.random.default_rng(8)
    rate = rng.gamma(3, 1 / 300, 900) + 1e-3
    factor = lambda day: np.where(day >= since, pace, 1.0)  # noqa: E731
    return populations.poisson(rng, rng.uniform(0, 300, 900), rate, CUT + WINDOW, factor)


def told(facts):
    """The share that the pace tells, that the process does, and that came."""
    who, known = features_at(facts, as_of=CUT)
    process = observation.fit_process(known, "mbg_nbd")
    share = Pace(facts, CUT, WINDOW).share(process, known, CUT)
    own = known.x, known.t_x, known.T
    expected = process.p_no_purchase(*own, horizon=WINDOW).mean()
    return share, expected, observation.churned(facts, who, CUT, WINDOW).mean()


def test_a_pace_that_keeps_is_what_the_process_expects():
    share, expected, came = told(shop())
    assert share == pytest.approx(came, abs=0.04)
    assert expected == pytest.approx(came, abs=0.04)


@pytest.mark.parametrize("pace", [0.4, 2.0])
def test_a_pace_that_changed_within_the_last_window_is_followed(pace):
    facts = shop(pace)
    share, expected, came = told(facts)
    assert abs(share - came) < 0.5 * abs(expected - came)
    track = walk_forward.plain(walk_forward.look_back(facts, CUT, WINDOW), "mbg_nbd")
    by_windows = track.recalibrated(None).probability(track.past.now, horizon=WINDOW).mean()
    assert abs(by_windows - came) < abs(expected - came)


def test_a_season_is_no_change_of_pace():
    """More than three times as fast in summer, looked at in spring: faster days lie ahead."""
    season = Season.of([0.6, 0.6, 0.6, 0.8, 1.0, 1.6, 2.0, 1.6, 1.2, 0.8, 0.6, 0.6])
    rng, spring = np.random.default_rng(8), 480
    rate = rng.gamma(3, 1 / 300, 900) + 1e-3

    def factor(day):
        month = np.asarray(day).astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12
        return np.array(season.factors)[month]

    facts = populations.poisson(rng, rng.uniform(0, 300, 900), rate, spring + WINDOW, factor)
    who, known = features_at(facts, as_of=spring)
    process = observation.fit_process(known, "mbg_nbd")
    came = observation.churned(facts, who, spring, WINDOW).mean()
    plain, own = (
        abs(Pace(facts, spring, WINDOW, of).share(process, known, spring) - came)
        for of in (None, season)
    )
    assert own < 0.3 * plain


def test_nothing_after_the_day_matters():
    facts, rng = shop(0.4), np.random.default_rng(1)
    day = np.where(facts.day > CUT, CUT + rng.integers(1, 200, facts.day.size), facts.day)
    changed = Facts(customer=facts.customer, day=day, amount=facts.amount)
    _, known = features_at(facts, as_of=CUT)
    process = observation.fit_process(known, "mbg_nbd")
    first, again = (
        Pace(some, CUT + 60, WINDOW).share(process, known, CUT) for some in (facts, changed)
    )
    assert first == again
    assert first != Pace(facts, CUT + 60, WINDOW).share(process, known, CUT + 60)


@pytest.mark.parametrize(("span", "window"), [(20, 30), (5, 1), (60, 90)])
def test_too_few_parts_tell_nothing(span, window):
    facts = Facts(customer=np.arange(80) % 40, day=np.arange(80) // 40 * span, amount=np.ones(80))
    _, known = features_at(facts, as_of=span)
    process = MODELS["mbg_nbd"].build(r=1.0, alpha=30.0, a=1.0, b=2.0)
    found = Pace(facts, span, window).share(process, known, span)
    assert found is None or window == 1
    empty = Facts(customer=[], day=[], amount=[])
    assert Pace(empty, span, window).share(process, Features.of([], [], []), span) is None


def test_parts_lie_end_to_end_up_to_the_last_day_and_are_not_too_many():
    pace = Pace(shop(), CUT, 30)
    days = [part.day for part in pace._parts]
    assert days[0] == CUT - pace.days
    assert set(np.diff(days)) == {-pace.days}
    assert len(days) == min(MOST, (CUT - 15) // pace.days)


def followed(facts, end, window=30):
    """How much of the way to the level of the pace is gone."""
    track = walk_forward.plain(walk_forward.look_back(facts, end, window), "mbg_nbd")
    return track._part_of_pace(end)


def test_the_pace_is_followed_as_far_as_it_would_have_helped():
    """Where the business moves all of it; of subscriptions, which no part of a window tells, none.

    Where there is nothing to judge by, it is not followed either.
    """
    rng = np.random.default_rng(3)
    rate = rng.gamma(3, 1 / 150, 900) + 1e-3

    def slower(day):
        """Five times a year as fast as the slowest, by turns of some months."""
        return np.where(np.asarray(day) // 130 % 2 == 0, 1.0, 0.2)

    moving = populations.poisson(rng, rng.uniform(0, 100, 900), rate, CUT, slower)
    assert followed(moving, CUT) > walk_forward.OF_PACE
    assert followed(populations.subscriptions(rng, 900), 900) == 0
    early = int(moving.day.min()) + 60
    assert followed(moving, early) == 0
