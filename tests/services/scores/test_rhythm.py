"""Rhythm and reasons to call: alike on card, look-up, run and list, and right in time."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.deployment import Deployment
from app.postgres.db import Database, WriteSession
from app.schemas.ingest.interactions import InteractionIn
from app.services.ingest import interactions
from app.services.models import refitting
from app.worker import Worker
from tests import histories as random_histories
from tests.api.test_models import fill, fitted
from tests.database import NOW, Clock
from tests.kept import store_model
from tests.services.runs import test_runs as made
from tests.services.scores.test_churn_risk import store_risk
from tests.twin import Fact

STATUSES = ("on_time", "due", "overdue", "lost")
DAY = timedelta(days=1)


def every(days: int, times: int, *, last: int, paid: int = 20) -> list[tuple[int, int]]:
    """Return purchases so many days ago, the last one first, for so much each."""
    return [(last + days * place, paid) for place in range(times)]


def bought(purchases: list[tuple[int, int]], now: datetime) -> list[Fact]:
    return [
        Fact(("default", f"p{days}"), now - timedelta(days=days), Decimal(paid))
        for days, paid in purchases
    ]


def noon() -> datetime:
    """Return noon of yesterday: near midnight days before clocks change are others here."""
    return datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - DAY


async def complain(
    database: Database, deployment: Deployment, customer_id: str, at: datetime, **more: Any
) -> None:
    item = {"customer_id": customer_id, "interaction_id": f"at {at:%F}", "kind": "complaint",
            "occurred_at": at.isoformat(), **more}  # fmt: skip
    told = [InteractionIn.model_validate(item)]
    async with made.write(database) as session:
        now = max(at, noon())
        await interactions.ingest(session, deployment, told, atomic=True, now=now)


async def card(client: httpx.AsyncClient, customer_id: str, **asked: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/customers/{customer_id}/scores", params=asked)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


STORED = pytest.mark.parametrize("store", [store_model, store_risk])
"""A model of a kind that was asked for, and one that looks at contacts."""


@STORED
async def test_card_lookup_run_and_list_agree(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    clock: Clock,
    store: Any,
) -> None:
    rng = random.Random(7)
    clock.now = now = datetime.now(UTC)
    people = {
        f"c{number:02}": [
            fact
            for fact in random_histories.facts(
                rng,
                deployment.calendar.zone,
                (now - timedelta(days=rng.choice((0, 3, 30, 200)))).date(),
            )
            if fact.at <= now
        ]
        for number in range(40)
    }
    people["rarer"] = bought([*every(60, 3, last=2), *every(5, 12, last=182)], now)
    people["less"] = bought([*every(9, 3, last=2, paid=1), *every(9, 12, last=29, paid=90)], now)
    await made.post(own_database, deployment, people, now)
    async with made.write(own_database) as session:
        await store(session, "model_of_rhythm")
    for customer_id in ("c03", "c07", "c11", "less"):
        await complain(own_database, deployment, customer_id, now - 30 * DAY)
    await made.run(own_database, deployment, worker)
    run = (await own_client.get("/v1/scores?limit=500")).json()
    asked = {"customer_ids": list(people), "as_of": run["as_of"]}
    looked_up = (await own_client.post("/v1/scores/lookup", json=asked)).json()["items"]
    rows = {item["customer_id"]: item for item in run["items"]}
    everybody = (await own_client.get("/v1/churn-risks?include=all&limit=500")).json()["items"]
    listed = {item["customer_id"]: item for item in everybody}
    seen = set()
    for shown in looked_up:
        customer_id = shown["customer_id"]
        own = await card(own_client, customer_id, as_of=run["as_of"])
        for name in ("rhythm", "call_reasons"):
            assert own[name] == shown[name] == rows[customer_id][name]
            assert own["rhythm"] is None or own[name] == listed[customer_id][name]
        seen |= set(own["call_reasons"])
        if own["rhythm"] is not None:
            assert own["rhythm"]["days_silent"] == own["days_since_last_purchase"]
            seen.add(own["rhythm"]["status"])
    assert seen >= {"on_time", "due", "overdue", "declining_frequency", "declining_amount"}
    assert {each for each, row in rows.items() if "open_complaint" in row["call_reasons"]} == {
        each for each in ("c03", "c07", "c11", "less")
        if rows[each]["rhythm"] and rows[each]["rhythm"]["status"] != "lost"
    }  # fmt: skip
    assert rows["less"]["call_reasons"] == ["declining_amount", "open_complaint"]
    assert "declining_frequency" in rows["rarer"]["call_reasons"]
    to_call = {each for each, row in rows.items() if row["call_reasons"]}
    lost = {each for each, item in listed.items() if item["rhythm"]["status"] == "lost"}
    for more, expected in (("", to_call), ("&include=lost", to_call | lost)):
        page = (await own_client.get(f"/v1/churn-risks?limit=500{more}")).json()["items"]
        assert {item["customer_id"] for item in page} == expected
        assert all(item == listed[item["customer_id"]] for item in page)


@STORED
async def test_a_complaint_is_open_until_it_is_solved_or_ninety_days_old(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    clock: Clock,
    store: Any,
) -> None:
    clock.now = now = noon()
    people = {each: bought(every(20, 6, last=3), now) for each in ("c", "solved", "old", "none")}
    await made.post(own_database, deployment, people, now)
    async with made.write(own_database) as session:
        await store(session, "model_of_complaints")
    await complain(own_database, deployment, "c", now - 40 * DAY, outcome="not_solved")
    await complain(own_database, deployment, "solved", now - 2 * DAY, outcome="solved")
    await complain(own_database, deployment, "old", now - 90 * DAY)

    async def reasons(customer_id: str, **asked: str) -> list[str]:
        found: list[str] = (await card(own_client, customer_id, **asked))["call_reasons"]
        return found

    assert {each: await reasons(each) for each in people} == {
        "c": ["open_complaint"], "solved": [], "old": [], "none": [],
    }  # fmt: skip
    # As it was then, by all that is known now.
    assert await reasons("old", as_of=(now - 3 * DAY).isoformat()) == ["open_complaint"]
    assert "open_complaint" not in await reasons("c", as_of=(now - 41 * DAY).isoformat())
    await complain(own_database, deployment, "c", now - 40 * DAY, outcome="solved", revision=2)
    assert await reasons("c") == []
    assert await reasons("c", as_of=(now - 3 * DAY).isoformat()) == []


async def test_the_lost_and_those_put_among_the_churned_are_not_called(
    own_database: Database, own_client: httpx.AsyncClient, deployment: Deployment, clock: Clock
) -> None:
    clock.now = now = datetime.now(UTC)
    late = every(10, 8, last=60)
    people = {each: bought(late, now) for each in ("late", "gone")}
    people["lost"] = bought(every(10, 30, last=600), now)
    await made.post(own_database, deployment, people, now)
    async with made.write(own_database) as session:
        await store_model(session, "model_of_the_lost")
    for customer_id in people:
        await complain(own_database, deployment, customer_id, now - DAY)
    body = {"stage": "churned", "reason": "competitor"}
    answer = await own_client.post("/v1/customers/gone/stage/override", json=body)
    assert answer.status_code == 201, answer.text
    clock.now = datetime.now(UTC)
    cards = {each: await card(own_client, each) for each in people}
    assert {each: shown["call_reasons"] for each, shown in cards.items()} == {
        "late": ["overdue", "open_complaint"], "gone": [], "lost": [],
    }  # fmt: skip
    assert cards["gone"]["rhythm"] == cards["late"]["rhythm"]
    assert cards["lost"]["rhythm"]["status"] == "lost"
    assert "at_risk" not in (await own_client.get("/v1/customers/late/stage")).json()


@pytest.mark.parametrize("back", [0, 8, 70], ids="{} come back".format)
async def test_where_few_come_back_who_has_just_bought_is_not_lost(
    own_database: Database, own_client: httpx.AsyncClient, deployment: Deployment,
    settings: Settings, worker: Worker, clock: Clock, back: int,
) -> None:  # fmt: skip
    """The chance of another purchase within a year is below the cut for everybody here."""
    clock.now = now = datetime.now(UTC)
    rng = random.Random(back)
    days = [rng.randrange(1, 900) for _ in range(1500)]
    people = {
        f"c{number:04}": bought(
            [(ago, 20), (ago - gap, 20)]
            if number < back and (gap := rng.randrange(5, 300)) < ago else [(ago, 20)], now
        )
        for number, ago in enumerate(days)
    }  # fmt: skip
    people |= {"today": bought([(0, 20)], now), "complains": bought([(0, 20)], now)}
    await made.post(own_database, deployment, people, now)
    await complain(own_database, deployment, "complains", now)
    clock.now = datetime.now(UTC)
    model = await fitted(own_client, own_database, settings, activate=True)
    assert (model["rhythm"]["first_gaps"] is not None) == (back == 70)
    await made.run(own_database, deployment, worker)
    rows = {
        each["customer_id"]: each
        for each in (await own_client.get("/v1/churn-risks?include=all&limit=500")).json()["items"]
    }
    listed = (await own_client.get("/v1/churn-risks?limit=500")).json()["items"]
    assert "complains" in {each["customer_id"] for each in listed}
    for each, reasons in (("today", []), ("complains", ["open_complaint"])):
        shown = await card(own_client, each)
        yearly = await card(own_client, each, horizon_days="365")
        assert yearly["churn_risk"]["probability"] > 0.9
        assert (shown["rhythm"]["status"], shown["call_reasons"]) == ("on_time", reasons)
        assert "bought once, today: not late yet." in shown["sentence"]["en"]
        assert "hardly help" not in shown["sentence"]["en"]
    statuses = {each["rhythm"]["status"] for each in rows.values()}
    assert "on_time" in statuses
    for each in rows.values():
        told = each["rhythm"]
        assert (told["status"] == "on_time") == (told["chance_if_active"] > 0.5)


async def test_a_purchase_brings_a_customer_back_into_rhythm(
    own_database: Database, own_client: httpx.AsyncClient, deployment: Deployment, clock: Clock
) -> None:
    clock.now = now = datetime.now(UTC)
    await made.post(own_database, deployment, {"c": bought(every(20, 6, last=80), now)}, now)
    async with made.write(own_database) as session:
        await store_model(session, "model_of_returns")
    days = [await card(own_client, "c", as_of=(now - ago * DAY).isoformat())
            for ago in range(79, -1, -4)]  # fmt: skip
    chances = [each["rhythm"]["chance_if_active"] for each in days]
    assert chances == sorted(chances, reverse=True)
    places = [STATUSES.index(each["rhythm"]["status"]) for each in days]
    assert places == sorted(places)
    assert places[0] == 0 < places[-1]
    diff = await own_client.get(
        "/v1/customers/c/scores/diff", params={"from": (now - 79 * DAY).isoformat()}
    )
    assert diff.json()["before"]["rhythm"] == days[0]["rhythm"]
    again = [Fact(("default", "again"), now, Decimal(5))]
    await made.post(own_database, deployment, {"c": again}, now)
    after = await card(own_client, "c")
    assert (after["rhythm"]["status"], after["rhythm"]["chance_if_active"]) == ("on_time", 1.0)
    assert after["call_reasons"] == []


async def test_without_a_purchase_or_a_model_there_is_no_rhythm(
    own_database: Database, own_client: httpx.AsyncClient, deployment: Deployment, clock: Clock
) -> None:
    clock.now = now = noon()
    await made.post(own_database, deployment, {"c": bought(every(20, 6, last=80), now)}, now)
    await own_client.put("/v1/customers/never", json={})
    for customer_id in ("c", "never"):
        shown = await card(own_client, customer_id)
        assert (shown["rhythm"], shown["call_reasons"]) == (None, [])
    assert (await card(own_client, "c"))["days_since_last_purchase"] == 80


async def test_cuts_of_rhythm_are_kept_shown_and_taken_along(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(own_client, 900)
    plain = await fitted(own_client, own_database, settings, activate=True)
    assert plain["rhythm"]["cuts"] == {"due": 0.5, "overdue": 0.1, "lost": 0.1}
    given = {"due": 0.8, "overdue": 0.4}
    model = await fitted(own_client, own_database, settings, rhythm_cuts=given, activate=True)
    cuts = {**given, "lost": 0.1}
    assert model["rhythm"]["cuts"] == cuts
    before, now = plain["rhythm"]["first_gaps"], model["rhythm"]["first_gaps"]
    assert before["returned"] == now["returned"] > 300
    assert 0 < now["due_after_days"] < before["due_after_days"] < before["overdue_after_days"]
    asked = {"customer_ids": [f"{number:04}" for number in range(1, 900, 3)]}
    found = (await own_client.post("/v1/scores/lookup", json=asked)).json()["items"]
    told = [each["rhythm"] for each in found if each["rhythm"]["status"] != "lost"]
    assert {each["status"] for each in told} == {"on_time", "due", "overdue"}
    for each in told:
        chance = each["chance_if_active"]
        expected = "overdue" if chance <= 0.4 else "due" if chance <= 0.8 else "on_time"
        assert each["status"] == expected
    once = {each["customer_id"]: each for each in found if each["purchase_days"] == 1}
    for each in once.values():
        late = each["days_since_last_purchase"] > now["overdue_after_days"]
        assert (each["rhythm"]["chance_if_active"] <= 0.4) == late
    async with made.write(own_database) as session:
        await refitting.refit(session, model["model_id"], "new_facts", NOW)
    await made.work_off(Worker(own_database, settings))
    newest = (await own_client.get("/v1/models")).json()["items"][0]
    assert newest["model_id"] != model["model_id"]
    assert newest["rhythm"]["cuts"] == cuts


@pytest.mark.parametrize(
    ("cuts", "pointer"),
    [
        ({"due": 0.1}, "/rhythm_cuts/overdue"),
        ({"due": 0.3, "overdue": 0.3}, "/rhythm_cuts/overdue"),
        ({"overdue": 0}, "/rhythm_cuts/overdue"),
        ({"due": 1}, "/rhythm_cuts/due"),
        ({"lost": 1.5}, "/rhythm_cuts/lost"),
        ({"lost": "0.1"}, "/rhythm_cuts/lost"),
        ({"late": 0.5}, "/rhythm_cuts/late"),
    ],
    ids=str,
)
async def test_cuts_that_are_none_are_refused_with_their_place(
    client: httpx.AsyncClient, cuts: dict[str, Any], pointer: str
) -> None:
    answer = await client.post("/v1/models", json={"rhythm_cuts": cuts})
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_model_of_before_there_was_rhythm_tells_it_by_its_process(
    session: WriteSession, client: httpx.AsyncClient, deployment: Deployment
) -> None:
    await store_model(session, "model_of_before")
    shown = (await client.get("/v1/models/model_of_before")).json()
    assert shown["rhythm"] == {
        "cuts": {"due": 0.5, "overdue": 0.1, "lost": 0.1}, "first_gaps": None,
    }  # fmt: skip
