"""Times and days, on the clocks of a zone and counted since 1970."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mappings.bad import Bad
from app.mappings.document import Times
from app.mappings.times import EPOCH, LocalTimes, compiled, seconds_of, since_epoch, written

ZONES = ["Europe/Berlin", "Asia/Shanghai", "America/Sao_Paulo", "Africa/Cairo", "Asia/Kolkata",
         "Australia/Lord_Howe", "Pacific/Apia", "UTC"]  # fmt: skip
LOCAL = st.datetimes(datetime.fromisoformat("1950-01-01"), datetime.fromisoformat("2100-01-01"))


def read(text, patterns=None, **times):
    return written(LocalTimes(Times(**{"zone": "Europe/Berlin", **times})).reader(patterns)(text))


def code(text, patterns=None, **times):
    with pytest.raises(Bad) as bad:
        read(text, patterns, **times)
    return bad.value.code


@given(LOCAL, st.sampled_from(ZONES))
def test_local_times_are_those_of_the_standard_library(local, zone):
    expected = local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
    found = LocalTimes(Times(zone=zone)).iso(local.isoformat(" "))
    assert found == expected.replace(tzinfo=None)


@given(LOCAL, st.sampled_from(ZONES))
def test_a_time_that_clocks_show_once_comes_back_and_others_are_told(local, zone):
    clocks = LocalTimes(Times(zone=zone, ambiguous="reject", skipped="reject"))
    instants = {local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)}
    shown = {each.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for each in instants}
    if len(instants) == 1:
        assert clocks.local(clocks.iso(local.isoformat())) == local
        return
    with pytest.raises(Bad) as bad:
        clocks.iso(local.isoformat())
    assert bad.value.code == ("ambiguous_time" if shown == {local} else "skipped_time")


def test_hours_that_come_twice_or_never_follow_a_stated_rule():
    assert read("2024-03-31 02:30") == "2024-03-31T01:30:00Z"
    assert code("2024-03-31 02:30", skipped="reject") == "skipped_time"
    assert read("2024-10-27 02:30") == "2024-10-27T00:30:00Z"
    assert read("2024-10-27 02:30", ambiguous="later") == "2024-10-27T01:30:00Z"
    assert code("2024-10-27 02:30", ambiguous="reject") == "ambiguous_time"


def test_a_day_alone_is_its_beginning_or_its_noon_in_the_zone():
    assert read("2024-07-01") == "2024-06-30T22:00:00Z"
    assert read("20240701") == "2024-06-30T22:00:00Z"
    assert read("2024-07-01", days="noon") == "2024-07-01T10:00:00Z"
    assert read("Jul 1, 2024", ["%b %d, %Y"], days="noon") == "2024-07-01T10:00:00Z"
    assert read("2018-11-04", zone="America/Sao_Paulo", skipped="reject") == "2018-11-04T03:00:00Z"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-01-09T08:00:00.000Z", "2024-01-09T08:00:00Z"),
        ("2024-01-01T00:00:00.000+0000", "2024-01-01T00:00:00Z"),
        ("2026-06-01 22:10:00 -0500", "2026-06-02T03:10:00Z"),
        ("2024-01-09 09:31", "2024-01-09T08:31:00Z"),
        ("2024-01-09T09:31:00.25+02:00", "2024-01-09T07:31:00.250000Z"),
    ],
)
def test_forms_of_iso_8601_need_no_pattern(text, instant):
    assert read(text) == instant


@pytest.mark.parametrize(
    ("text", "pattern", "instant"),
    [
        ("Mar 28, 2024 04:12 PM", "%b %d, %Y %I:%M %p", "2024-03-28T15:12:00Z"),
        ("Oct 7, 2025 6:55 PM", "%b %d, %Y %I:%M %p", "2025-10-07T16:55:00Z"),
        ("Mar 30, 2025 12:00 AM", "%b %d, %Y %I:%M %p", "2025-03-29T23:00:00Z"),
        ("Mar 30, 2025 12:00 PM", "%b %d, %Y %I:%M %p", "2025-03-30T10:00:00Z"),
        ("31.12.2024 23:59", "%d.%m.%Y %H:%M", "2024-12-31T22:59:00Z"),
        ("1/2/24", "%m/%d/%y", "2024-01-01T23:00:00Z"),
        ("2024年2月9日", "%Y年%m月%d日", "2024-02-08T23:00:00Z"),
        ("09 September 2024", "%d %B %Y", "2024-09-08T22:00:00Z"),
        ("2024-01-09 10:00 +0800", "%Y-%m-%d %H:%M %z", "2024-01-09T02:00:00Z"),
    ],
)
def test_other_forms_are_declared(text, pattern, instant):
    assert read(text, [pattern]) == instant
    assert code("2024-13-45", [pattern]) == "not_a_time"


@pytest.mark.parametrize(
    "text", ["1990-02-29", "14/02/1988", "yesterday", "2024-01-09 25:00", "12", "0000-01-01"]
)
def test_days_that_do_not_exist_and_other_forms_are_no_times(text):
    assert code(text) == "not_a_time"
    assert code("1990-02-29", ["%Y-%m-%d"]) == "not_a_time"


def test_years_that_cannot_be_stored_are_out_of_range():
    assert code("1900-12-31 12:00") == "out_of_range"
    assert code("2200-01-01T00:00:00Z") == "out_of_range"
    assert code("9999-12-31") == "out_of_range"


def test_a_time_without_offset_needs_a_zone():
    assert code("2024-01-09 09:31", zone=None) == "not_a_time"
    assert read("2024-01-09 09:31+01:00", zone=None) == "2024-01-09T08:31:00Z"


@given(st.integers(-2_000_000_000, 7_000_000_000))
def test_counts_since_1970_are_exact(seconds):
    at = EPOCH + timedelta(seconds=seconds)
    assert since_epoch(str(seconds), 1) == since_epoch(f"{seconds}000", 1_000) == at
    assert seconds_of(at) == seconds


@pytest.mark.parametrize("text", ["1.5", "1e9", "", "-", "９", "99999999999999999"])
def test_other_counts_are_none(text):
    with pytest.raises(Bad):
        since_epoch(text, 1)


def test_days_of_counts_are_those_of_the_zone_also_in_the_summers_of_china():
    shanghai = LocalTimes(Times(zone="Asia/Shanghai"))

    def day(milliseconds):
        return shanghai.local(since_epoch(str(milliseconds), 1_000)).date()

    assert day(457372800000) == date(1984, 6, 30)
    assert day(551977200000) == date(1987, 6, 30)


@pytest.mark.parametrize("pattern", ["%Y", "%d.%m", "%Q", "%H:%M", "", "%Y %Y %m %d", "%"])
def test_patterns_that_are_none_are_told(pattern):
    assert compiled(pattern) is None
