"""Policies with a season: made of another one, previewed, in force; days counted one by one."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.lifecycle.presets import PRESETS
from app.postgres.db import Database
from app.worker import Worker
from tests.database import Clock
from tests.services.policy_changes.test_policy_changes import activate, cells, preview
from tests.services.scores.test_lifetime_values import post
from tests.services.scores.test_seasonal_scores import fit

SILENT = (100, 250, 300, 800)
"""Days since the last purchase; the default policy allows 180."""
NOON = time(12, tzinfo=UTC)


def quiet(today: date) -> list[float]:
    """Return factors by which hardly anything is bought in the months of the last 240 days."""
    slow = {(today - timedelta(days=n)).month for n in range(240)}
    factors = [0.25 if month in slow else 2.0 for month in range(1, 13)]
    fast = next(at for at, factor in enumerate(factors) if factor == 2.0)
    factors[fast] = round(12 - sum(factors) + 2.0, 4)
    return factors


def limit(factors: list[float], last: date, allowed: float = 180) -> int:
    """Return after how many days, gone through one by one, a silence is too long."""
    days = 0
    while allowed >= 0:
        allowed -= factors[(last + timedelta(days=days)).month - 1]
        days += 1
    return days


async def stage(client: httpx.AsyncClient, each: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/v1/customers/{each}/stage")).json()
    return found


async def test_who_is_silent_in_a_quiet_season_has_not_left(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings, clock: Clock
) -> None:
    clock.now = datetime.now(UTC)
    today = clock.now.astimezone(settings.zone).date()
    bought = {f"c{days}": today - timedelta(days=days) for days in SILENT}
    items = [
        {"customer_id": each, "transaction_id": each, "occurred_at": f"{day}T09:00:00+00:00",
         "amount": {"amount": "10.00"}}
        for each, day in bought.items()
    ]  # fmt: skip
    await post(own_client, items)
    worker, factors = Worker(own_database, settings), quiet(today)
    made = await own_client.post("/v1/policies/1/season", json={"factors": factors})
    assert made.status_code == 201, made.text
    version = made.json()["version"]
    assert made.headers["location"] == f"/v1/policies/{version}"
    document = made.json()["document"]
    assert document["season"] == factors
    assert document["rules"] == PRESETS["five_stages"]["rules"]
    assert document["name"]["en"] != PRESETS["five_stages"]["name"]["en"]
    before = {each: (await stage(own_client, each))["stage"] for each in bought}
    assert before == {"c100": "initial", "c250": "churned", "c300": "churned", "c800": "churned"}
    expected = {
        each: "churned" if (today - day).days >= limit(factors, day) else "initial"
        for each, day in bought.items()
    }
    assert expected["c250"] == "initial"
    assert expected["c800"] == "churned"
    found = await preview(own_client, worker, version)
    back = sum(expected[each] != before[each] for each in bought)
    assert cells(found["matrix"])["churned", "initial"] == back
    done = await activate(own_client, worker, version, found["token"])
    assert done["state"] == "succeeded", done
    clock.now = datetime.now(UTC)
    for each, day in bought.items():
        told = await stage(own_client, each)
        assert told["stage"] == expected[each], each
        if told["stage"] == "initial":
            leaves = day + timedelta(days=limit(factors, day))
            assert told["churns_on"] == leaves.isoformat()
            for on, then in ((leaves, "churned"), (leaves - timedelta(days=1), "initial")):
                clock.now = datetime.combine(on, NOON)
                assert (await stage(own_client, each))["stage"] == then
            clock.now = datetime.now(UTC)


async def test_a_season_is_taken_from_the_model_in_force(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    refused = await own_client.post("/v1/policies/1/season", json={})
    assert refused.status_code == 409
    assert "no active model" in refused.json()["detail"]
    model = await fit(own_client, own_database, settings, "summer", kind="mbg_nbd")
    made = await own_client.post("/v1/policies/2/season", json={})
    assert made.status_code == 201, made.text
    shown = (await own_client.get(made.headers["location"])).json()
    assert shown["document"]["season"] == model["season"]["factors"]
    named = await own_client.post("/v1/policies/2/season", json={"model_id": model["model_id"]})
    assert named.json()["document"] == shown["document"]
    again = await own_client.post(f"/v1/policies/{shown['version']}/season", json={})
    assert again.json()["document"]["season"] == shown["document"]["season"]


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"model_id": "nobody"}, 422, "/model_id"),
        ({"factors": [1.0] * 11}, 422, "/factors"),
        ({"factors": [0.0, *[1.0] * 11]}, 422, "/factors/0"),
        ({"factors": [*[1.0] * 11, 1.5]}, 422, "/season"),
        ({"factors": "winter"}, 422, "/factors"),
    ],
)
async def test_what_is_no_season_is_refused_with_a_pointer(
    client: httpx.AsyncClient, body: Any, status: int, pointer: str
) -> None:
    answer = await client.post("/v1/policies/1/season", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_there_is_no_season_of_a_policy_that_is_not_there(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/policies/999/season", json={"factors": [*[0.5] * 11, 6.5]})
    assert answer.status_code == 404


async def test_where_all_months_are_alike_nothing_is_counted_otherwise(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/v1/policies/1/season", json={"factors": [1.0] * 12})
    assert answer.status_code == 201
    assert answer.json()["document"]["season"] == [1.0] * 12
