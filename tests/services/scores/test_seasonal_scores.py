"""Scores of a business with a season over HTTP, against a calendar gone through day by day."""

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest

from app.config import Settings
from app.postgres.db import Database
from app.scoring.purchases.registry import MODELS
from app.worker import Worker
from tests.api.test_models import fitted
from tests.scoring.purchases import seasonal
from tests.services.scores.test_lifetime_values import (
    Twin,
    amount,
    cards,
    document,
    post,
)

EPOCH = date(1970, 1, 1)
DAYS = 1_000
NOW = EPOCH + timedelta(days=seasonal.BEGAN + DAYS)
AS_OF = NOW.isoformat()


def items(shape: str, days: int = DAYS) -> list[dict[str, Any]]:
    """Return the purchases of a business of that season up to the last day, one on each day."""
    log = np.stack(seasonal.log(shape, days=DAYS, seed=3, customers=500)[:2])
    customer, day = np.unique(log, axis=1)
    first = seasonal.BEGAN + DAYS - days
    return [
        {
            "customer_id": f"c{who:03d}",
            "transaction_id": str(number),
            "occurred_at": f"{EPOCH + timedelta(days=on)}T09:30:00+00:00",
            "amount": {"amount": "20.00"},
        }
        for number, (who, on) in enumerate(zip(customer.tolist(), day.tolist(), strict=True))
        if first <= on <= seasonal.BEGAN + DAYS
    ]


class Year:
    """Seasonal days by the calendar: one day after the other counts what its month does."""

    def __init__(self, factors: list[float], unit: int = 1) -> None:
        self.factors, self.unit = factors, unit

    def between(self, first: date, last: date) -> float:
        """Return the seasonal time of the days from one to before another, in units."""
        days = (first + timedelta(days=n) for n in range((last - first).days))
        return sum(self.factors[day.month - 1] for day in days) / self.unit


async def fit(
    client: httpx.AsyncClient, database: Database, settings: Settings, shape: str, **more: Any
) -> dict[str, Any]:
    await post(client, items(shape, more.pop("days", DAYS)))
    return await fitted(client, database, settings, activate=True, as_of=AS_OF, **more)


@pytest.mark.parametrize(
    ("kind", "unit"), [(None, "day"), ("mbg_nbd", "week"), ("mbg_cnbd_k", "day")]
)
async def test_cards_are_told_in_seasonal_time(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    kind: str | None,
    unit: str,
) -> None:
    model = await fit(own_client, own_database, settings, "summer", kind=kind, time_unit=unit)
    season = model["season"]
    assert season["status"] == "seasonal"
    assert sum(season["factors"]) == pytest.approx(12, abs=1e-12)
    assert [month["factor"] for month in season["months"]] == season["factors"]
    assert all(month["low"] < month["factor"] < month["high"] for month in season["months"])
    assert "July" in season["statement"]["en"] or "June" in season["statement"]["en"]
    truth = np.array(seasonal.season("summer").factors)
    assert np.abs(np.log(np.array(season["factors"]) / truth)).mean() < 0.25
    stored = await document(own_database, model["model_id"])
    process = MODELS[model["kind"]].build(**stored["purchases"]["parameters"])
    length = {"day": 1, "week": 7}[unit]
    year = Year(season["factors"], length)
    found = await cards(own_client, [f"c{n:03d}" for n in range(0, 500, 25)], as_of=AS_OF,
                        horizon_days=60, clv_horizon_days=120)  # fmt: skip
    bought = [card for card in found.values() if card["status"] == "ok"]
    assert len({card["model_inputs"]["x"] for card in bought}) > 2
    ahead = [year.between(NOW, NOW + timedelta(days=n)) for n in range(121)]
    for card in bought:
        given = card["model_inputs"]
        first = NOW - timedelta(days=round(given["T"] * length))
        last = first + timedelta(days=round(given["t_x"] * length))
        history = given["x"], year.between(first, last), year.between(first, NOW)
        told = card["p_alive"]
        assert told == pytest.approx(float(process.p_alive(*history)), rel=1e-9)
        if given["x"]:
            silent = float(process.silence_if_active(*history))
            assert card["rhythm"]["chance_if_active"] == pytest.approx(silent, rel=1e-9)
        chance = 1 - card["churn_risk"]["probability"]
        made = float(process.purchases_if_any(*history, horizon=ahead[60])) * chance
        assert card["expected_purchases"]["value"] == pytest.approx(made, rel=1e-6)
        if kind is not None:
            none = float(process.p_no_purchase(*history, horizon=ahead[60]))
            assert card["churn_risk"]["probability"] == pytest.approx(none, rel=1e-9)
            spent = Twin(stored).value([20.0] * (given["x"] + 1))
            total = [float(process.expected_purchases(*history, horizon=n)) for n in ahead]
            worth = sum(
                (after - before) * 1.1 ** (-(n + 0.5) / 365.25)
                for n, (before, after) in enumerate(pairwise(total))
            )
            assert amount(card["clv"]["value"]) == pytest.approx(
                worth * spent, rel=1e-3, abs=0.0051
            )


async def test_a_run_tells_what_cards_do_and_rules_and_given_histories_know_no_season(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    model = await fit(own_client, own_database, settings, "summer", kind="mbg_nbd")
    await own_client.post("/v1/scoring-runs", json={"as_of": AS_OF})
    worker = Worker(own_database, settings)
    while await worker.work_once():
        pass
    rows = (await own_client.get("/v1/scores", params={"limit": 50})).json()["items"]
    found = await cards(own_client, [row["customer_id"] for row in rows], as_of=AS_OF)
    for row in rows:
        card = found[row["customer_id"]]
        assert row["expected_purchases"] == pytest.approx(card["expected_purchases"]["value"])
        assert row["p_alive"] == pytest.approx(card["p_alive"])
        assert row["clv"] == card["clv"]["value"]
    stored = await document(own_database, model["model_id"])
    plain = MODELS["mbg_nbd"].build(**stored["season"]["plain"]["parameters"])
    assert stored["season"]["plain"]["parameters"] != stored["purchases"]["parameters"]
    given = {"x": 2, "t_x": 100, "T": 200}
    answer = await own_client.post("/v1/score", json={"items": [given], "horizon_days": 60})
    told = answer.json()["items"][0]
    assert told["p_alive"] == pytest.approx(float(plain.p_alive(2, 100, 200)))
    expected = float(plain.expected_purchases(2, 100, 200, horizon=60))
    assert told["expected_purchases"] == pytest.approx(expected)
    await _rules_part_values_of_plain_time(own_client, stored)


async def _rules_part_values_of_plain_time(
    client: httpx.AsyncClient, stored: dict[str, Any]
) -> None:
    """The fewest who hold half of the value that rules see are high."""
    twin = Twin({**stored, "purchases": stored["season"]["plain"]})
    values = {}
    for each, card in (await cards(client, [f"c{n:03d}" for n in range(500)], as_of=AS_OF)).items():
        if card["status"] == "ok":
            history = [card["model_inputs"][name] for name in ("x", "t_x", "T")]
            p = float(twin.process.p_no_purchase(*history, horizon=365))
            paid = twin.value([20.0] * (history[0] + 1))
            values[each] = twin.worth(*history, p, 365, 0.1) * paid
    asked = {"when": {"variable": "value_tier", "op": "==", "value": "high"}, "as_of": AS_OF}
    answer = await client.post("/v1/customers/query", json={**asked, "limit": 500})
    held = [values[item["customer_id"]] for item in answer.json()["items"]]
    half = sum(values.values()) / 2
    assert sum(held) - min(held) < half <= sum(held) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("shape", "days", "status"),
    [("none", DAYS, "no_season"), ("summer", 480, "too_little_history")],
)
async def test_without_a_season_there_is_none_and_all_is_told_as_before(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    shape: str,
    days: int,
    status: str,
) -> None:
    model = await fit(own_client, own_database, settings, shape, kind="mbg_nbd", days=days)
    season = model["season"]
    assert (season["status"], season["factors"]) == (status, None)
    assert (season["months"] is None) == (status == "too_little_history")
    assert str(season["history_days"]) in season["statement"]["en"]
    assert str(season["history_days"]) in season["statement"]["zh"]
    stored = await document(own_database, model["model_id"])
    assert stored["season"]["plain"] is None
    process = MODELS["mbg_nbd"].build(**stored["purchases"]["parameters"])
    ids = [f"c{n:03d}" for n in range(0, 500, 25)]
    for card in (await cards(own_client, ids, as_of=AS_OF, horizon_days=60)).values():
        if card["status"] == "ok":
            history = [card["model_inputs"][name] for name in ("x", "t_x", "T")]
            plain = float(process.expected_purchases(*history, horizon=60))
            assert card["expected_purchases"]["value"] == pytest.approx(plain, rel=1e-12)
            assert card["p_alive"] == float(process.p_alive(*history))
