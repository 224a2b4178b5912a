"""Churn risk on a real database: the same columns learnt from and served, and reasons that hold."""

import dataclasses
import math
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import select, update

from app.config import Settings
from app.days import AsOf
from app.db import Database, WriteSession
from app.deployment import Deployment
from app.lifecycle.facts import EMPTY
from app.models import Model, Run, Score
from app.schemas.interactions import InteractionIn
from app.schemas.scores import Scores
from app.scoring.churn_features import Histories, histories
from app.services import (
    dated_facts,
    interactions,
    learning,
    lifecycle,
    models,
    policies,
    purchase_summaries,
    risk_columns,
)
from app.services import scores as score_services
from app.services.populations import Population
from app.worker import Worker
from tests import histories as random_histories
from tests.database import NOW, Clock, writing
from tests.kept import MODEL, as_item, ingest, store_model
from tests.twin import Fact

COLUMNS = [field.name for field in dataclasses.fields(Histories)]
END = NOW.date()


def contacts(rng: random.Random, customer_id: str) -> list[dict[str, Any]]:
    """Return interactions of a customer, crowded around now and around what is 90 days old."""
    found = []
    for number in range(rng.choice((0, 0, 1, 4, 12))):
        days = rng.choice((0, 0, 1, 30, 88, 89, 90, 91, 400))
        kind = rng.choice(("complaint", "survey", "visit", "visit"))
        found.append(
            {
                "customer_id": customer_id,
                "interaction_id": f"i{number}",
                "kind": kind,
                "occurred_at": (
                    NOW - timedelta(days=days, hours=rng.randrange(-5, 10))
                ).isoformat(),
                "score": rng.choice((None, 1, 7.3, 9.1, 10)) if kind == "survey" else None,
            }
        )
    return [item for item in found if datetime.fromisoformat(item["occurred_at"]) <= NOW]


async def tell(session: WriteSession, here: Deployment, items: list[dict[str, Any]]) -> None:
    if items:
        batch = [InteractionIn.model_validate(item) for item in items]
        await interactions.ingest(session, here, batch, atomic=True, now=NOW)


async def population(session: WriteSession, ids: list[str]) -> Population:
    stored = await purchase_summaries.stored(session, ids)
    return Population.of(ids, ["initial"] * len(ids), [stored.get(each, EMPTY) for each in ids])


@pytest.mark.parametrize("seed", range(6))
async def test_a_fit_sees_what_is_served_column_by_column(
    session: WriteSession, here: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    facts = {
        f"c{number}": random_histories.facts(
            rng, here.calendar.zone, END - timedelta(days=rng.choice((0, 1, 40, 200))), revise=True
        )
        for number in range(12)
    }
    for customer_id, own in facts.items():
        # Of what is to come only what may be told a day ahead.
        batch = [as_item(customer_id, fact) for fact in own if fact.at <= NOW + timedelta(hours=9)]
        if batch:
            await ingest(session, here, batch, NOW)
        await tell(session, here, contacts(rng, customer_id))
    await lifecycle.advance(session, here, list(facts), NOW)
    people = (await population(session, list(facts))).buyers()
    as_of = here.as_of(NOW)
    past = await dated_facts.read_past(session, list(facts), as_of)
    served = await risk_columns.read_columns(session, people, as_of, past.scale)
    who, learnt = histories(past.facts, as_of=as_of.day)
    names = sorted(facts)
    rows = [who.tolist().index(names.index(each)) for each in people.customer_ids]
    assert len(rows) > 6
    assert (served.refunds > 0).any()
    for name in COLUMNS:
        here_, there = getattr(served, name), getattr(learnt, name)[rows]
        if name == "sum_log_gaps":  # a sum of logarithms, in another order
            np.testing.assert_allclose(here_, there, rtol=1e-13, atol=1e-13)
        else:
            np.testing.assert_array_equal(here_, there, err_msg=name)


@pytest.mark.parametrize("seed", range(3))
async def test_a_past_day_is_seen_as_it_was(
    session: WriteSession, here: Deployment, seed: int
) -> None:
    """No later refund, revision of time or answer reaches an earlier cut."""
    rng = random.Random(100 + seed)
    facts = {
        f"c{number}": random_histories.facts(rng, here.calendar.zone, END - timedelta(days=30))
        for number in range(10)
    }
    for customer_id, own in facts.items():
        own = [fact for fact in own if fact.at <= NOW]
        await ingest(session, here, [as_item(customer_id, fact) for fact in own], NOW)
        await tell(session, here, contacts(rng, customer_id))
    now = here.as_of(NOW)
    past = await dated_facts.read_past(session, list(facts), now)
    regime, silence = await policies.regime(session), learning.SILENCE
    seen = 0
    for days in (31, 33, 60, 120, 400):
        day = now.day - days
        then = AsOf(here.calendar.end_of(day), day)
        kept = await purchase_summaries.stored(session, list(facts))
        at = await purchase_summaries.at(session, regime, silence, kept, then.at)
        people = Population.of(list(at), ["initial"] * len(at), list(at.values())).buyers()
        served = await risk_columns.read_columns(session, people, then, past.scale)
        who, learnt = histories(past.facts, as_of=day)
        rows = [who.tolist().index(sorted(facts).index(each)) for each in people.customer_ids]
        for name in COLUMNS:
            np.testing.assert_allclose(
                getattr(served, name), getattr(learnt, name)[rows], rtol=1e-13, err_msg=name
            )
        seen += len(rows)
    assert seen > 10


RISK = {
    "format": 1,
    "kind": "landmark",
    "status": "ok",
    "process": {"kind": "mbg_nbd", "parameters": MODEL.purchases.params},
    "scales": {"gap": 44.0, "value": 300_000.0, "satisfaction": 0.7, "contact": 3.0},
    "intercept": -0.3,
    "weights": {
        "process": 0.6, "overdue": 1.2, "silent": 0.4, "tenure": 0.1, "frequency": -0.3,
        "frequency_trend": 0.4, "amount_trend": -0.3, "value": -0.2, "regularity": -0.4,
        "refunds": 0.3, "complaints": 0.5, "satisfaction": -0.8, "surveyed": -0.1,
        "contact_silence": 0.2, "contacted": -0.3,
    },
    "label_window": 60,
    "anchor": [2.0, 150.0, 200.0],
    "reference": [2.0, 150.0, 200.0],
}  # fmt: skip
BANDS = {
    "medium": 0.4,
    "high": 0.7,
    "learnt": True,
    "bands": [
        {"name": name, "n": 100, "told": left, "left": left, "lower": left, "upper": left}
        for name, left in (("low", 0.2), ("medium", 0.55), ("high", 0.71))
    ],
}


REGULAR = [
    Fact(("default", f"p{place}"), NOW - timedelta(days=200 + 30 * place), Decimal(20))
    for place in range(9)
]


async def store_risk(session: WriteSession, model_id: str) -> None:
    """Store a model that looks at everything there is to look at."""
    await store_model(session, model_id)
    row = await models.get(session, model_id)
    document = {**row.document, "risk": RISK, "horizon_days": 60, "bands": BANDS,
                "satisfaction_scale": 10.0}  # fmt: skip
    await session.execute(update(Model).where(Model.model_id == model_id).values(document=document))


@pytest.mark.parametrize("seed", range(4))
async def test_reasons_add_up_and_a_purchase_removes_what_silence_raised(
    session: WriteSession, here: Deployment, seed: int
) -> None:
    rng = random.Random(200 + seed)
    await store_risk(session, f"model_risk_{seed}")
    seen: set[str] = set()
    lowered = 0
    for number in range(12):
        end = END - timedelta(days=rng.choice((3, 90, 250)))
        own = [fact for fact in random_histories.facts(rng, here.calendar.zone, end)
               if fact.at <= NOW]  # fmt: skip
        own = own if number else REGULAR
        await ingest(session, here, [as_item(f"c{number}", fact) for fact in own], NOW)
        await tell(session, here, contacts(rng, f"c{number}"))
        ask = partial(score_services.get, session, here, f"c{number}", as_of=here.as_of(NOW),
                      now=NOW)  # fmt: skip
        for horizon in (None, 7, 60, 400):
            card = await ask(horizon_days=horizon)
            risk = card["churn_risk"]
            if card["status"] == "never_purchased":
                continue
            parts = math.fsum(reason["contribution"] for reason in risk["reasons"])
            assert risk["base_log_odds"] + parts == pytest.approx(risk["log_odds"], abs=1e-9)
            odds = math.log(risk["probability"] / (1 - risk["probability"]))
            assert odds == pytest.approx(risk["log_odds"], abs=1e-9)
            assert (risk["horizon_days"], risk["carried"]) == (horizon or 60, horizon in (7, 400))
            assert all(reason["contribution"] for reason in risk["reasons"])
            seen |= {reason["code"] for reason in risk["reasons"]}
            Scores.model_validate(card)
        card = await ask(horizon_days=None)
        if card["status"] == "never_purchased":
            continue
        risk = card["churn_risk"]
        assert risk["kind"] == "landmark"
        assert (
            risk["level"]
            == ("low", "medium", "high")[
                (risk["probability"] >= 0.4) + (risk["probability"] >= 0.7)
            ]
        )
        assert f"about {100 * BAND_LEFT[risk['level']]:.0f} make no purchase" in risk["meaning"]
        worst = max(risk["reasons"], key=lambda reason: reason["contribution"])
        if worst["code"] == "silence" and worst["contribution"] > 0:
            new = Fact(("default", "now"), NOW - timedelta(minutes=1), Decimal(20))
            await ingest(session, here, [as_item(f"c{number}", new)], NOW)
            after = (await ask(horizon_days=None))["churn_risk"]
            assert after["probability"] < risk["probability"]
            lowered += 1
    assert lowered
    assert seen >= {"purchases", "age", "silence", "refunds", "contact_silence", "amount_trend"}


BAND_LEFT = {"low": 0.2, "medium": 0.55, "high": 0.71}


async def test_why_a_risk_changed_adds_up(
    client: httpx.AsyncClient, session: WriteSession, here: Deployment
) -> None:
    rng = random.Random(7)
    await store_risk(session, "model_of_changes")
    own = random_histories.facts(rng, here.calendar.zone, END - timedelta(days=20))
    own = [fact for fact in own if fact.at <= NOW]
    await ingest(session, here, [as_item("c", fact) for fact in own], NOW)
    complaint = {"customer_id": "c", "interaction_id": "x", "kind": "complaint",
                 "occurred_at": (NOW - timedelta(days=3)).isoformat()}  # fmt: skip
    await tell(session, here, [complaint])
    path = "/v1/customers/c/scores"
    for since, until in ((10, 0), (200, 5), (25, 10)):
        days = [(END - timedelta(days=each)).isoformat() for each in (since, until)]
        params = {"from": days[0], "to": days[1]} if until else {"from": days[0]}
        answer = await client.get(f"{path}/diff", params=params)
        assert answer.status_code == 200, answer.text
        diff = answer.json()
        cards = [(await client.get(path, params={"as_of": day} if day != END.isoformat() else {}))
                 .json()["churn_risk"] for day in days]  # fmt: skip
        assert diff["before"]["probability"] == cards[0]["probability"]
        assert diff["after"]["probability"] == cards[1]["probability"]
        change = cards[1]["log_odds"] - cards[0]["log_odds"]
        assert diff["change"] == pytest.approx(change, abs=1e-9)
        parts = math.fsum(cause["change"] for cause in diff["causes"])
        assert parts == pytest.approx(change, abs=1e-9)
        assert all(
            cause["change"] == pytest.approx(cause["after"] - cause["before"], abs=1e-12)
            for cause in diff["causes"]
        )
        assert diff["facts"]["interactions"] == ({"complaint": 1} if until == 0 else {})
    assert (await client.get(f"{path}/diff", params={"from": "1990-01-01"})).json()[
        "before"
    ] is None
    late = await client.get(f"{path}/diff", params={"from": days[1], "to": days[0]})
    assert (late.status_code, late.json()["errors"][0]["pointer"]) == (422, "query:from")
    assert (await client.get(f"{path}/diff")).status_code == 422
    assert (await client.get("/v1/customers/nobody/scores/diff?from=2026-01-01")).status_code == 404


async def test_a_run_keeps_what_is_answered_for_its_instant(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    here: Deployment,
    clock: Clock,
) -> None:
    rng = random.Random(17)
    clock.now = datetime.now(UTC)
    shift = clock.now - NOW
    async with own_database.writes() as given, given.begin():
        session = writing(given)
        await store_risk(session, "model_of_a_run")
        for number in range(15):
            end = (END + shift) - timedelta(days=rng.choice((3, 90)))
            own = random_histories.facts(rng, here.calendar.zone, end)
            own = [fact for fact in own if fact.at <= clock.now]
            batch = [as_item(f"c{number}", fact) for fact in own]
            await ingest(session, here, batch, clock.now)
            items = [
                item | {"occurred_at": _later(item["occurred_at"], shift)}
                for item in contacts(rng, f"c{number}")
            ]
            told = [InteractionIn.model_validate(item) for item in items]
            if told:
                await interactions.ingest(session, here, told, atomic=True, now=clock.now)
    assert (await own_client.post("/v1/scoring-runs", json={})).status_code == 202
    worker = Worker(own_database, settings)
    while await worker.work_once():
        pass
    clock.now = datetime.now(UTC)
    async with own_database.reads() as session:
        run = (await session.scalars(select(Run))).one()
        rows = (await session.scalars(select(Score).where(Score.probability.is_not(None)))).all()
    assert len(rows) > 10
    for row in rows:
        path = f"/v1/customers/{row.customer_id}/scores"
        card = (await own_client.get(path, params={"as_of": run.as_of.isoformat()})).json()
        risk = card["churn_risk"]
        assert row.probability == pytest.approx(risk["probability"], rel=1e-12)
        assert (row.level, run.horizon_days) == (risk["level"], risk["horizon_days"])
        worst = max(risk["reasons"], key=lambda reason: reason["contribution"])
        assert row.reason == (worst["code"] if worst["contribution"] > 0 else None)
    assert run.monitor["status"] == "insufficient_history"
    assert len({row.reason for row in rows}) > 1


def _later(at: str, shift: timedelta) -> str:
    return (datetime.fromisoformat(at) + shift).isoformat()
