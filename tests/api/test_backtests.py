"""Back-tests over HTTP: figures beside baselines, a picture, and too little history said so."""

import xml.etree.ElementTree as ET
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.postgres.db import Database
from app.worker import Worker
from tests import documented
from tests.api.test_models import fill, sample
from tests.database import NOW


async def back_tested(
    client: httpx.AsyncClient, database: Database, settings: Settings, **request: object
) -> dict[str, Any]:
    """Do a back-test through the API and a worker; return it as the API shows it."""
    accepted = await client.post("/v1/backtests", json=request)
    assert accepted.status_code == 202, accepted.text
    worker = Worker(database, settings)
    while await worker.work_once():
        pass
    operation = documented.operation(await client.get(accepted.headers["location"]))
    assert operation["state"] == "succeeded", operation
    answer = await client.get(f"/v1/backtests/{operation['result']['backtest_id']}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def refund_some(client: httpx.AsyncClient, bought: list[dict[str, Any]]) -> dict[str, str]:
    """Refund purchases, most of them in full; return the day of each that was, by its id."""
    refunds = []
    for number, item in enumerate(bought[::4]):
        on = datetime.fromisoformat(item["occurred_at"]) + timedelta(days=number % 90)
        if on <= NOW:
            refund = {"kind": "refund", "transaction_id": f"r{number}", "amount": item["amount"],
                      "occurred_at": on.isoformat(),
                      "refunds": {"transaction_id": item["transaction_id"]}}  # fmt: skip
            partial = {"amount": {"amount": "1"}} if number % 3 == 0 else {}
            refunds.append({**item, **refund, **partial})
    for start in range(0, len(refunds), 1000):
        items = refunds[start : start + 1000]
        answer = await client.post("/v1/transactions/bulk", json={"items": items})
        assert answer.json()["counts"]["rejected"] == 0
    amounts = {item["transaction_id"]: worth(item) for item in bought}
    named = [(each["refunds"]["transaction_id"], each) for each in refunds]
    return {name: each["occurred_at"][:10] for name, each in named if worth(each) >= amounts[name]}


def worth(item: dict[str, Any]) -> float:
    return float(item["amount"]["amount"])


def counted(
    bought: list[dict[str, Any]], refunded_on: dict[str, str], cut: str, horizon: int
) -> tuple[int, float]:
    """Return the customers of a cut and the share that left, from what was posted."""
    end = (date.fromisoformat(cut) + timedelta(days=horizon)).isoformat()

    def standing(day: str, after: str = "") -> set[str]:
        return {
            item["customer_id"]
            for item in bought
            if after < item["occurred_at"][:10] <= day
            and refunded_on.get(item["transaction_id"], "9") > day
        }

    known = standing(cut)
    return len(known), len(known - standing(end, after=cut)) / len(known)


async def test_a_back_test_says_what_was_told_and_what_happened(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(own_client, 1200)
    bought = sample(1200)
    refunded_on = await refund_some(own_client, bought)
    as_of = (NOW - timedelta(days=1)).date().isoformat()
    report = await back_tested(
        own_client, own_database, settings, as_of=as_of, horizon_days=120, folds=2
    )
    assert (report["status"], report["horizon_days"], len(report["folds"])) == ("ok", 120, 2)
    assert report["folds"][0]["cut"] < report["folds"][1]["cut"]
    fold = report["folds"][-1]
    assert (fold["customers"], fold["churned"]) == counted(bought, refunded_on, fold["cut"], 120)
    rules = {"hiatus", "own_cadence", "base_rate"}
    assert set(fold["contenders"]) >= {"chosen", "landmark", "mbg_nbd", "pareto_nbd", *rules}
    assert fold["contenders"]["chosen"]["auc"] > fold["contenders"]["base_rate"]["auc"] == 0.5
    assert fold["contenders"]["chosen"]["log_loss"] < fold["contenders"]["base_rate"]["log_loss"]
    assert fold["contenders"]["chosen"]["ece"] < 0.06
    for table in ("calibration", "groups"):
        assert sum(row["n"] for row in fold[table]) == fold["customers"]
    assert fold["one_time"]["n"] + fold["repeat"]["n"] == fold["customers"]
    # Everybody of this log first bought at once, but what was refunded in full is no purchase.
    assert fold["new_customers"]["customers"] < 10
    bought = sum(row["purchases"] for row in fold["groups"])
    assert bought == pytest.approx(fold["one_time"]["purchases"] + fold["repeat"]["purchases"])
    assert {row["revenue"]["currency"] for row in fold["groups"]} == {"EUR"}
    revenue = sum(float(row["revenue"]["amount"]) for row in fold["groups"])
    assert 10 < revenue / bought < 100  # whole units of the currency
    assert set(fold["intervals"]["lower"]) == {"brier", "log_loss", "auc", "ece"}
    assert fold["lift"]["leaving"]
    assert report["chosen"]["auc"] == report["contenders"]["chosen"]["auc"]
    listed = (await own_client.get("/v1/backtests?limit=1")).json()["items"]
    assert [each["backtest_id"] for each in listed] == [report["backtest_id"]]
    assert sum(part["weight"] for part in fold["components"]) == pytest.approx(1)
    assert {part["name"] for part in fold["components"]} <= set(fold["contenders"])
    assert fold["season"]["statement"]["zh"]
    windows = fold["growth"]["windows"]
    assert [each["day"] for each in windows] == sorted({each["day"] for each in windows})
    assert windows[-1]["day"] < fold["cut"]
    totals = fold["totals"]
    assert totals["purchases"] == bought
    assert float(totals["revenue"]["amount"]) == pytest.approx(revenue, abs=0.1)
    assert [row["by"] for row in totals["told"]][:2] == ["served", "process"]
    assert {row["expected_revenue"]["currency"] for row in totals["told"]} == {"EUR"}
    assert set(report["totals_error"]) >= {"served", "process"}
    served = totals["told"][0]
    for of, ends, made in (
        ("purchases", served["interval"], totals["purchases"]),
        ("revenue", {end: float(value["amount"]) for end, value in
                     served["revenue_interval"].items()}, revenue),
    ):  # fmt: skip
        assert fold["coverage"][of]["total_held"] == (ends["low"] <= made <= ends["high"])
        assert 0.5 < fold["coverage"][of]["held"] <= 1
        assert report["coverage"][of]["total_held"] in (0, 0.5, 1)
    assert {row["interval"] for row in totals["told"][1:]} == {None}
    await look_at(own_client, report)


async def look_at(client: httpx.AsyncClient, report: dict[str, Any]) -> None:
    """Hold the picture of a back-test against its figures."""
    path = f"/v1/backtests/{report['backtest_id']}/picture.svg"
    last = report["folds"][-1]
    for language, title in (("en", "what was told"), ("zh", "回测")):
        picture = await client.get(f"{path}?language={language}")
        assert picture.headers["content-type"].startswith("image/svg+xml")
        drawn = ET.fromstring(picture.text)
        names = [each.tag.split("}")[1] for each in drawn]
        assert names[:2] == ["title", "desc"]
        assert title in (drawn[0].text or "")
        dots, keys = [each for each in drawn if each.get("class") == "dot"], 2
        assert len(dots) == len(last["calibration"]) + len(report["folds"]) + keys
        said = [each.text for each in drawn if each.text]
        numbers = [text for text in said if text.startswith("n ")]
        assert numbers == [f"n {row['n']:,}" for row in last["calibration"]]
        for fold in report["folds"]:
            assert f"{fold['cut']}, n {fold['customers']:,}" in said
    assert (await client.get(path)).text == (await client.get(f"{path}?language=en")).text


async def test_cuts_are_tested_at_in_order_of_time(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await fill(own_client, 400)
    last = (NOW - timedelta(days=1)).date()
    cuts = [last - timedelta(days=days) for days in (30, 95)]
    report = await back_tested(
        own_client, own_database, settings, as_of=last.isoformat(), horizon_days=30,
        cuts=[cut.isoformat() for cut in cuts],
    )  # fmt: skip
    assert [fold["cut"] for fold in report["folds"]] == sorted(cut.isoformat() for cut in cuts)
    assert report["folds_asked"] == 2
    errors = [abs(fold["totals"]["told"][0]["error"]) for fold in report["folds"]]
    assert report["totals_error"]["served"] == pytest.approx(sum(errors) / 2)
    await look_at(own_client, report)


async def test_too_little_history_is_said(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    empty = await back_tested(own_client, own_database, settings)
    assert (empty["status"], empty["chosen"]) == ("insufficient_history", None)
    await fill(own_client, 40)
    for asked in ({}, {"horizon_days": 3000}, {"as_of": "1995-01-01"}):
        few = await back_tested(own_client, own_database, settings, **asked)
        assert few["status"] == "insufficient_history"
        picture = await own_client.get(f"/v1/backtests/{few['backtest_id']}/picture.svg")
        assert picture.status_code == 200
    listed = (await own_client.get("/v1/backtests")).json()["items"]
    assert len(listed) == 4


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"as_of": "2030-01-01"}, "/as_of"),
        ({"as_of": "soon"}, "/as_of"),
        ({"horizon_days": 0}, "/horizon_days"),
        ({"horizon_days": 90.5}, "/horizon_days"),
        ({"folds": 99}, "/folds"),
        ({"days": 9}, "/days"),
        ({"cuts": []}, "/cuts"),
        ({"cuts": ["2020-01-01", "soon"]}, "/cuts/1"),
        ({"cuts": [20200101]}, "/cuts/0"),
        ({"cuts": ["2020-01-01"] * 13}, "/cuts"),
        ({"cuts": ["2020-01-01", "2020-02-01", "2020-01-01"]}, "/cuts/2"),
        (
            {"cuts": ["2020-01-01", "2020-03-03"], "as_of": "2020-03-31", "horizon_days": 30},
            "/cuts/1",
        ),
        ({"cuts": ["2020-01-01"], "folds": 1}, "/folds"),
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused_with_its_place(
    client: httpx.AsyncClient, body: dict[str, object], pointer: str
) -> None:
    answer = await client.post("/v1/backtests", json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_the_last_day_that_can_be_tested_at_is_said(client: httpx.AsyncClient) -> None:
    late = {"as_of": "2020-03-31", "horizon_days": 30, "cuts": ["2020-03-02"]}
    answer = await client.post("/v1/backtests", json=late)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"pointer": "/cuts/0", "code": "cut_too_late",
         "detail": "must be 30 days or more before as_of: 2020-03-01 or earlier"}
    ]  # fmt: skip
    fine = {**late, "cuts": ["2020-03-01"]}
    assert (await client.post("/v1/backtests", json=fine)).status_code == 202


async def test_a_picture_has_words_in_the_languages_that_there_are(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/v1/backtests/none/picture.svg?language=fr")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["query:language"]


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("/v1/backtests/none", "/v1/backtests/none/picture.svg"):
        assert (await client.get(path)).status_code == 404
