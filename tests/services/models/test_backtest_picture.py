"""The picture of a back-test: nothing lies on something else, and nothing is taken for markup."""

import itertools
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.models import backtest_picture, svg

TENTH = {"n": 1234, "predicted": 0.5, "churned": 0.4, "lower": 0.3, "upper": 0.6}


def cut(day: str, **more: Any) -> dict[str, Any]:
    told = [{"by": "served", "expected_purchases": 12.5, "error": 0.25},
            {"by": "process", "expected_purchases": 8.0, "error": -0.2}]  # fmt: skip
    totals = {"purchases": 10, "revenue": 99.0, "told": told}
    return {"cut": day, "customers": 1234, "calibration": [TENTH], "totals": totals, **more}


def test_words_are_not_taken_for_markup() -> None:
    found = ET.fromstring(svg.element("text", "a < b & </text>", x=1, class_='"><script>'))
    assert (found.text, found.attrib) == ("a < b & </text>", {"x": "1", "class": '"><script>'})


@pytest.mark.parametrize(
    ("largest", "top"),
    [(0, 1), (1, 1), (1.1, 1.25), (499, 500), (501, 1000), (0.03, 0.05), (26, 50), (12, 12.5)],
)
def test_the_top_of_an_axis_is_round(largest: float, top: float) -> None:
    assert svg.nice_top(largest) == pytest.approx(top)


@given(st.lists(st.floats(0, 340), max_size=20))
def test_labels_are_apart_and_in_order(places: list[float]) -> None:
    found = svg.spread_apart(places, 13, 0, 340)
    order = sorted(range(len(places)), key=places.__getitem__)
    ranked = [found[at] for at in order]
    assert all(low + 13 <= high + 1e-6 for low, high in itertools.pairwise(ranked))
    assert all(-1e-6 <= place <= 340 + 1e-6 for place in found)


def test_a_label_stays_where_there_is_room() -> None:
    assert svg.spread_apart([10, 100, 60], 13, 0, 340) == [10, 100, 60]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_too_little_history_is_said_in_the_picture(language: backtest_picture.Language) -> None:
    drawn = backtest_picture.draw([{"cut": "2026-01-01", "customers": 0}], 90, language)
    assert drawn.count(backtest_picture._WORDS[language]["nothing"]) == 2  # and said
    ET.fromstring(drawn)


def test_every_language_has_all_words() -> None:
    words = backtest_picture._WORDS  # they have no other home
    assert set(words["en"]) == set(words["zh"])


def test_one_of_before_there_were_totals_is_drawn_without_them() -> None:
    old = cut("2026-01-01")
    del old["totals"]
    drawn = ET.fromstring(backtest_picture.draw([old], 90, "en"))
    assert [each.get("class") for each in drawn].count("made") == 0
    assert "n 1,234" in [each.text for each in drawn]


def test_intervals_are_drawn_where_there_are_some() -> None:
    folds = [cut("2026-01-01"), cut("2026-02-01")]
    folds[1]["totals"]["told"][0]["interval"] = {"low": 9, "high": 16}
    drawn = ET.fromstring(backtest_picture.draw(folds, 30, "en"))
    (reach,) = (each for each in drawn if each.get("class") == "reach")
    bars = [each for each in drawn if each.get("class") == "made" and each.get("height") != "12"]
    foot = float(bars[0].get("y", 0)) + float(bars[0].get("height", 0))
    scale = (foot - float(bars[0].get("y", 0))) / 10
    assert foot - float(reach.get("y1", 0)) == pytest.approx(9 * scale, abs=0.1)
    assert foot - float(reach.get("y2", 0)) == pytest.approx(16 * scale, abs=0.1)
