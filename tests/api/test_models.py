"""Models over HTTP: fitted by the worker, chosen on a hold-out, used for given histories."""

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.postgres.db import Database
from app.worker import Worker
from tests import documented
from tests.database import NOW

SAMPLE = Path(__file__).parents[2] / "app" / "sample" / "cdnow_sample.txt"
LOG_ENDS = date(1998, 6, 30)


def sample(customers: int) -> list[dict[str, str]]:
    """The first customers of the sample log, ended on the day before now."""
    shift = NOW.date() - timedelta(days=1) - LOG_ENDS
    items = []
    with SAMPLE.open() as lines:
        for number, row in enumerate(csv.reader(lines, delimiter=" ", skipinitialspace=True)):
            if int(row[1]) > customers:
                break
            on = datetime.strptime(row[2], "%Y%m%d").replace(hour=12, tzinfo=UTC) + shift
            items.append(
                {
                    "customer_id": row[1],
                    "transaction_id": str(number),
                    "occurred_at": on.isoformat(),
                    "amount": {"amount": row[4]},
                }
            )
    return items


async def fill(client: httpx.AsyncClient, customers: int) -> None:
    items = sample(customers)
    for start in range(0, len(items), 1000):
        answer = await client.post(
            "/v1/transactions/bulk", json={"items": items[start : start + 1000]}
        )
        assert answer.json()["counts"]["rejected"] == 0


async def fitted(
    client: httpx.AsyncClient, database: Database, settings: Settings, **request: object
) -> dict[str, Any]:
    """Fit a model through the API and a worker, put it in force, and return it as the API shows it.

    Not in force with `activate=False`.
    """
    accepted = await client.post("/v1/models", json={"activate": True, **request})
    assert accepted.status_code == 202
    worker = Worker(database, settings)
    while await worker.work_once():
        pass
    operation = documented.operation(await client.get(accepted.headers["location"]))
    assert operation["state"] == "succeeded", operation
    answer = await client.get(f"/v1/models/{operation['result']['model_id']}")
    shown: dict[str, Any] = answer.json()
    return shown


async def test_auto_chooses_by_hold_out_and_shows_the_table(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(own_client, 900)
    model = await fitted(own_client, own_database, settings, kind="auto")
    table = {row["kind"]: row for row in model["holdout"]["table"]}
    assert model["requested"] == "auto"
    assert model["kind"] == model["holdout"]["purchases"]["kind"]
    assert model["churn"]["kind"] == model["risk"]["process"]["kind"]
    picked = model["holdout"]["churn"]
    assert picked["serves"] == (picked["kind"] == model["risk"]["kind"])
    assert {"mbg_nbd", "bg_nbd", "pareto_nbd", "nbd", "hiatus", "base_rate"} <= set(table)
    least = min(row["mae"] for row in table.values() if row["role"] == "candidate")
    assert table[model["kind"]]["mae"] <= 1.1 * least
    card = (await own_client.get("/v1/customers/0001/scores")).json()
    assert card["status"] == "ok"
    assert card["rfm_class8"] is not None


@pytest.mark.parametrize("kind", ["bg_nbd", "pareto_nbd", "mbg_cnbd_k", "bg_cnbd_k", "nbd"])
async def test_each_kind_is_fitted_and_says_the_same_in_days_and_weeks(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings, kind: str
) -> None:
    await fill(own_client, 300)
    cards = []
    for unit in ("day", "week"):
        model = await fitted(own_client, own_database, settings, kind=kind, time_unit=unit)
        assert (model["kind"], model["time_unit"]) == (kind, unit)
        cards.append((await own_client.get("/v1/customers/0001/scores")).json())
    days, weeks = cards
    risk = days["churn_risk"]
    assert weeks["churn_risk"]["probability"] == pytest.approx(risk["probability"], rel=1e-6)
    assert risk["log_odds"] - risk["base_log_odds"] == pytest.approx(
        sum(reason["contribution"] for reason in risk["reasons"]), abs=1e-9
    )
    assert ("p_alive" in days["withheld"]) == (days["p_alive"] is None)
    assert (kind == "nbd") <= (days["p_alive"] is None)


async def test_given_histories_score_as_the_customers_who_have_them(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(own_client, 300)
    await fitted(own_client, own_database, settings, kind="mbg_nbd")
    card = (await own_client.get("/v1/customers/0001/scores?horizon_days=60")).json()
    inputs = {name: card["model_inputs"][name] for name in ("x", "t_x", "T")}
    given = [inputs, {"x": 0, "t_x": 0, "T": 10}] * 400
    answer = await own_client.post("/v1/score", json={"items": given, "horizon_days": 60})
    row = answer.json()["items"][798]
    assert len(answer.json()["items"]) == 800
    assert row["p_alive"] == pytest.approx(card["p_alive"])
    assert row["probability"] == pytest.approx(card["churn_risk"]["probability"])
    assert row["expected_purchases"] == pytest.approx(card["expected_purchases"]["value"])
    assert (await own_client.get("/v1/customers?limit=500")).json()["next_cursor"] is None


@pytest.mark.parametrize(
    ("row", "pointer"),
    [
        ({"x": 1, "t_x": 9, "T": 5}, "/items/0"),
        ({"x": 0, "t_x": 3, "T": 5}, "/items/0"),
        ({"x": 2, "t_x": 0, "T": 5}, "/items/0"),
        ({"x": 1.5, "t_x": 3, "T": 5}, "/items/0/x"),
        ({"x": 1, "t_x": -3, "T": 5}, "/items/0/t_x"),
        ({"x": 1, "t_x": 3}, "/items/0/T"),
    ],
    ids=str,
)
async def test_an_impossible_history_is_refused_with_its_place(
    client: httpx.AsyncClient, row: dict[str, object], pointer: str
) -> None:
    answer = await client.post("/v1/score", json={"items": [row]})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_without_a_model_histories_cannot_be_scored(client: httpx.AsyncClient) -> None:
    body = {"items": [{"x": 0, "t_x": 0, "T": 5}]}
    answer = await client.post("/v1/score", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_model")
    unknown = await client.post("/v1/score", json={**body, "model_id": "model_none"})
    assert unknown.status_code == 404
