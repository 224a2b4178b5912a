"""The worklist on the buyers of CDNOW, week by week: who is on it, and how lines go."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from app.demo import data
from app.deployment import Deployment
from app.postgres.db import Database
from app.worker import Worker
from tests.api.test_worklist import lines
from tests.database import Clock
from tests.kept import store_model
from tests.services.runs import test_runs as made
from tests.services.scores import test_lists
from tests.services.scores.test_lists import listed, status_of

worker = test_lists.worker
BUYERS, WEEKS = 400, 5
SILENCE = {"overdue", "declining_frequency", "declining_amount"}


async def test_none_of_the_lost_none_on_time_and_what_was_seen_to_stays_away(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    clock: Clock,
) -> None:
    now = datetime.now(UTC)
    calendar = data.Calendar.ending_yesterday(now.date() - timedelta(days=300))
    bought = data.transactions(data.read_log(), calendar)
    chosen = sorted({item["customer_id"] for item in bought})[:BUYERS]
    bought = [item for item in bought if item["customer_id"] in chosen]
    async with made.write(own_database) as session:
        await store_model(session, "model_of_weeks")
    posted: set[str] = set()
    called: dict[str, datetime] = {}
    before: dict[str, set[str]] = {}
    on_list = 0
    for week in range(WEEKS, 0, -1):
        at = now - timedelta(days=300 + 7 * week)
        clock.now = at
        new = [item for item in bought if item["transaction_id"] not in posted
               and datetime.fromisoformat(item["occurred_at"]) <= at]  # fmt: skip
        posted |= {item["transaction_id"] for item in new}
        for start in range(0, len(new), 1000):
            batch = {"items": new[start : start + 1000], "mode": "atomic"}
            answer = await own_client.post("/v1/transactions/bulk", json=batch)
            assert answer.status_code == 200, answer.text
        await made.run(own_database, deployment, worker, as_of=at.isoformat())
        told: dict[str, Any] = {
            item["customer_id"]: item
            for item in await listed(own_client, "/v1/scores", limit="500")
        }
        found = {
            each: codes for each, reasons in (await lines(own_client, limit=500)).items()
            if (codes := set(reasons) & SILENCE)
        }  # fmt: skip
        assert {each for each, item in told.items() if set(item["call_reasons"]) & SILENCE} == (
            found.keys() | {each for each in called if told[each]["call_reasons"]}
        )
        for each, codes in found.items():
            assert status_of(told[each]) != "lost"
            assert ("overdue" in codes) == (status_of(told[each]) == "overdue")
        back = {item["customer_id"] for item in new} & before.keys()
        assert all("overdue" not in found.get(each, ()) for each in back)
        on_list += len(found)
        first = next(iter(found))
        call = {"customer_id": first, "interaction_id": f"call-{week}", "kind": "call",
                "occurred_at": at.isoformat()}  # fmt: skip
        assert (await own_client.post("/v1/interactions", json=call)).status_code == 201
        called[first] = at
        assert first not in await lines(own_client, limit=500)
        before = found
    assert on_list > WEEKS
