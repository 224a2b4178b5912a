"""Expected purchases, lifetime value and value to save over HTTP, against slow twins."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import select, text

from app.config import Settings
from app.models import Model
from app.postgres.db import Database, ReadSession
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.histories.features import Features
from app.scoring.purchases.registry import MODELS
from app.scoring.spend import gamma_gamma
from app.services.models import model_store, refitting
from app.services.scores import kept_runs
from app.worker import Worker
from tests.api.test_models import fitted, sample
from tests.database import Clock, writing

YEAR = 365.25
CUSTOMERS = 400


def with_margins(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let two thirds of the customers have margins, of a rate of their own, some at a loss."""
    rng = random.Random(7)
    rate = {item["customer_id"]: rng.choice((-0.3, 0.1, 0.2, 0.6, None, None)) for item in items}
    for item in items:
        own, amount = rate[item["customer_id"]], Decimal(item["amount"]["amount"])
        if own is not None and rng.random() < 0.9:
            share = Decimal(str(round(own + rng.gauss(0, 0.05), 4)))
            item["margin"] = {"amount": str((amount * share).quantize(Decimal("0.0001")))}
    return items


def with_refunds(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give back a part of some purchases, and all of others."""
    rng = random.Random(8)
    back = []
    for item in items:
        amount = Decimal(item["amount"]["amount"])
        if rng.random() < 0.1 and amount > 1:
            part = rng.choice((Decimal(1), Decimal("0.25")))
            at = datetime.fromisoformat(item["occurred_at"]) + timedelta(minutes=5)
            back.append(
                {
                    "customer_id": item["customer_id"],
                    "transaction_id": f"r{item['transaction_id']}",
                    "kind": "refund",
                    "occurred_at": at.isoformat(),
                    "amount": {"amount": str((amount * part).quantize(Decimal("0.0001")))},
                    "refunds": {"transaction_id": item["transaction_id"]},
                }
            )
    return back


async def post(client: httpx.AsyncClient, items: list[dict[str, Any]]) -> None:
    for start in range(0, len(items), 1000):
        body = {"items": items[start : start + 1000]}
        answer = await client.post("/v1/transactions/bulk", json=body)
        assert answer.json()["counts"]["rejected"] == 0, answer.text


async def cards(client: httpx.AsyncClient, ids: list[str], **more: Any) -> dict[str, Any]:
    answer = await client.post("/v1/scores/lookup", json={"customer_ids": ids, **more})
    assert answer.status_code == 200, answer.text
    return {item["customer_id"]: item for item in answer.json()["items"]}


async def scored(
    client: httpx.AsyncClient, database: Database, settings: Settings
) -> dict[str, dict[str, Any]]:
    """Score everybody in a run, and return its rows."""
    assert (await client.post("/v1/scoring-runs", json={})).status_code == 202
    worker = Worker(database, settings)
    while await worker.work_once():
        pass
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = {"limit": 200} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/scores", params=asked)).json()
        items, cursor = items + page["items"], page["next_cursor"]
        if cursor is None:
            return {item["customer_id"]: {**item, "page": page} for item in items}


async def document(database: Database, model_id: str) -> dict[str, Any]:
    async with database.reads() as session:
        query = select(Model.document).where(Model.model_id == model_id)
        found: dict[str, Any] = await session.scalar(query) or {}
        return found


def amount(money: dict[str, str]) -> float:
    return float(money["amount"])


class Twin:
    """Lifetime value of one customer by the textbook, from parameters and the card's own risk."""

    def __init__(self, stored: dict[str, Any]) -> None:
        of = stored["purchases"]
        self.process = MODELS[of["kind"]].build(**of["parameters"])
        self.spend = gamma_gamma.Model.from_params(**stored["spend"]["parameters"])
        self.evidence = stored["spend"]["evidence"]
        self.risk = None if stored["risk"] is None else ChurnRisk.from_dict(stored["risk"])

    def worth(self, x: float, t_x: float, T: float, p: float, days: int, rate: float) -> float:
        """Return (1 - p) / (1 - p0) times the discounted purchases of the process."""
        purchases = self.process.discounted_purchases(
            x, t_x, T, horizon=days, annual_discount=rate, periods_per_year=YEAR
        )
        none = self.process.p_no_purchase(x, t_x, T, horizon=days)
        return float(purchases * (1 - p) / (1 - none))

    def value(self, values: list[float]) -> float:
        seen = values if self.evidence == "all_purchases" else values[1:]
        paid = [each for each in seen if each > 0]
        mean = sum(paid) / len(paid) if paid else 0.0
        return float(self.spend.expected_value(len(paid), mean))

    def after_purchase(self, x: float, t_x: float, T: float, log_odds: float, days: int) -> float:
        """Return p had the last purchase been today, all that is no history staying as it is."""
        assert self.risk is not None
        last = T if x else 0.0

        def alone(*history: float) -> float:
            return float(self.risk.log_odds(Features.of(*history), horizon=days)[0])

        odds = log_odds - alone(x, t_x, T) + alone(x, last, last)
        return float(1 / (1 + np.exp(-odds)))


def days_of(items: list[dict[str, Any]], back: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Return what each customer's purchase days are worth, by loops."""
    taken = {each["refunds"]["transaction_id"]: Decimal(each["amount"]["amount"]) for each in back}
    found: dict[str, dict[str, float]] = {}
    for item in sorted(items, key=lambda each: each["occurred_at"]):
        own = Decimal(item["amount"]["amount"])
        left = own - taken.get(item["transaction_id"], Decimal(0))
        if left > 0 or own == 0:
            days = found.setdefault(item["customer_id"], {})
            day = item["occurred_at"][:10]
            days[day] = days.get(day, 0.0) + float(left)
    return {customer: list(days.values()) for customer, days in found.items()}


@pytest.mark.parametrize("kind", [None, "pareto_nbd", "mbg_cnbd_k", "nbd"])
async def test_card_list_and_look_up_agree_and_contradict_nothing(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    clock: Clock,
    kind: str | None,
) -> None:
    items = sample(CUSTOMERS)
    await post(own_client, items)
    clock.now = datetime.now(UTC)
    model = await fitted(own_client, own_database, settings, kind=kind, activate=True)
    rows = await scored(own_client, own_database, settings)
    ids = sorted(rows)
    values, year = days_of(items, []), await cards(own_client, ids, horizon_days=365)
    twin = Twin(await document(own_database, model["model_id"]))
    for horizon in (1, 30, 90, 365, 2000):
        for card in (await cards(own_client, ids, horizon_days=horizon)).values():
            chance = 1 - card["churn_risk"]["probability"]
            assert card["expected_purchases"]["value"] >= chance * (1 - 1e-9) - 1e-15
    own = await cards(own_client, ids)
    tiers = {name: amount(cut) for name, cut in model["cuts"]["value_tier"].items()}
    for each in ids:
        row, card = rows[each], own[each]
        assert row["expected_purchases"] == pytest.approx(card["expected_purchases"]["value"])
        assert row["clv"] == card["clv"]["value"]
        assert (row["value_tier"], row["value_to_save"]) == (
            card["value_tier"],
            card["value_to_save"],
        )
        assert card["value_tier"] == (
            "high" if amount(row["clv"]) >= tiers["high"] > 0
            else "medium" if amount(row["clv"]) >= tiers["medium"] > 0 else "low"
        )  # fmt: skip
        p = year[each]["churn_risk"]["probability"]
        history = [card["model_inputs"][name] for name in ("x", "t_x", "T")]
        value = twin.value(values[each])
        now = twin.worth(*history, p, 365, 0.1) * value
        assert amount(row["clv"]) == pytest.approx(now, abs=0.00501, rel=1e-6)
        x, t_x, T = history
        if twin.risk is None:
            last = T if x else 0.0
            then = twin.process.p_no_purchase(x, last, last, horizon=365)
        else:
            then = twin.after_purchase(x, t_x, T, year[each]["churn_risk"]["log_odds"], 365)
        fresh = (x, T, T) if x else (0, 0, 0)
        ideal = twin.worth(*fresh, then, 365, 0.1) * value
        saved = max(ideal - now, 0) * (1 - p)
        assert amount(row["value_to_save"]) == pytest.approx(saved, abs=0.00501, rel=1e-6)
    page = rows[ids[0]]["page"]
    assert page["clv"] == model["clv"]
    assert {name: own[ids[0]]["clv"][name] for name in page["clv"]} == page["clv"]
    if kind == "nbd":
        assert "no_dropout_identified" in page["clv"]["caveats"]


async def test_terms_are_of_the_model_and_of_the_question(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings, clock: Clock
) -> None:
    items = sample(CUSTOMERS)
    await post(own_client, items)
    clock.now = datetime.now(UTC)
    asked = {"clv_horizon_days": 180, "annual_discount": 0.25}
    model = await fitted(own_client, own_database, settings, kind="mbg_nbd", activate=True, **asked)
    told = {"horizon_days": 180, "annual_discount": 0.25, "basis": "revenue"}
    assert {name: model["clv"][name] for name in told} == told
    async with own_database.reads() as session:
        row = await model_store.get(ReadSession(session), model["model_id"])
    again = refitting._like(row, "new_facts")
    assert again.model_dump().items() >= (asked | {"clv_basis": "revenue"}).items()
    twin = Twin(await document(own_database, model["model_id"]))
    values = days_of(items, [])
    ids = sorted(values)[:50]
    own = await cards(own_client, ids)
    for days, rate in ((180, 0.25), (30, 0.25), (180, 0.0), (1500, 0.1)):
        more = {"clv_horizon_days": days, "annual_discount": rate}
        for each, card in (await cards(own_client, ids, **more)).items():
            history = [card["model_inputs"][name] for name in ("x", "t_x", "T")]
            none = twin.process.p_no_purchase(*history, horizon=days)
            worth = twin.worth(*history, float(none), days, rate) * twin.value(values[each])
            assert amount(card["clv"]["value"]) == pytest.approx(worth, abs=0.00501, rel=1e-6)
            assert (card["clv"]["horizon_days"], card["clv"]["annual_discount"]) == (days, rate)
            assert card["value_tier"] == own[each]["value_tier"]  # by the model's terms
            assert ("horizon_extrapolated" in card["clv"]["caveats"]) == (days > 545)
    path = f"/v1/customers/{ids[0]}/scores"
    single = (await own_client.get(path, params=more)).json()
    assert single["clv"] == (await cards(own_client, ids[:1], **more))[ids[0]]["clv"]
    row = {"x": 2, "t_x": 213, "T": 272, "mean_value": {"amount": "22.35"}}
    rows = [row, {**row, "first_value": {"amount": "900"}}, {**row, "revenue": {"amount": "944.7"}}]
    answer = (await own_client.post("/v1/score", json={"items": rows, **more})).json()
    assert {name: answer["clv"][name] for name in ("horizon_days", "annual_discount")} == {
        "horizon_days": 1500, "annual_discount": 0.1,
    }  # fmt: skip
    plain, *first = (amount(item["mean_spend"]) for item in answer["items"])
    assert first[0] == first[1] > plain
    for item in answer["items"]:
        assert item["expected_purchases"] >= 1 - item["probability"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clv_horizon_days", 0), ("clv_horizon_days", 3651), ("clv_horizon_days", "x"),
        ("annual_discount", -0.1), ("annual_discount", 11), ("clv_basis", "profit"),
        ("clv_basis", "margin"),
    ],
)  # fmt: skip
async def test_terms_that_cannot_be_are_refused_where_they_stand(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings, clock: Clock,
    name: str, value: object,
) -> None:  # fmt: skip
    """No purchase carries a margin here, so that nothing is known of that basis."""
    await post(own_client, sample(20))
    clock.now = datetime.now(UTC)
    await fitted(own_client, own_database, settings, kind="mbg_nbd", activate=True)
    row = {"x": 0, "t_x": 0, "T": 9}
    asked = {name: value}
    answers = {
        f"query:{name}": await own_client.get("/v1/customers/0001/scores", params=asked),
        f"/{name}": await own_client.post("/v1/models", json=asked),
        f"/{name} ": await own_client.post("/v1/score", json={"items": [row], **asked}),
        f"/{name}  ": await own_client.post(
            "/v1/scores/lookup", json={"customer_ids": ["0001"], **asked}
        ),
    }
    for pointer, answer in answers.items():
        assert answer.status_code == 422, answer.text
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer.strip()]


def rates(
    items: list[dict[str, Any]], back: list[dict[str, Any]], learnt: dict[str, Any]
) -> dict[str, float]:
    """Return the margin rate of each customer, purchase by purchase."""
    taken = {each["refunds"]["transaction_id"]: Decimal(each["amount"]["amount"]) for each in back}
    sums: dict[str, list[Decimal]] = {}
    for item in items:
        own = Decimal(item["amount"]["amount"])
        left = own - taken.get(item["transaction_id"], Decimal(0))
        both = sums.setdefault(item["customer_id"], [Decimal(0), Decimal(0)])
        if left > 0 and "margin" in item:
            both[0] += left
            margin = max(-own, min(own, Decimal(item["margin"]["amount"])))
            both[1] += margin * left / own
    rate, prior = learnt["rate"], float(learnt["prior_revenue"]["amount"])
    return {
        customer: (float(m) + prior * rate) / (float(w) + prior)
        for customer, (w, m) in sums.items()
    }


async def test_by_margin_it_is_revenue_times_a_shrunk_rate(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings, clock: Clock
) -> None:
    items = with_margins(sample(CUSTOMERS))
    # Costs far beyond the price, of one purchase of little: they decide over nobody else.
    items[0] |= {"amount": {"amount": "0.01"}, "margin": {"amount": "-90000"}}
    back = with_refunds(items)
    await post(own_client, items)
    await post(own_client, back)
    clock.now = datetime.now(UTC)
    model = await fitted(
        own_client, own_database, settings, kind="mbg_nbd", clv_basis="margin", activate=True
    )
    learnt = model["margins"]
    expected = rates(items, back, learnt)
    with_any = {item["customer_id"] for item in items if "margin" in item}
    assert 0 < learnt["rate"] < 0.6
    rows = await scored(own_client, own_database, settings)
    ids = sorted(each for each in rows if rows[each]["clv"] is not None)
    own = await cards(own_client, ids)
    by_revenue = await cards(own_client, ids, clv_basis="revenue")
    losses = 0
    for each in ids:
        card, plain = own[each], by_revenue[each]
        value = amount(plain["clv"]["value"]) * expected[each]
        assert amount(card["clv"]["value"]) == pytest.approx(value, abs=0.011, rel=1e-4)
        assert (card["clv"]["basis"], plain["clv"]["basis"]) == ("margin", "revenue")
        assert rows[each]["clv"] == card["clv"]["value"]
        assert rows[each]["value_to_save"] == card["value_to_save"]
        assert card["value_tier"] == plain["value_tier"] == rows[each]["value_tier"]
        assert amount(card["value_to_save"]) >= 0
        borrowed = "population_margin_rate" in card["clv"]["caveats"]
        assert borrowed >= (each not in with_any)
        if value < -0.01:
            losses += 1
            assert card["value_tier"] == "low"
            assert amount(card["value_to_save"]) == 0
    assert losses > 5
    row = {"x": 2, "t_x": 213, "T": 272, "revenue": {"amount": "60"}}
    told = {**row, "margin": {"amount": "-30"}}
    answer = (await own_client.post("/v1/score", json={"items": [row, told]})).json()
    prior = float(learnt["prior_revenue"]["amount"])
    shrunk = (-30 + prior * learnt["rate"]) / (60 + prior)
    first, second = (amount(item["clv"]) for item in answer["items"])
    assert second / first == pytest.approx(shrunk / learnt["rate"], rel=1e-2)
    alone = await own_client.post("/v1/score", json={"items": [{**told, "revenue": None}]})
    assert alone.status_code == 422


async def test_a_first_day_worth_more_than_all_is_refused_where_it_stands(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings, clock: Clock
) -> None:
    await post(own_client, sample(30))
    clock.now = datetime.now(UTC)
    await fitted(own_client, own_database, settings, kind="mbg_nbd", activate=True)
    row = {"x": 2, "t_x": 213, "T": 272, "revenue": {"amount": "63.10"}}
    rows = [{**row, "first_value": {"amount": value}} for value in ("63.10", "63.11", "0", "9000")]
    rows.append({**row, "revenue": None, "first_value": {"amount": "9000"}})
    answer = await own_client.post("/v1/score", json={"items": rows})
    assert answer.status_code == 422, answer.text
    pointers = [each["pointer"] for each in answer.json()["errors"]]
    assert pointers == ["/items/1/first_value", "/items/3/first_value"]
    possible = {"items": [rows[0], rows[2], rows[4]]}
    assert (await own_client.post("/v1/score", json=possible)).status_code == 200


async def test_a_margin_that_is_no_longer_known_gives_way_to_revenue_when_fitted_anew(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings, clock: Clock
) -> None:
    items = with_margins(sample(60))
    await post(own_client, items)
    clock.now = datetime.now(UTC)
    asked = {"kind": "mbg_nbd", "clv_basis": "margin", "clv_horizon_days": 180}
    model = await fitted(own_client, own_database, settings, activate=True, **asked)

    async def fitted_anew(model_id: str) -> dict[str, Any]:
        async with own_database.writes() as session, session.begin():
            await refitting.refit(writing(session), model_id, "new_facts", clock.now)
        worker = Worker(own_database, settings)
        while await worker.work_once():
            pass
        newest: dict[str, Any] = (await own_client.get("/v1/operations")).json()["items"][0]
        assert newest["state"] == "succeeded", newest
        fitted_model = await own_client.get(f"/v1/models/{newest['result']['model_id']}")
        return {**newest["result"], "clv": fitted_model.json()["clv"]}

    kept = await fitted_anew(model["model_id"])
    assert (kept["clv"]["basis"], kept["fallback_clv_basis"]) == ("margin", None)
    gone = [{name: each for name, each in item.items() if name != "margin"} | {"revision": 2}
            for item in items]  # fmt: skip
    await post(own_client, gone)
    clock.now = datetime.now(UTC)
    found = await fitted_anew(kept["model_id"])
    assert found["refit"] == "new_facts"
    assert (found["clv"]["basis"], found["fallback_clv_basis"]) == ("revenue", "revenue")
    assert found["clv"]["horizon_days"] == 180
    asked_for = await own_client.post("/v1/models", json=asked)
    assert asked_for.status_code == 422  # whoever asks is told


async def test_a_run_of_before_value_to_save_was_told_is_not_ordered_by_it(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings, clock: Clock
) -> None:
    await post(own_client, sample(30))
    clock.now = datetime.now(UTC)
    await fitted(own_client, own_database, settings, kind="mbg_nbd", activate=True)
    await scored(own_client, own_database, settings)
    told = {"sort": "-value_to_save"}
    assert (await own_client.get("/v1/churn-risks", params=told)).status_code == 200
    async with own_database.writes() as session, session.begin():
        await session.execute(text("UPDATE runs.scores_1 SET value_to_save = NULL"))
        await session.execute(
            text(
                "UPDATE runs SET summary = jsonb_set(summary, '{stages}', (SELECT jsonb_object_agg("
                "stage, totals || '{\"value_to_save\": null}') FROM jsonb_each(summary->'stages')"
                " AS of_stage (stage, totals)))"
            )
        )
    kept_runs._memories.clear()  # a process that was started since
    assert (await own_client.get("/v1/churn-risks", params=told)).status_code == 422
    listed = await own_client.get("/v1/churn-risks")
    assert listed.status_code == 200
    assert {item["value_to_save"] for item in listed.json()["items"]} == {None}
    report = (await own_client.get("/v1/reports/stages")).json()["stages"]
    assert next(stage["value_to_save"] for stage in report if stage["customers"]) is None
