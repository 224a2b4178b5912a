"""Pages of churn risks in pieces of JSON, against the same row by row, the slow way."""

import json
from typing import Any

import httpx
import pytest

from app.deployment import Deployment
from app.postgres.db import Database
from app.schemas.scores.lists import ChurnRiskPage
from app.services.scores import kept_runs, reason_texts, risk_rows
from app.services.scores.kept_runs import KeptRun
from app.services.scores.reason_inputs import ReasonInputs
from tests import slow_cards
from tests.kept import kept_scores
from tests.services.runs import test_runs as made
from tests.services.scores.test_lists import people, run_id, worker  # noqa: F401  # fixtures

NAME = 'O\'Neil "the" 百分之百 100 % \\ \u2028 end'


def slow_item(deployment: Deployment, run: KeptRun, row: Any) -> dict[str, Any]:
    """Return what is said of a row of a run, worked out by itself."""
    assert run.explanation is not None
    stage, silent = run.policy.stage(row.stage), run.silent(row.last_purchase_on)
    log_odds, parts, known = run.explanation.read(row._mapping, run.as_of.day)
    item = {
        "customer_id": row.customer_id,
        "name": NAME if row.customer_id == "c03" else None,
        "stage": row.stage,
        "rhythm": {
            "status": row.rhythm,
            "usual_gap_days": row.usual_gap_days,
            "days_silent": silent,
            "chance_if_active": row.chance_if_active,
        },
        "call_reasons": row.call_reasons,
        "value_tier": row.value_tier,
        "purchase_days": row.purchase_days,
        "last_purchase_on": row.last_purchase_on,
        "probability": row.probability,
        "expected_purchases": row.expected_purchases,
        "horizon_days": run.horizon_days,
        "value_to_save": deployment.money(row.value_to_save),
        "clv": deployment.money(row.clv),
        "reason": row.reason,
        "base_log_odds": run.explanation.base_log_odds,
        "log_odds": log_odds,
        "reasons": reason_texts.tell(ReasonInputs(run.model, run.as_of.day, known), parts),
        "facts_changed": False,
        "previous": None,
        "next_actions": [
            {"code": action.code, "name": action.name}
            for place, action in enumerate(stage.actions)
            if row.next_actions & 2**place
        ],
    }
    item["sentence"] = slow_cards.sentence(stage.name, item)
    return item


@pytest.mark.parametrize("most", [10**6, 3])
async def test_a_page_is_what_its_rows_are_one_by_one(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    run_id: int,  # noqa: F811
    most: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(risk_rows, "_MOST_ROWS", most)
    monkeypatch.setattr(risk_rows, "_MOST_PIECES", most)
    named = await own_client.patch("/v1/customers/c03", json={"name": NAME})
    assert named.status_code == 200
    async with made.read(own_database) as session:
        run = await kept_runs.find(session, deployment, run_id)
        assert run is not None
        rows = await kept_scores(session, run_id)
    expected = [
        slow_item(deployment, run, row) for row in rows.values() if row.probability is not None
    ]
    expected.sort(key=lambda item: (item["value_to_save"]["amount"], item["customer_id"]))
    page = {"items": expected[::-1], "next_cursor": None, **run.head}
    slow = ChurnRiskPage.model_validate(page).model_dump_json()
    for _ in range(2):  # made, and kept
        answer = await own_client.get("/v1/churn-risks?include=all&limit=100")
        assert answer.headers["content-type"] == "application/json"
        assert json.loads(answer.content) == json.loads(slow)
    assert len(expected) > 20


async def test_a_name_and_whether_facts_changed_are_as_they_are_now(
    own_client: httpx.AsyncClient,
    run_id: int,  # noqa: F811
) -> None:
    async def items() -> dict[str, dict[str, Any]]:
        answer = await own_client.get("/v1/churn-risks?include=all&limit=100")
        return {item["customer_id"]: item for item in answer.json()["items"]}

    before = await items()
    first, second = list(before)[:2]
    await own_client.patch(f"/v1/customers/{first}", json={"name": "New name"})
    day = "2020-01-31T12:00:00Z"
    sold = {"customer_id": second, "transaction_id": "late", "occurred_at": day,
            "amount": {"amount": "3"}}  # fmt: skip
    assert (await own_client.post("/v1/transactions", json=sold)).status_code == 201
    expected = {**before, first: {**before[first], "name": "New name"},
                second: {**before[second], "facts_changed": True}}  # fmt: skip
    assert await items() == expected
    # What was voided is a change too; so is a complaint, or what moved away from before the run.
    told = {"customer_id": first, "interaction_id": "i", "kind": "call", "occurred_at": day}
    assert (await own_client.post("/v1/interactions", json=told)).status_code == 201
    assert (await items())[first]["facts_changed"]
