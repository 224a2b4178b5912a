"""What serves churn risk where little was seen, or where what was learnt proved wrong."""

from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from app.config import Settings
from app.postgres.db import Database
from tests.api.test_models import fill, fitted
from tests.database import NOW
from tests.depth import drawn

END = NOW.date().isoformat()
DAYS = 500


def purchase(customer: int, day: int) -> dict[str, Any]:
    when = NOW - timedelta(days=DAYS - day)
    return {
        "customer_id": f"d{customer:04}",
        "transaction_id": f"{customer}-{day}",
        "occurred_at": when.isoformat(),
        "amount": {"amount": "10.00"},
    }


async def give_monthly(client: httpx.AsyncClient, customers: int, seed: int) -> None:
    """Monthly gifts; the first of the customers has been silent for two gifts."""
    rng = np.random.default_rng(seed)
    items = []
    for customer in range(customers):
        day, last = float(rng.uniform(0, 60)), DAYS
        if customer == 0:
            last = DAYS - 76
        elif rng.random() < 0.1:
            last = int(rng.integers(100, DAYS))
        while day <= last:
            items.append(purchase(customer, int(day)))
            day += rng.normal(30.6, 1.0)
    for start in range(0, len(items), 1000):
        body = {"items": items[start : start + 1000]}
        answer = await client.post("/v1/transactions/bulk", json=body)
        assert answer.json()["counts"]["rejected"] == 0, answer.json()


@pytest.mark.parametrize("seed", range(1, drawn(2, 4)))
async def test_few_who_buy_regularly_have_a_regular_process_and_no_band_that_contradicts_it(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings, seed: int
) -> None:
    await give_monthly(own_client, 139, seed)
    model = await fitted(own_client, own_database, settings, as_of=END, horizon_days=30)
    assert model["requested"] == "default"
    assert model["kind"] in ("mbg_cnbd_k", "bg_cnbd_k")
    risk = model["risk"]
    assert risk["process"]["kind"] in ("mbg_cnbd_k", "bg_cnbd_k")
    late = (await own_client.get(f"/v1/customers/d0000/scores?as_of={END}")).json()
    assert late["churn_risk"]["probability"] > 0.85
    if risk["status"] == "insufficient_history":
        assert (risk["bands_learnt"], risk["bands"]) == (False, [])
        assert risk["guard"]["reason"] == "not_judged"


async def test_without_a_kind_the_same_is_chosen_as_with_auto(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(own_client, 500)
    default = await fitted(own_client, own_database, settings, as_of=END)
    auto = await fitted(own_client, own_database, settings, as_of=END, kind="auto")
    for field in ("kind", "parameters", "holdout", "risk"):
        assert default[field] == auto[field], field
    assert default["kind"] == default["holdout"]["purchases"]["kind"]
    guard = default["risk"]["guard"]
    assert guard["kind"] == default["risk"]["kind"]
    assert guard["why"]
    assert guard["log_loss_served"] <= min(
        guard["log_loss_raw"], guard["log_loss_base_rate"]
    ) + 0.005  # fmt: skip


async def test_a_kind_that_was_asked_for_is_told_beside_the_base_rate(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(own_client, 500)
    asked = await fitted(own_client, own_database, settings, as_of=END, kind="nbd")
    guard = asked["risk"]["guard"]
    assert (guard["serves"], guard["kind"]) == ("raw", "nbd")
    assert guard["windows"] > 0
    worse = guard["log_loss"] > guard["log_loss_base_rate"]
    assert guard["reason"] in ({"loses_to_base_rate", "not_worse"} if worse else {"not_worse"})
    assert guard["log_loss"] == pytest.approx(guard["log_loss_raw"])
