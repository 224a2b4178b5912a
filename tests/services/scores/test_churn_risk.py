"""Churn risk on a real database: the same columns learnt from and served, and reasons that hold."""

import dataclasses
import math
import random
import re
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
from app.deployment import Deployment
from app.lifecycle import kinds
from app.lifecycle.facts import EMPTY
from app.lifecycle.presets.kinds import CORE
from app.models import Model, Run
from app.postgres.db import Database, WriteSession
from app.schemas.ingest.interactions import InteractionIn
from app.schemas.scores.cards import Scores
from app.scoring.histories.features import Features, features_at
from app.services.customer_base import purchase_summaries, training_data
from app.services.customer_base.populations import Population
from app.services.ingest import interactions
from app.services.models import churn_features, fitted_models, model_store
from app.services.policies import policies
from app.services.scores import diffs
from app.services.stages import derivation
from app.worker import Worker
from tests import histories as random_histories
from tests import slow_cards
from tests.database import NOW, Clock, writing
from tests.kept import MODEL, as_item, ingest, kept_scores, store_model
from tests.twin import Fact

COLUMNS = [field.name for field in dataclasses.fields(Features)]
END = NOW.date()


SCORES = {"survey": (None, 1, 7.3, 9.1, 10), "csat": (None, 1, 2, 4.5, 5), "visit": (None, 3)}


def contacts(rng: random.Random, customer_id: str) -> list[dict[str, Any]]:
    """Return interactions of a customer, crowded around now and around what is 90 days old."""
    found = []
    for number in range(rng.choice((0, 0, 1, 4, 12))):
        days = rng.choice((0, 0, 1, 30, 88, 89, 90, 91, 400))
        kind = rng.choice(("complaint", "survey", "csat", "mention", "visit", "visit"))
        found.append(
            {
                "customer_id": customer_id,
                "interaction_id": f"i{number}",
                "kind": kind,
                "occurred_at": (
                    NOW - timedelta(days=days, hours=rng.randrange(-5, 10))
                ).isoformat(),
                "score": rng.choice(SCORES.get(kind, (None,))),
            }
        )
    return [item for item in found if datetime.fromisoformat(item["occurred_at"]) <= NOW]


async def tell(session: WriteSession, deployment: Deployment, items: list[dict[str, Any]]) -> None:
    if items:
        batch = [InteractionIn.model_validate(item) for item in items]
        await interactions.ingest(session, deployment, batch, atomic=True, now=NOW)


async def population(session: WriteSession, ids: list[str]) -> Population:
    stored = await purchase_summaries.stored(session, ids)
    return Population.of(ids, ["initial"] * len(ids), [stored.get(each, EMPTY) for each in ids])


@pytest.mark.parametrize("seed", range(6))
async def test_a_fit_sees_what_is_served_column_by_column(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    facts = {
        f"c{number}": random_histories.facts(
            rng,
            deployment.calendar.zone,
            END - timedelta(days=rng.choice((0, 1, 40, 200))),
            revise=True,
        )
        for number in range(12)
    }
    for customer_id, own in facts.items():
        # Of what is to come only what may be told a day ahead.
        batch = [as_item(customer_id, fact) for fact in own if fact.at <= NOW + timedelta(hours=9)]
        if batch:
            await ingest(session, deployment, batch, NOW)
        await tell(session, deployment, contacts(rng, customer_id))
    await derivation.advance(session, deployment, list(facts), NOW)
    people = (await population(session, list(facts))).buyers()
    as_of = deployment.as_of(NOW)
    past = await training_data.read_past(session, list(facts), as_of, CORE)
    served = (await churn_features.read_columns(session, people, as_of, CORE)).features
    who, model = features_at(past.facts, as_of=as_of.day)
    names = sorted(facts)
    assert {names[code] for code in who.tolist()} == set(people.customer_ids)
    rows = [who.tolist().index(names.index(each)) for each in people.customer_ids]
    assert len(rows) > 6
    assert (served.refunds > 0).any()
    for name in COLUMNS:
        here_, there = getattr(served, name), getattr(model, name)[rows]
        if name == "sum_log_gaps":  # a sum of logarithms, in another order
            np.testing.assert_allclose(here_, there, rtol=1e-13, atol=1e-13)
        else:
            np.testing.assert_array_equal(here_, there, err_msg=name)


@pytest.mark.parametrize("seed", range(3))
async def test_a_past_day_is_seen_as_it_was(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    """No later refund, revision of time or answer reaches an earlier cut."""
    rng = random.Random(100 + seed)
    facts = {
        f"c{number}": random_histories.facts(
            rng, deployment.calendar.zone, END - timedelta(days=30)
        )
        for number in range(10)
    }
    for customer_id, own in facts.items():
        own = [fact for fact in own if fact.at <= NOW]
        await ingest(session, deployment, [as_item(customer_id, fact) for fact in own], NOW)
        await tell(session, deployment, contacts(rng, customer_id))
    now = deployment.as_of(NOW)
    past = await training_data.read_past(session, list(facts), now, CORE)
    timeline, silence = await policies.timeline(session), fitted_models.INACTIVITY
    seen = 0
    for days in (31, 33, 60, 120, 400):
        day = now.day - days
        then = AsOf(deployment.calendar.end_of(day), day)
        kept = await purchase_summaries.stored(session, list(facts))
        at = await purchase_summaries.at(session, timeline, silence, kept, then.at)
        people = Population.of(list(at), ["initial"] * len(at), list(at.values())).buyers()
        served = (await churn_features.read_columns(session, people, then, CORE)).features
        who, model = features_at(past.facts, as_of=day)
        names = sorted(facts)
        assert {names[code] for code in who.tolist()} == set(people.customer_ids)
        rows = [who.tolist().index(names.index(each)) for each in people.customer_ids]
        for name in COLUMNS:
            np.testing.assert_allclose(
                getattr(served, name), getattr(model, name)[rows], rtol=1e-13, err_msg=name
            )
        seen += len(rows)
        columns = people.columns
        np.testing.assert_array_equal(model.x[rows] + 1, columns.purchase_days)
        np.testing.assert_array_equal(model.t_x[rows], columns.last_day - columns.first_day)
        np.testing.assert_array_equal(model.T[rows], day - columns.first_day)
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
    "fitted": True,
    "bands": [
        {"name": name, "n": 100, "predicted": left, "churned": left, "lower": left, "upper": left}
        for name, left in (("low", 0.2), ("medium", 0.55), ("high", 0.71))
    ],
}


REGULAR = [
    Fact(("default", f"p{place}"), NOW - timedelta(days=200 + 30 * place), Decimal(20))
    for place in range(9)
]


def agrees_with_its_card(card: dict[str, Any], reasons: list[dict[str, Any]]) -> None:
    """One answer counts the purchase days, and from and to what day, in one way."""
    inputs = card["model_inputs"]
    shown = {
        "purchases": card["purchase_days"],
        "age": inputs["T"],
        "inactivity": card["days_since_last_purchase"],
    }
    told = {reason["code"]: reason["value"] for reason in reasons if reason["code"] in shown}
    assert told == {code: shown[code] for code in told}
    assert inputs["x"] == card["purchase_days"] - 1
    assert inputs["T"] - inputs["t_x"] == card["days_since_last_purchase"]


async def store_risk(session: WriteSession, model_id: str, **more: Any) -> None:
    """Store a model that looks at everything there is to look at."""
    await store_model(session, model_id)
    row = await model_store.get(session, model_id)
    document = {**row.document, "risk": RISK | more, "horizon_days": 60, "bands": BANDS,
                "interaction_kinds": kinds.copy_of(CORE, CORE)}  # fmt: skip
    await session.execute(update(Model).where(Model.model_id == model_id).values(document=document))


@pytest.mark.parametrize("seed", range(4))
async def test_reasons_add_up_and_a_purchase_removes_what_silence_raised(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(200 + seed)
    await store_risk(session, f"model_risk_{seed}")
    seen: set[str] = set()
    lowered = 0
    for number in range(12):
        end = END - timedelta(days=rng.choice((3, 90, 250)))
        own = [fact for fact in random_histories.facts(rng, deployment.calendar.zone, end)
               if fact.at <= NOW]  # fmt: skip
        own = own if number else REGULAR
        await ingest(session, deployment, [as_item(f"c{number}", fact) for fact in own], NOW)
        await tell(session, deployment, contacts(rng, f"c{number}"))
        ask = partial(slow_cards.asked, session, deployment, f"c{number}",
                      as_of=deployment.as_of(NOW), now=NOW)  # fmt: skip
        for horizon in (None, 7, 60, 400):
            card = await ask(horizon_days=horizon)
            risk = card["churn_risk"]
            if card["status"] == "never_purchased":
                continue
            parts = math.fsum(reason["contribution"] for reason in risk["reasons"])
            assert risk["base_log_odds"] + parts == pytest.approx(risk["log_odds"], abs=1e-9)
            odds = math.log(risk["probability"] / (1 - risk["probability"]))
            assert odds == pytest.approx(risk["log_odds"], abs=1e-9)
            assert (risk["horizon_days"], risk["extrapolated"]) == (
                horizon or 60,
                horizon in (7, 400),
            )
            assert all(reason["contribution"] for reason in risk["reasons"])
            agrees_with_its_card(card, risk["reasons"])
            seen |= {reason["code"] for reason in risk["reasons"]}
            Scores.model_validate(card)
        card = await ask(horizon_days=None)
        if card["status"] == "never_purchased":
            continue
        risk = card["churn_risk"]
        assert risk["kind"] == "landmark"
        worst = max(risk["reasons"], key=lambda reason: reason["contribution"])
        if worst["code"] == "inactivity" and worst["contribution"] > 0:
            new = Fact(("default", "now"), NOW - timedelta(minutes=1), Decimal(20))
            await ingest(session, deployment, [as_item(f"c{number}", new)], NOW)
            after = (await ask(horizon_days=None))["churn_risk"]
            assert after["probability"] < risk["probability"]
            lowered += 1
    assert lowered
    assert seen >= {"purchases", "age", "inactivity", "refunds", "contact_silence", "amount_trend"}
    assert seen >= {"contacted"}


async def test_why_a_risk_changed_adds_up(
    client: httpx.AsyncClient, session: WriteSession, deployment: Deployment
) -> None:
    rng = random.Random(7)
    await store_risk(session, "model_of_changes")
    own = random_histories.facts(rng, deployment.calendar.zone, END - timedelta(days=20))
    own = [fact for fact in own if fact.at <= NOW]
    await ingest(session, deployment, [as_item("c", fact) for fact in own], NOW)
    complaint = {"customer_id": "c", "interaction_id": "x", "kind": "complaint",
                 "occurred_at": (NOW - timedelta(days=3)).isoformat()}  # fmt: skip
    await tell(session, deployment, [complaint])
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
    deployment: Deployment,
    clock: Clock,
) -> None:
    rng = random.Random(17)
    clock.now = datetime.now(UTC)
    shift = clock.now - NOW
    async with own_database.writes() as given, given.begin():
        session = writing(given)
        await store_risk(session, "model_of_a_run", status="insufficient_history", label_window=30)
        await ingest(session, deployment, [as_item("once", ONCE)], clock.now)
        for number in range(15):
            end = (END + shift) - timedelta(days=rng.choice((3, 90)))
            own = random_histories.facts(rng, deployment.calendar.zone, end)
            own = [fact for fact in own if fact.at <= clock.now]
            batch = [as_item(f"c{number}", fact) for fact in own]
            await ingest(session, deployment, batch, clock.now)
            items = [
                item | {"occurred_at": _later(item["occurred_at"], shift)}
                for item in contacts(rng, f"c{number}")
            ]
            told = [InteractionIn.model_validate(item) for item in items]
            if told:
                await interactions.ingest(session, deployment, told, atomic=True, now=clock.now)
    assert (await own_client.post("/v1/scoring-runs", json={})).status_code == 202
    worker = Worker(own_database, settings)
    while await worker.work_once():
        pass
    clock.now = datetime.now(UTC)
    async with own_database.reads() as session:
        run = (await session.scalars(select(Run))).one()
        kept = (await kept_scores(session, run.run_id)).values()
        rows = [row for row in kept if row.probability is not None]
    assert len(rows) > 10
    items = await listed(own_client)
    assert items.keys() == {row.customer_id for row in rows}
    for row in rows:
        path = f"/v1/customers/{row.customer_id}/scores"
        card = (await own_client.get(path, params={"as_of": run.as_of.isoformat()})).json()
        risk = card["churn_risk"]
        assert row.probability == pytest.approx(risk["probability"], rel=1e-12)
        assert (row.rhythm, run.horizon_days) == (card["rhythm"]["status"], risk["horizon_days"])
        worst = max(risk["reasons"], key=lambda reason: reason["contribution"])
        assert row.reason == (worst["code"] if worst["contribution"] > 0 else None)
        item = items[row.customer_id]
        assert item["reasons"] == nearly(risk["reasons"])
        for name in ("probability", "log_odds", "base_log_odds"):
            assert item[name] == nearly(risk[name])
        for name in ("sentence", "rhythm", "call_reasons", "value_to_save", "next_actions"):
            assert item[name] == nearly(card[name])
    assert run.monitor["status"] == "insufficient_history"
    assert len({row.reason for row in rows}) > 1
    await assert_the_list_adds_up(own_client, risk)
    await assert_late_facts_are_marked(own_client, own_database, deployment, run)


def nearly(value: Any) -> Any:
    """Columns of many may round otherwise than one alone, in the last place."""
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-9, abs=1e-12)
    if isinstance(value, dict):
        return {name: nearly(each) for name, each in value.items()}
    return [nearly(each) for each in value] if isinstance(value, list) else value


ONCE = Fact(("default", "p"), datetime.now(UTC) - timedelta(days=20), Decimal(20))


async def listed(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    params = {"include": "all", "limit": "500"}
    items = (await client.get("/v1/churn-risks", params=params)).json()["items"]
    return {item["customer_id"]: item for item in items}


async def assert_late_facts_are_marked(
    client: httpx.AsyncClient, database: Database, deployment: Deployment, run: Run
) -> None:
    """Check that a list tells of whom there are facts that its run could not know."""
    before = await listed(client)
    late = Fact(("default", "late"), run.as_of - timedelta(days=1), Decimal(20))
    taken = Fact(("default", "r"), ONCE.at, Decimal(20), "refund", ONCE.name)
    async with database.writes() as given, given.begin():
        batch = [as_item("c1", late), as_item("once", taken)]
        await ingest(writing(given), deployment, batch, datetime.now(UTC))
    items = await listed(client)
    assert {each for each, item in items.items() if item["facts_changed"]} == {"c1", "once"}
    for each, item in items.items():  # all else is what the run said
        assert item == {**before[each], "facts_changed": each in ("c1", "once")}
    params = {"as_of": run.as_of.isoformat()}
    risk = (await client.get("/v1/customers/c1/scores", params=params)).json()["churn_risk"]
    assert items["c1"]["probability"] > risk["probability"]


async def assert_the_list_adds_up(client: httpx.AsyncClient, risk: dict[str, Any]) -> None:
    for item in (await listed(client)).values():
        total = item["base_log_odds"] + math.fsum(each["contribution"] for each in item["reasons"])
        assert item["log_odds"] == pytest.approx(total, abs=1e-9)
        assert item["probability"] == pytest.approx(1 / (1 + math.exp(-total)), rel=1e-9)
        assert not item["facts_changed"]
    for path in ("/v1/churn-risks", "/v1/scores"):
        told = (await client.get(path)).json()["churn_risk"]
        assert told.pop("label_window_days") == 30
        assert told == {name: risk[name] for name in told}
        assert (told["status"], told["extrapolated"]) == ("insufficient_history", True)


def _later(at: str, shift: timedelta) -> str:
    return (datetime.fromisoformat(at) + shift).isoformat()


async def told_by_code(client: httpx.AsyncClient, customer_id: str) -> dict[str, dict[str, Any]]:
    card = (await client.get(f"/v1/customers/{customer_id}/scores")).json()
    return {reason["code"]: reason for reason in card["churn_risk"]["reasons"]}


async def test_one_is_told_in_the_singular_and_a_fresh_contact_lowers_the_risk(
    client: httpx.AsyncClient, session: WriteSession, deployment: Deployment
) -> None:
    await store_risk(session, "model_of_words")
    await ingest(session, deployment, [as_item("c", Fact(("default", "p"), NOW - timedelta(days=1),
                                                   Decimal(20)))], NOW)  # fmt: skip
    common = {"customer_id": "c", "occurred_at": (NOW - timedelta(days=1)).isoformat()}
    complaint = {**common, "interaction_id": "x", "kind": "complaint"}
    survey = {**common, "interaction_id": "y", "kind": "survey", "score": 10}
    await tell(session, deployment, [complaint, survey])
    told = await told_by_code(client, "c")
    words = {code: reason["text"]["en"] for code, reason in told.items()}
    assert words["purchases"].startswith("1 purchase day, the customer compared with 3: ")
    assert words["age"].startswith("customer for 1 day, the customer compared with for 200: ")
    assert words["complaints"].startswith(
        "1 complaint in the last 90 days, the customer compared with 0: "
    )
    fresh = told["contact_silence"]
    assert fresh["text"] == {
        "en": "1 day without an interaction, 19 on average: lowers the risk",
        "zh": "1天没有互动，平均为19天，使风险降低",
    }
    assert fresh["contribution"] < 0  # the risk of this model rises with the silence
    # That there was contact at all is said beside it, and raises or lowers by itself.
    assert told["contacted"]["contribution"] == RISK["weights"]["contacted"]
    assert told["contacted"]["facts"] == fresh["facts"]
    assert told["surveyed"]["contribution"] == RISK["weights"]["surveyed"]
    assert told["satisfaction"]["contribution"] == pytest.approx(-0.8 * (1 - 0.7))


async def test_who_was_refunded_in_full_has_no_churn_risk_anywhere(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    deployment: Deployment,
) -> None:
    bought = Fact(("default", "p"), NOW - timedelta(days=40), Decimal(20))
    back = Fact(("default", "r"), NOW - timedelta(days=5), Decimal(20), "refund", bought.name)
    async with own_database.writes() as given, given.begin():
        session = writing(given)
        await store_risk(session, "model_of_refunds")
        await ingest(session, deployment, [as_item("gone", bought), as_item("gone", back)], NOW)
        await ingest(session, deployment, [as_item("here", bought)], NOW)
    before = (NOW - timedelta(days=10)).isoformat()
    card = (await own_client.get("/v1/customers/gone/scores")).json()
    assert (card["status"], card["stage"], card["churn_risk"]) == (
        "never_purchased", "potential", None)  # fmt: skip
    then = (await own_client.get("/v1/customers/gone/scores", params={"as_of": before})).json()
    agrees_with_its_card(then, then["churn_risk"]["reasons"])
    diff = await own_client.get("/v1/customers/gone/scores/diff", params={"from": before})
    assert (diff.json()["after"], diff.json()["change"]) == (None, None)
    assert diff.json()["text"] == {
        "en": "Every purchase of the customer has been refunded in full.",
        "zh": "该客户的购买已全部全额退款。",
    }
    assert (await own_client.post("/v1/scoring-runs", json={})).status_code == 202
    worker = Worker(own_database, settings)
    while await worker.work_once():
        pass
    listed = (await own_client.get("/v1/churn-risks?include=all")).json()["items"]
    assert [each["customer_id"] for each in listed] == ["here"]
    async with own_database.reads() as session_:
        past = await training_data.read_past(
            session_, ["gone", "here"], deployment.as_of(NOW), CORE
        )
    day = deployment.as_of(NOW).day
    assert features_at(past.facts, as_of=day)[0].tolist() == [1]
    assert features_at(past.facts, as_of=day - 5)[0].tolist() == [1]
    assert features_at(past.facts, as_of=day - 6)[0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("then", "now", "text"),
    [
        (0.4, 0.52, "The risk rose from 0.40 to 0.52, by inactivity (+0.30)."),
        (0.98, 0.9972, "The risk rose from 0.980 to 0.997, by inactivity (+0.30)."),
        (0.9991, 0.9996, "The risk rose from 0.9991 to 0.9996, by inactivity (+0.30)."),
        (0.98, 0.99999, "The risk rose from 0.9800 to 1.0000, by inactivity (+0.30)."),
        (0.99991, 0.99994,
         "The risk hardly changed: it is 1.00, and rose a little by inactivity (+0.30)."),
    ],
)  # fmt: skip
def test_a_change_is_told_in_digits_that_show_it(then: float, now: float, text: str) -> None:
    causes = [{"code": "inactivity", "change": 0.3}, {"code": "age", "change": -0.02}]
    told = diffs.summary({"probability": then}, {"probability": now}, 0.28, causes)
    assert told["en"] == text
    assert re.findall(r"[01]\.\d+", told["zh"]) == re.findall(r"[01]\.\d+", text)
    assert "沉默时间（+0.30）" in told["zh"]
    many = [{"code": f"c{n}", "change": 0.004} for n in range(9)]
    told = diffs.summary({"probability": 0.4}, {"probability": 0.41}, 0.036, many)
    assert told["en"] == "The risk rose from 0.40 to 0.41, by c0 (+0.00)."
