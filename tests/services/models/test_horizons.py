"""The horizon: one number at every door, changed by the setting alone, proposed by the data."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from app.config import Settings
from app.lifecycle.records import Columns, Money
from app.postgres.db import Database
from app.services.models import comparison, model_store, model_variables
from app.worker import Worker
from tests.api.test_models import fill, fitted
from tests.database import NOW, Clock, make_client
from tests.services.models.test_refitting import automatic_fit, states, work_off, write

END = NOW.date().isoformat()
DAYS = 45


def of_days(settings: Settings, days: int) -> Settings:
    return settings.model_copy(update={"horizon_days": days})


@pytest.fixture
async def service(
    settings: Settings, own_database: Database, clock: Clock
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a deployment that looks so many days ahead."""
    async with await make_client(of_days(settings, DAYS), own_database, clock) as client:
        yield client


async def run(
    client: httpx.AsyncClient, database: Database, settings: Settings, path: str = "scoring-runs"
) -> dict[str, Any]:
    """Start long work without a word of a horizon, see it done, and return its result."""
    operation = (await client.post(f"/v1/{path}", json={"as_of": END})).json()
    worker = Worker(database, settings)
    while await worker.work_once():
        pass
    done = (await client.get(f"/v1/operations/{operation['id']}")).json()
    assert done["state"] == "succeeded", done
    result: dict[str, Any] = done["result"]
    return result


async def at_every_door(
    client: httpx.AsyncClient, database: Database, settings: Settings
) -> dict[str, Any]:
    """Ask every door that tells of what is ahead, naming no horizon; return what each says."""

    async def get(path: str, **params: str) -> Any:
        answer = await client.get(f"/v1/{path}", params=params)
        assert answer.is_success, answer.text
        return answer.json()

    async def post(path: str, body: Any) -> Any:
        answer = await client.post(f"/v1/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    card = await get("customers/0001/scores")
    (found,) = (await post("scores/lookup", {"customer_ids": ["0001"]}))["items"]
    risks = await get("churn-risks", limit="3", include="all")
    listed = await get("scores", limit="3")
    lines = (await client.get("/v1/scores", headers={"Accept": "application/x-ndjson"})).text
    table = (await client.get("/v1/scores", headers={"Accept": "text/csv"})).text
    model = await get(f"models/{(await get('info'))['model_id']}")
    tested = await run(client, database, settings, "backtests")
    scored = await post("score", {"items": [{"x": 1, "t_x": 20, "T": 60}]})
    return {
        "risk of card": card["churn_risk"]["horizon_days"],
        "purchases of card": card["expected_purchases"]["horizon_days"],
        "risk of look-up": found["churn_risk"]["horizon_days"],
        "purchases of look-up": found["expected_purchases"]["horizon_days"],
        "churn risks": risks["churn_risk"]["horizon_days"],
        "rows of churn risks": {row["horizon_days"] for row in risks["items"]},
        "scores": listed["churn_risk"]["horizon_days"],
        "rows of scores": {row["horizon_days"] for row in listed["items"]},
        "lines": {json.loads(line)["horizon_days"] for line in lines.splitlines()},
        "table": {int(row["horizon_days"]) for row in csv.DictReader(io.StringIO(table))},
        "report of stages": (await get("reports/stages"))["horizon_days"],
        "report of RFM": (await get("reports/rfm"))["horizon_days"],
        "diff": (await get("customers/0001/scores/diff", **{"from": "2026-01-31"}))["horizon_days"],
        "histories": scored["horizon_days"],
        "model": model["risk"]["horizon_days"],
        "hold-out": model["holdout"]["horizon"],
        "monitor": model["monitor"]["horizon_days"],
        "back-test": (await get(f"backtests/{tested['backtest_id']}"))["horizon_days"],
    }


def numbers(told: dict[str, Any]) -> set[int]:
    return {
        each
        for said in told.values()
        for each in (said if isinstance(said, set) else {said})
    }  # fmt: skip


async def test_every_door_tells_of_one_horizon_and_a_new_setting_moves_them_all(
    service: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(service, 600)
    now, later = of_days(settings, DAYS), of_days(settings, 120)
    first = await run(service, own_database, now)
    told = await at_every_door(service, own_database, now)
    assert numbers(told) == {DAYS}, told
    assert all(told.values()), told

    # The run that finds another setting waits for the fit, so that lists and cards agree after it.
    second = await run(service, own_database, later)
    assert (first["refit"], second["refit"]) == (None, "horizon_changed")
    assert second["model_id"] != first["model_id"]
    assert second["comparison"]["activated"]
    assert second["comparison"]["held_out_days"] == 120
    assert second["comparison"]["than"] == first["model_id"]
    told = await at_every_door(service, own_database, later)
    assert numbers(told) == {120}, told
    third = await run(service, own_database, later)
    assert (third["refit"], third["model_id"]) == (None, second["model_id"])
    model = (await service.get(f"/v1/models/{second['model_id']}")).json()
    assert (model["refit"], model["risk"]["horizon_rule"]) == ("horizon_changed", "setting")


async def test_a_horizon_that_was_asked_for_stays_whatever_the_setting_says(
    service: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(service, 100)
    now = of_days(settings, DAYS)
    model = await fitted(service, own_database, now, horizon_days=60, as_of=END)
    assert model["risk"]["horizon_rule"] == "asked_for"
    later = of_days(settings, 120)
    assert (await run(service, own_database, later))["refit"] is None
    assert numbers(await at_every_door(service, own_database, later)) == {60}
    # One fitted for it by name is no other than by the setting, but stays when that changes.
    assert await automatic_fit(own_database) is None


async def test_what_was_found_worse_over_the_new_horizon_is_not_tried_at_every_run(
    service: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await fill(service, 100)
    first = await run(service, own_database, of_days(settings, DAYS))
    later = of_days(settings, 120)
    judge = comparison.judge

    def worse(*given: Any) -> dict[str, Any]:
        return {**judge(*given), "activated": False, "reason": "worse"}

    monkeypatch.setattr(comparison, "judge", worse)
    assert (await run(service, own_database, later))["refit"] == "horizon_changed"
    assert (await run(service, own_database, later))["refit"] is None
    found = await states(service)
    assert sorted(found.values()) == ["active", "candidate"]
    assert found[first["model_id"]] == "active"
    assert numbers(await at_every_door(service, own_database, later)) == {DAYS}
    # A third setting has not been tried; the first one is that of the model in force again.
    assert (await run(service, own_database, of_days(settings, 30)))["refit"] == "horizon_changed"
    assert (await run(service, own_database, of_days(settings, DAYS)))["refit"] is None


async def test_without_a_model_a_back_test_is_over_the_setting(
    service: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(service, 60)
    tested = await run(service, own_database, of_days(settings, DAYS), "backtests")
    report = (await service.get(f"/v1/backtests/{tested['backtest_id']}")).json()
    assert report["horizon_days"] == DAYS


async def test_a_fit_activates_nothing_unless_asked(
    service: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(service, 60)
    for asked, state in (({}, "candidate"), ({"activate": True}, "active")):
        before = (await service.get("/v1/info")).json()["model_id"]
        answer = await service.post("/v1/models", json=asked)
        await work_off(own_database, settings)
        done = (await service.get(answer.headers["location"])).json()["result"]
        assert (await states(service))[done["model_id"]] == state
        after = (await service.get("/v1/info")).json()["model_id"]
        assert after == (before if state == "candidate" else done["model_id"])


async def test_a_model_of_few_gaps_suggests_no_horizon(
    service: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(service, 5)
    few = await fitted(service, own_database, settings)
    assert few["risk"]["suggested_horizon_days"] is None
    assert few["risk"]["horizon_days"] == settings.horizon_days


async def test_a_rule_looks_as_far_ahead_as_the_model_that_its_policy_names(
    service: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    """Neither the setting nor the model in force moves it: a policy means one thing for ever."""
    await fill(service, 300)
    named = await fitted(
        service, own_database, settings, horizon_days=30, as_of=END, activate=False
    )
    await fitted(service, own_database, settings, horizon_days=200, as_of=END)
    history = {"x": 4, "t_x": 100, "T": 160}
    body = {"items": [history], "model_id": named["model_id"]}
    scored = (await service.post("/v1/score", json=body)).json()
    assert scored["horizon_days"] == 30
    day = np.array([20_000])
    columns = Columns(
        **{name: np.zeros(1, np.int64) for name in Columns.__dataclass_fields__}
        | {"first_day": day - 160, "last_day": day - 60, "purchase_days": np.array([5])}
    )
    none, three = np.zeros(1, np.int64), np.zeros((3, 1), np.int64)
    nothing = Money(none, none, none, three, three)
    async with write(own_database) as session:
        compute = await model_variables.of(session, named["model_id"])
        assert (await model_store.load(session, named["model_id"])).horizon_days == 30
    found = compute(frozenset({"churn_probability"}), columns, nothing, day)
    assert found["churn_probability"].tolist() == [scored["items"][0]["probability"]]
