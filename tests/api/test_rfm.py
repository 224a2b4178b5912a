"""RFM over HTTP: names of groups, cuts that callers give, and what ties leave of the scale."""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.lifecycle.presets import PRESETS
from app.lifecycle.variables.choices import RFM_GROUPS
from app.postgres.db import Database
from app.scoring.rfm import rfm
from app.services.models import refitting
from app.worker import Worker
from tests.api.test_models import fitted
from tests.database import NOW, writing

FLAGS = {"at_risk", "overdue", "on_time", "due", "lost"}
EUROS = [{"amount": amount, "currency": "EUR"} for amount in ("10.00", "20.00", "30.00", "40.00")]
CUTS: dict[str, Any] = {"r": [5, 20, 60, 90], "f": [1, 2, 3, 4], "m": EUROS}


def words(codes: set[str]) -> set[str]:
    return {word.rstrip("s") for code in codes for word in re.findall("[a-z]+", code.lower())}


def test_names_of_groups_share_no_word_with_stages_or_flags() -> None:
    stages = [stage for preset in PRESETS.values() for stage in preset["stages"]]
    taken = words({stage["code"] for stage in stages} | FLAGS)
    named = set(rfm.GROUPS) | {name["en"] for name in RFM_GROUPS.values()}
    assert words(named) & taken == set()
    assert not any(word.startswith(("loyal", "potential")) for word in words(named))
    chinese = {stage["name"]["zh"].removesuffix("客户").removesuffix("期") for stage in stages}
    for name in RFM_GROUPS.values():
        assert not any(each in name["zh"] for each in chinese), name
    assert list(RFM_GROUPS) == list(rfm.GROUPS)


async def buy(client: httpx.AsyncClient, customers: dict[str, list[tuple[int, str]]]) -> None:
    """Post purchases of customers, each so many days ago and of so much."""
    items = [
        {"customer_id": each, "transaction_id": f"p{days}", "amount": {"amount": amount},
         "occurred_at": (NOW - timedelta(days=days)).isoformat()}
        for each, bought in customers.items()
        for days, amount in bought
    ]  # fmt: skip
    answer = await client.post("/v1/transactions/bulk", json={"items": items})
    assert answer.json()["counts"]["rejected"] == 0


ALIKE = {f"c{n}": [(10 + 7 * n, "15.00")] for n in range(9)} | {
    "twice": [(1, "13.00"), (3, "13.00")]
}


async def test_ties_are_told_by_model_card_and_report(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await buy(own_client, ALIKE)
    model = await fitted(own_client, own_database, settings)
    few = [{"dimension": "f", "classes": 2}, {"dimension": "m", "classes": 2}]
    assert model["cuts"]["rfm_few_classes"] == few
    assert model["cuts"]["rfm_given"] == []
    assert model["cuts"]["rfm"]["r"] == sorted(model["cuts"]["rfm"]["r"])
    card = (await own_client.get("/v1/customers/twice/scores")).json()
    assert card["rfm_few_classes"] == few
    await own_client.post("/v1/scoring-runs", json={})
    worker = Worker(own_database, settings)
    while await worker.work_once():
        pass
    report = (await own_client.get("/v1/reports/rfm")).json()
    assert (report["rfm_few_classes"], report["cuts"]) == (few, model["cuts"]["rfm"])


async def test_given_cuts_are_kept_with_the_model_and_those_fitted_after_it(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await buy(own_client, ALIKE)
    model = await fitted(own_client, own_database, settings, rfm_cuts={"f": CUTS["f"], "m": EUROS})
    shown = model["cuts"]["rfm"]
    assert (shown["f"], shown["m"]) == (CUTS["f"], EUROS)
    assert model["cuts"]["rfm_given"] == ["f", "m"]
    # What the model shows can be given again, and is the same.
    again = await fitted(own_client, own_database, settings, rfm_cuts=shown)
    assert again["cuts"]["rfm"] == shown
    assert again["cuts"]["rfm_given"] == ["f", "m", "r"]
    card = (await own_client.get("/v1/customers/twice/scores")).json()
    assert (card["f"], card["m"]) == (2, 3)
    async with own_database.writes() as session, session.begin():
        await refitting.refit(writing(session), again["model_id"], "new_facts", NOW)
    worker = Worker(own_database, settings)
    while await worker.work_once():
        pass
    newest = (await own_client.get("/v1/models")).json()["items"][0]
    assert newest["model_id"] != again["model_id"]
    assert newest["cuts"]["rfm"] == shown


async def test_cuts_given_with_a_question_are_those_of_its_answer_alone(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    await buy(own_client, ALIKE)
    model = await fitted(own_client, own_database, settings)
    body = {"customer_ids": ["twice"], "rfm_cuts": CUTS}
    found = (await own_client.post("/v1/scores/lookup", json=body)).json()
    assert found["rfm_cuts"] == CUTS
    (card,) = found["items"]
    assert (card["r"], card["f"], card["m"], card["rfm_group"]) == (5, 2, 3, "rising")
    assert card["rfm_few_classes"] == []
    plain = (await own_client.post("/v1/scores/lookup", json={"customer_ids": ["twice"]})).json()
    assert plain["rfm_cuts"] == model["cuts"]["rfm"]
    row = {"x": 1, "t_x": 2, "T": 3, "revenue": {"amount": "26.00"}}
    given = {"items": [row, {"x": 0, "t_x": 0, "T": 61}], "rfm_cuts": CUTS}
    scored = (await own_client.post("/v1/score", json=given)).json()
    assert (scored["rfm_cuts"], scored["rfm_few_classes"]) == (CUTS, [])
    first, second = scored["items"]
    assert {name: first[name] for name in ("r", "f", "m", "rfm_group")} == {
        name: card[name] for name in ("r", "f", "m", "rfm_group")
    }
    assert (second["r"], second["f"], second["m"], second["rfm_group"]) == (2, 1, None, None)


@pytest.mark.parametrize(
    ("cuts", "pointer"),
    [
        ({"r": [5, 20, 60]}, "/rfm_cuts/r"),
        ({"f": [1, 2, 4, 3]}, "/rfm_cuts/f"),
        ({"f": [1, 2, -3, 3]}, "/rfm_cuts/f/2"),
        ({"m": EUROS[::-1]}, "/rfm_cuts/m"),
        ({"m": [{"amount": "1", "currency": "USD"}, *EUROS[1:]]}, "/rfm_cuts/m/0/currency"),
        ({"z": [1, 2, 3, 4]}, "/rfm_cuts/z"),
    ],
    ids=str,
)
async def test_cuts_that_are_none_are_refused_with_their_place(
    client: httpx.AsyncClient, cuts: dict[str, Any], pointer: str
) -> None:
    for path, body in (
        ("/v1/models", {}),
        ("/v1/scores/lookup", {"customer_ids": ["nobody"]}),
    ):  # fmt: skip
        answer = await client.post(path, json={**body, "rfm_cuts": cuts})
        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
