"""The life of models: chosen, activated, fitted anew, compared, monitored."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import insert, select, update

from app.config import Settings
from app.deployment import Deployment
from app.models import Model, Operation, Run
from app.postgres.db import Database, WriteSession
from app.schemas.scores.cards import Scores
from app.services.common import deployment_settings as stored_settings
from app.services.models import fitting, model_store, monitoring, refitting
from app.services.models.refitting import Prepared
from app.services.operations import operations
from app.services.operations.parts import Part
from app.services.runs import runs
from app.services.scores import run_rows
from app.worker import Worker
from tests.api.test_models import fill, fitted
from tests.database import NOW, writing

END = NOW.date().isoformat()
PART = Part(1, 1, runs.RUN, {}, "op_first", runs.RUN, {}, {})


@asynccontextmanager
async def write(database: Database) -> AsyncIterator[WriteSession]:
    async with database.writes() as session, session.begin():
        yield writing(session)


async def work_off(database: Database, settings: Settings) -> None:
    worker = Worker(database, settings)
    while await worker.work_once():
        pass


async def states(client: httpx.AsyncClient) -> dict[str, str]:
    listed = (await client.get("/v1/models")).json()["items"]
    return {each["model_id"]: each["state"] for each in listed}


async def automatic_fit(database: Database) -> Any:
    async with write(database) as session:
        refits = select(Operation).where(
            Operation.kind == model_store.FIT, Operation.request["automatic"].as_boolean()
        )
        return await session.scalar(refits)


async def refit(database: Database, **asked: Any) -> None:
    """Submit an automatic fit as at the end of the log."""
    request = refitting.FitRequest(
        as_of=NOW.date().isoformat(), automatic=True, reason="new_facts", **asked
    )
    async with write(database) as session:
        await operations.submit(session, model_store.FIT, request, now=NOW)


async def test_churn_risk_is_chosen_told_and_explained(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(own_client, 1200)
    model = await fitted(own_client, own_database, settings, as_of=END)
    risk = model["risk"]
    assert (model["requested"], model["kind"], risk["status"]) == ("default", "mbg_nbd", "ok")
    table = {row["kind"]: row for row in risk["table"]}
    assert risk["kind"] in table
    assert table[risk["kind"]]["behind"] <= max(table[risk["kind"]]["behind_error"] or 0, 1e-3)
    assert risk["why"]
    assert (risk["horizon_days"], risk["horizon_rule"]) == (90, "setting")
    assert risk["suggested_horizon_days"] in (30, 60, 90, 180, 365)
    assert risk["holdout_days"] <= risk["horizon_days"]
    assert risk["bands_learnt"]
    shares = [band["churned"] for band in risk["bands"]]
    assert shares == sorted(shares)
    assert "of 100 customers in this band, about" in risk["bands"][2]["meaning"]
    rng = random.Random(1)
    for number in rng.sample(range(1, 1200), 60):
        card = (await own_client.get(f"/v1/customers/{number:04}/scores")).json()
        told = card["churn_risk"]
        Scores.model_validate(card)
        parts = sum(reason["contribution"] for reason in told["reasons"])
        assert told["base_log_odds"] + parts == pytest.approx(told["log_odds"], abs=1e-9)
        assert (told["horizon_days"], told["kind"]) == (risk["horizon_days"], risk["kind"])
        assert card["rhythm"]["status"] in ("on_time", "due", "overdue", "lost")
    given = {"items": [{"x": 0, "t_x": 0, "T": 300}, {"x": 9, "t_x": 290, "T": 300}]}
    scored = (await own_client.post("/v1/score", json=given)).json()["items"]
    assert 0 < scored[1]["probability"] < scored[0]["probability"] < 1
    weekly = await fitted(own_client, own_database, settings, as_of=END, time_unit="week")
    assert weekly["risk"] == risk
    given = {"items": [{**row, "t_x": row["t_x"] / 7, "T": row["T"] / 7} for row in given["items"]]}
    again = await own_client.post("/v1/score", json={**given, "time_unit": "week"})
    assert [row["probability"] for row in again.json()["items"]] == pytest.approx(
        [row["probability"] for row in scored]
    )
    asked = await fitted(
        own_client, own_database, settings, horizon_days=45, kind="bg_nbd", activate=False
    )
    assert (asked["risk"]["horizon_days"], asked["risk"]["reason"]) == (45, "asked_for")
    assert asked["risk"]["horizon_rule"] == "asked_for"
    assert asked["risk"]["suggested_horizon_days"] == risk["suggested_horizon_days"]
    assert (asked["risk"]["kind"], asked["risk"]["table"]) == ("bg_nbd", [])
    assert (asked["state"], asked["active"]) == ("candidate", False)


async def test_a_model_is_candidate_active_and_retired(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(own_client, 100)
    first = (await fitted(own_client, own_database, settings, kind="mbg_nbd"))["model_id"]
    second = (await fitted(own_client, own_database, settings, kind="bg_nbd", activate=False))[
        "model_id"
    ]
    assert await states(own_client) == {first: "active", second: "candidate"}
    answer = await own_client.post(f"/v1/models/{second}/activate")
    assert (answer.status_code, answer.json()["state"], answer.json()["active"]) == (
        200, "active", True,
    )  # fmt: skip
    assert await states(own_client) == {first: "retired", second: "active"}
    again = (await own_client.post(f"/v1/models/{first}/activate")).json()
    assert (again["state"], again["retired_at"]) == ("active", None)
    assert (await own_client.get("/v1/info")).json()["model_id"] == first
    assert (await own_client.post("/v1/models/none/activate")).status_code == 404


async def test_a_model_of_nobody_cannot_be_activated(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    empty = await fitted(own_client, own_database, settings, activate=False)
    assert (empty["risk"]["status"], empty["risk"]["kind"]) == ("insufficient_history", None)
    assert (empty["risk"]["bands_learnt"], empty["risk"]["bands"]) == (False, [])
    answer = await own_client.post(f"/v1/models/{empty['model_id']}/activate")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    await fill(own_client, 1)
    named = await fitted(own_client, own_database, settings, kind="pareto_nbd")
    risk = named["risk"]
    assert (named["status"], risk["status"], risk["kind"]) == (
        "fallback", "insufficient_history", "pareto_nbd",
    )  # fmt: skip
    assert "prior" in risk["note"]
    card = (await own_client.get("/v1/customers/0001/scores")).json()
    assert card["churn_risk"]["status"] == "insufficient_history"


async def test_a_run_fits_what_is_missing_and_what_has_become_old(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    deployment: Deployment,
) -> None:
    await fill(own_client, 300)
    async with write(own_database) as session:
        first = (await refitting.prepare(session, deployment, PART, NOW)).model_id
    async with write(own_database) as session:
        assert await refitting.prepare(session, deployment, PART, NOW) == Prepared(first)
        asked = replace(PART, request={"model_id": "other"})
        assert await refitting.prepare(session, deployment, asked, NOW) == Prepared("other")
        assert await refitting.due(session, deployment, first) is None
    assert await automatic_fit(own_database) is None
    await fill(own_client, 400)  # a third more
    async with write(own_database) as session:
        assert await refitting.due(session, deployment, first) == "new_facts"
        started = Prepared(first, "new_facts")
        assert await refitting.prepare(session, deployment, PART, NOW) == started
        assert await refitting.prepare(session, deployment, PART, NOW) == started  # of one fit
    await work_off(own_database, settings)
    operation = await automatic_fit(own_database)
    assert operation.state == "succeeded", operation.error
    comparison = operation.result["comparison"]
    assert comparison["reason"] in ("not_worse", "worse", "too_little_to_compare")
    expected = "active" if comparison["activated"] else "candidate"
    assert (await states(own_client))[operation.result["model_id"]] == expected
    async with write(own_database) as session:
        active = (await stored_settings.pointers(session)).model_id
        assert active is not None
        assert await refitting.due(session, deployment, active) is None


async def test_a_candidate_that_foretells_worse_is_not_activated(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor one that a line on the days held out would set right: it is told as it is."""
    await fill(own_client, 900)
    active = (await fitted(own_client, own_database, settings, as_of=END))["model_id"]
    learn, learnt = fitting.learn, []
    known = {active: "active"}
    for slope, shift in ((-1.0, 0.0), (900.0, 0.0), (1.0, -9.0)):

        def badly(*given: Any, slope: float = slope, shift: float = shift, **named: Any) -> Any:
            if not learnt:  # of the same facts as the next ones
                learnt.append(learn(*given, **named))
            kind, status, document = learnt[0]
            risk = document["risk"]
            worse = {name: slope * weight for name, weight in risk["weights"].items()}
            worse = {**risk, "weights": worse, "intercept": risk["intercept"] + shift}
            return kind, status, {**document, "risk": {**worse, "calibrations": []}}

        monkeypatch.setattr(fitting, "learn", badly)
        await refit(own_database)
        await work_off(own_database, settings)
        found = await states(own_client)
        (candidate,) = found.keys() - known.keys()
        known[candidate] = "candidate"
        assert found == known
        comparison = await compared(own_database, candidate)
        assert comparison["reason"] == "worse"
        assert comparison["guard"]["serves"] in {"recalibrated", "raw"}


async def compared(database: Database, model_id: str) -> Any:
    """Return what the fit of a model said of it beside the one in force."""
    async with write(database) as session:
        fit = select(Operation.result).where(Operation.result["model_id"].as_string() == model_id)
        return (await session.scalars(fit)).one()["comparison"]


async def test_a_fit_that_fails_leaves_the_model_in_force_and_says_so(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await fill(own_client, 100)
    active = (await fitted(own_client, own_database, settings))["model_id"]

    def diverges(*given: Any, **named: Any) -> Any:
        return "mbg_nbd", "ok", {"risk": float("nan")}

    monkeypatch.setattr(fitting, "learn", diverges)
    await refit(own_database)
    await work_off(own_database, settings)
    operation = await automatic_fit(own_database)
    assert (operation.state, operation.error["code"]) == ("failed", "internal_error")
    assert "the model in force stays" in operation.error["detail"]
    assert await states(own_client) == {active: "active"}


async def add_run(session: WriteSession, model_id: str, days_ago: int) -> int:
    at = NOW - timedelta(days=days_ago)
    run_id = await session.scalar(
        insert(Run)
        .values(operation_id=f"op_{days_ago}", model_id=model_id, policy_version=1, as_of=at,
                created_at=at, published_at=at, horizon_days=60)
        .returning(Run.run_id)
    )  # fmt: skip
    assert run_id is not None
    return run_id


async def test_what_was_told_is_compared_with_what_happened(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    deployment: Deployment,
) -> None:
    await fill(own_client, 900)
    request = {"horizon_days": 60, "as_of": NOW.isoformat()}
    model_id = (await fitted(own_client, own_database, settings, **request))["model_id"]
    async with write(own_database) as session:
        new = await run_rows.get(session, await add_run(session, model_id, 0))
        itself = await refitting.monitor(session, deployment, new)
        assert (itself.in_sample, itself.status, itself.horizon_days) == (True, "ok", 60)
        assert itself.calibration_in_the_large == itself.actual - itself.expected
        assert itself.ece < 0.1
        # 61 days on nobody has come back, although the model expected some to.
        later = await run_rows.get(session, await add_run(session, model_id, -61))
        told = await refitting.monitor(session, deployment, later)
        assert (told.in_sample, told.actual, told.drifted) == (False, 1.0, True)
        assert f"{told.told_at:%Y-%m-%d}" == f"{NOW + timedelta(days=1):%Y-%m-%d}"
        assert told.expected < 1 - monitoring.DRIFT
        await session.execute(
            update(Run).where(Run.run_id == new.run_id).values(monitor=told.dump())
        )
        await stored_settings.put(session, stored_settings.PUBLISHED_RUN, new.run_id)
    shown = (await own_client.get(f"/v1/models/{model_id}")).json()
    assert shown["monitor"]["ece"] == told.ece
    page = (await own_client.get("/metrics")).text
    assert f"clm_churn_calibration_error {told.ece}" in page
    await fill(own_client, 970)  # a few more than none
    async with write(own_database) as session:
        assert await refitting.due(session, deployment, model_id) == "drifted"


def test_few_customers_tell_nothing_of_calibration() -> None:
    found = monitoring.figures(np.full(20, 0.9), np.zeros(20))
    assert found == {"status": "insufficient_history", "customers": 20, "drifted": False}


async def test_of_two_activations_at_once_one_model_stays(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(own_client, 30)
    made = [
        (await fitted(own_client, own_database, settings, kind=kind, activate=False))["model_id"]
        for kind in ("mbg_nbd", "bg_nbd")
    ]
    await asyncio.gather(*(own_client.post(f"/v1/models/{each}/activate") for each in made * 3))
    async with write(own_database) as session:
        active = (
            await session.scalars(select(Model.model_id).where(Model.state == "active"))
        ).all()
        assert active == [(await stored_settings.pointers(session)).model_id]
