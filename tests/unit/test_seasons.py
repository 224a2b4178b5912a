"""The clock of a season: what a day counts, and back."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.seasons import LEAST, MONTHS, UNITS, Season

EPOCH = date(1970, 1, 1)
DAYS = st.integers(-100_000, 300_000)


@st.composite
def seasons(draw: st.DrawFn) -> Season:
    """Draw a season, mild or with months that hardly count."""
    spread = draw(st.sampled_from([0.01, 0.3, 2.0, 6.0]))
    logs = [draw(st.floats(-1, 1)) * spread for _ in range(MONTHS - 1)]
    found = Season.nearest(np.exp([*logs, spread]))
    assert found is not None or spread == 0.01
    return found or Season.nearest([1] * 11 + [1.5])


@settings(max_examples=100, deadline=None)
@given(seasons())
def test_factors_add_up_to_twelve_and_come_back_as_they_are_told(season):
    assert sum(season.factors_in_units) == MONTHS * UNITS
    assert min(season.factors) >= LEAST
    assert Season.of(season.factors) == season


@settings(max_examples=200, deadline=None)
@given(seasons(), st.lists(DAYS, min_size=1, max_size=40))
def test_the_clock_rises_and_is_undone_exactly(season, days):
    asked = np.array(days)
    clock = season.clock(asked)
    assert (season.clock(asked + 1) > clock).all()
    assert [season.clock_of_one(day) for day in days] == clock.tolist()
    first, ahead = asked.min(), np.linspace(0, 500, len(days))
    np.testing.assert_allclose(
        season.days_after(first, season.between(first, asked)), asked - first, rtol=1e-12, atol=1e-9
    )
    told = season.days_after(asked, ahead)
    assert [season.days_after_one(*each) for each in zip(days, ahead.tolist())] == told.tolist()  # noqa: B905
    assert (np.diff(season.days_after(first, ahead)) >= 0).all()


@settings(max_examples=50, deadline=None)
@given(seasons(), st.integers(-20_000, 40_000))
def test_each_day_counts_what_its_month_does_in_leap_years_too(season, first):
    told = np.diff(season.clock(np.arange(first, first + 1_600)))
    months = [(EPOCH + timedelta(days=first + n)).month for n in range(1_599)]
    assert told.tolist() == [season.factors_in_units[month - 1] for month in months]


@settings(max_examples=100, deadline=None)
@given(seasons(), st.integers(-20_000, 40_000))
def test_a_year_counts_nearly_as_many_days_wherever_it_begins(season, first):
    """Up to what months of 28 to 31 days make of it, and a day of the fastest month."""
    year = float(season.between(first, first + 365))
    uneven = sum(abs(days - 365 / 12) for days in (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31))
    assert abs(year - 365) <= season.most * uneven / 2 + season.most


def test_where_all_months_are_alike_there_is_no_season():
    assert Season.of(None) is None
    assert Season.of([1.0] * 12) is None
    assert Season.nearest([3.0] * 12) is None
    flat = Season((UNITS,) * MONTHS)
    days = np.arange(-50_000, 60_000, 7)
    assert (flat.clock(days) == days * UNITS).all()
    assert (flat.between(days, days + 90) == 90).all()


def test_the_farthest_days_have_a_clock_that_runs_like_any_day():
    season = Season.nearest([1] * 11 + [5])
    far = np.array([-700_000, -500_000, 2**40])
    assert (season.clock(far + 1) - season.clock(far) == UNITS).all()
    assert season.days_after(far, [3.0, 0.0, 1e6]).tolist() == [3.0, 0.0, 1e6]


@pytest.mark.parametrize(
    ("factors", "said"),
    [([1.0] * 11, "there are 11 factors"), ([0.0, *[12 / 11] * 11], "at least 0.01"),
     ([1.0] * 11 + [1.5], "add up to 12.5")],
)  # fmt: skip
def test_what_is_no_season_is_refused(factors, said):
    with pytest.raises(ValueError, match=said):
        Season.of(factors)
