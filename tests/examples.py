"""Answers for the document, from a run of the service: `make examples` writes them.

Every operation is asked once, with the bodies that the document shows; of long lists two items
are kept, so that what is shown can be read.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from app.config import Settings
from app.demo import data
from app.migrate import migrate
from app.postgres.db import Database, create_engine
from app.postgres.embedded import EmbeddedPostgres
from app.schemas import customers, interaction_kinds, keys, queries, segments, worklist_rules
from app.schemas.ingest import churn_records, interactions, sources, transactions
from app.schemas.policies import policies
from app.schemas.stages import stages
from app.services.runs import queries as customer_queries
from app.worker import Worker
from tests import openapi
from tests.database import Clock, make_client

BUYERS = 400
STREAM_LINES = 3
SHOWN = 2
_PROFILE = customers.PROFILE_EXAMPLE
FILE = (
    "order_id,customer_id,order_date,amount\n"
    "A-1,c-1001,2026-01-31 12:00,12.50\n"
    "A-2,c-1002,2026-01-31 12:30,twelve\n"
)
_STREAMS = ("application/x-ndjson", "text/csv")
_EVALUATED = {"variable": "usual_gap_days", "op": ">=", "value": 1}


class Recorder:
    """Asks operations by their id, and keeps the answers by status and media type."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._named = {
            operation["operationId"]: (method.upper(), path)
            for path, methods in openapi.document()["paths"].items()
            for method, operation in methods.items()
        }
        self.answers: dict[str, dict[str, dict[str, Any]]] = {}

    @property
    def missing(self) -> set[str]:
        """The operations that have not been asked."""
        return self._named.keys() - self.answers.keys()

    async def ask(
        self,
        asked: str,
        /,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        accept: str = "*/*",
        content: str | None = None,
        prefer: str = "",
        **path: Any,
    ) -> Any:
        """Ask an operation, keep its answer, and return it."""
        method, template = self._named[asked]
        answer = await self._client.request(
            method,
            template.format(**path),
            json=body,
            content=content,
            params=query,
            headers={"Accept": accept, "Prefer": prefer},
        )
        assert answer.is_success, (asked, answer.text)
        if answer.status_code == 204:
            self.answers.setdefault(asked, {})
            return None
        form = answer.headers["content-type"].split(";")[0]
        told = answer.json() if form == "application/json" else answer.text
        kept = self.answers.setdefault(asked, {}).setdefault(str(answer.status_code), {})
        kept.setdefault(form, shortened(told) if form == "application/json" else _head(form, told))
        return told


def shortened(value: Any) -> Any:
    """Return a document with the first objects of each list alone."""
    if isinstance(value, dict):
        return {key: shortened(each) for key, each in value.items()}
    if isinstance(value, list):
        plain = not value or not isinstance(value[0], dict)
        return [shortened(each) for each in (value if plain else value[:SHOWN])]
    return value


def _head(form: str, text: str) -> str:
    """Return the first lines of a stream or of metrics; a picture is shown whole."""
    if form not in (*_STREAMS, "text/plain"):
        return text
    return "".join(text.splitlines(keepends=True)[:STREAM_LINES])


async def record(database: Database, settings: Settings) -> dict[str, Any]:
    """Ask every operation of a service on an empty database."""
    clock = Clock()
    clock.now = datetime.now(UTC)
    worker = Worker(database, settings)

    async def work() -> None:
        while await worker.work_once():
            pass

    async with await make_client(settings, database, clock) as client:
        recorder = Recorder(client)
        await _write(recorder, clock.now)
        for operation_id in ("fit_model", "start_backtest", "start_scoring_run"):
            asked = {"activate": True} if operation_id == "fit_model" else {}
            operation = await recorder.ask(operation_id, asked)
            await work()
            if operation_id == "start_backtest":
                found = await client.get(f"/v1/operations/{operation['id']}")
                backtest_id = found.json()["result"]["backtest_id"]
        await _read(recorder, clock.now, operation["id"], backtest_id)
        await _segments(recorder, work)
        await _override(recorder)
        await _void(recorder)
        await _rebuild(recorder, database, work)
        await _import(recorder, work)
        await _change_policy(recorder, client, work)
        await _worklist(recorder)
        await _keys(recorder)
    assert not recorder.missing, recorder.missing
    return recorder.answers


def _example(config: Any) -> dict[str, Any]:
    example: dict[str, Any] = config["json_schema_extra"]["examples"][0]
    return example


async def _write(recorder: Recorder, now: datetime) -> None:
    ask, known = recorder.ask, {"customer_id": "c-1001"}
    for _ in range(2):
        await ask("put_customer", _PROFILE, **known)
        await ask("create_transaction", transactions.EXAMPLE)
        await ask("create_interaction", interactions.EXAMPLE)
        await ask("create_churn_record", churn_records.EXAMPLE, **known)
        await ask("put_interaction_kind", interaction_kinds.EXAMPLE, kind="delivery_survey")
    await ask("patch_customer", {"owner": "team-west"}, **known)
    await ask("write_customers", {"items": [{"customer_id": "c-1001", **_PROFILE}]})
    calendar = data.Calendar.ending_yesterday(now.date())
    bought = data.transactions(data.read_log(), calendar)
    buyers = sorted({item["customer_id"] for item in bought})[:BUYERS]
    more = [item for item in bought if item["customer_id"] in buyers]
    own = [transactions.EXAMPLE, transactions.REFUND_EXAMPLE]
    own += [
        {**transactions.EXAMPLE, "transaction_id": f"order-{days}",
         "occurred_at": (now - timedelta(days=days)).isoformat()}
        for days in (20, 45, 62, 90, 160)
    ]  # fmt: skip
    await ask("write_transactions", {"items": [*own, *more]})
    told = [interactions.EXAMPLE, interactions.SURVEY_EXAMPLE]
    await ask("write_interactions", {"items": told})


@contextmanager
def _too_many_at_once() -> Iterator[None]:
    """Have these few customers be more than are evaluated while a caller waits."""
    most, customer_queries.AT_ONCE = customer_queries.AT_ONCE, 0
    try:
        yield
    finally:
        customer_queries.AT_ONCE = most


async def _read(recorder: Recorder, now: datetime, operation_id: str, backtest_id: str) -> None:
    ask, known, page = recorder.ask, {"customer_id": "c-1001"}, {"limit": SHOWN}
    for name in ("customers", "all_transactions", "all_transitions", "interaction_kinds",
                 "policies", "models", "backtests", "churn_risks", "scores",
                 "operations"):  # fmt: skip
        await ask(f"list_{name}", query=page)
    for name in ("transactions", "interactions", "churn_records", "timeline", "transitions",
                 "profile_history"):  # fmt: skip
        await ask(f"list_{name}", query=page, **known)
    for name in ("get_customer", "get_stage", "explain_stage", "get_stage_history", "get_scores"):
        await ask(name, **known)
    for name in ("list_churn_reasons", "list_variables", "report_stages", "report_rfm",
                 "list_reports", "get_info", "get_liveness", "get_readiness",
                 "get_metrics"):  # fmt: skip
        await ask(name)
    await ask("get_interaction_kind", kind="delivery_survey")
    query, aggregate = queries.CustomerQuery.model_config, queries.AggregateQuery.model_config
    for form in _STREAMS:
        await ask("query_customers", {"select": ["revenue", "stage"]}, accept=form)
    await ask("query_customers", {**_example(query), "limit": SHOWN})
    await ask("aggregate_customers", _example(aggregate))
    with _too_many_at_once():
        await ask("query_customers", {"when": _EVALUATED, "limit": SHOWN, "count": True})
        await ask("aggregate_customers", {"when": _EVALUATED, "by": [{"of": "stage"}],
                                          "measures": [{"kind": "n"}]})  # fmt: skip
    for form in _STREAMS:
        await ask("list_scores", accept=form)
    for form in ("application/json", "text/csv"):
        await ask("get_report", accept=form, name="flow")
    await ask("get_report", prefer="respond-async", name="flow")
    since = (now - timedelta(days=30)).date().isoformat()
    await ask("get_score_diff", query={"from": since}, **known)
    await ask("score_customers", {"customer_ids": ["c-1001", "c-9999"]})
    rows = [{"x": 2, "t_x": 213, "T": 272, "mean_value": {"amount": "22.35"}}]
    await ask("score_histories", {"items": rows})
    await ask("get_operation", operation_id=operation_id)
    listed = await ask("list_models")
    for name in ("get_model", "activate_model"):
        await ask(name, model_id=listed["items"][0]["model_id"])
    for name in ("get_backtest", "get_backtest_picture"):
        await ask(name, backtest_id=backtest_id)


async def _segments(recorder: Recorder, work: Any) -> None:
    ask, own, page = recorder.ask, {"code": "high_value"}, {"limit": SHOWN}
    for _ in range(2):
        await ask("put_segment", segments.EXAMPLE, **own)
    await work()
    await ask("preview_segment", segments.EXAMPLE, **own)
    with _too_many_at_once():
        await ask("preview_segment", {**segments.EXAMPLE, "rule": _EVALUATED}, **own)
    await work()
    await ask("list_segments", query=page)
    for name in ("list_segment_versions", "list_segment_members"):
        await ask(name, query=page, **own)
    for name in ("get_segment", "get_segment_quality"):
        await ask(name, **own)
    await ask("list_customer_segments", customer_id="c-1001")
    await ask("remove_segment", **own)


async def _override(recorder: Recorder) -> None:
    until = (datetime.now(UTC) + timedelta(days=90)).replace(microsecond=0)
    body = {**stages.OVERRIDE_EXAMPLE, "until": until.isoformat()}
    await recorder.ask("override_stage", body, customer_id="c-1001")
    await recorder.ask("remove_override", customer_id="c-1001")


async def _void(recorder: Recorder) -> None:
    for noun, example in (
        ("transaction", transactions.EXAMPLE), ("interaction", interactions.EXAMPLE),
    ):  # fmt: skip
        named = ("customer_id", "source", f"{noun}_id")
        query = {name: example[name] for name in named if name in example}
        await recorder.ask(f"void_{noun}", query={**query, "reason": "entered twice"})
    query = {name: churn_records.EXAMPLE[name] for name in ("source", "churn_record_id")}
    query["reason"] = "of another customer"
    await recorder.ask("void_churn_record", query=query, customer_id="c-1001")


async def _worklist(recorder: Recorder) -> None:
    """Ask for the list of the ready rules, then put others in force."""
    ask, known = recorder.ask, {"customer_id": "c-1001"}
    for form in ("application/json", "text/csv"):
        await ask("list_worklist", accept=form)
    await ask("get_customer_worklist", **known)
    await ask("get_customer_file", **known)
    made = await ask("create_worklist_rules", _example(worklist_rules.WorklistRulesIn.model_config))
    version = {"version": made["version"]}
    preview = await ask("preview_worklist_rules", **version)
    token = {"preview_token": preview["preview_token"]}
    await ask("activate_worklist_rules", token, **version)
    await ask("get_worklist_rules", **version)
    await ask("list_worklist_rules", query={"limit": SHOWN})


async def _rebuild(recorder: Recorder, database: Database, work: Any) -> None:
    """Find what a hand in the database has left untrue."""
    wrong = "UPDATE purchase_summaries SET revenue = revenue + 1 WHERE customer_id = 'c-1001'"
    async with database.writes() as session, session.begin():
        await session.execute(text(wrong))
    asked = {"customers": ["c-1001"], "repair": True}
    operation = await recorder.ask("start_rebuild", asked)
    await work()
    await recorder.ask("list_rebuild_differences", operation_id=operation["id"])


async def _import(recorder: Recorder, work: Any) -> None:
    """Send a file of which a row is refused."""
    ask, page = recorder.ask, {"limit": SHOWN}
    sample = {"sample": FILE, "parameters": {"time_zone": "Europe/Berlin"}}
    proposed = await ask("propose_mapping", sample)
    for _ in range(2):
        await ask("put_mapping", {"document": proposed["document"]}, name="shop")
    await ask("try_mapping", {"sample": FILE, "document": proposed["document"]})
    await ask("get_mapping", name="shop")
    for name in ("mappings", "presets"):
        await ask(f"list_{name}", query=page if name == "mappings" else None)
    asked = {"mapping": "shop", "source": "shop", "name": "orders.csv"}
    operation = await ask("start_import", query=asked, content=FILE)
    await work()
    await ask("list_imports", query=page)
    for name in ("get_import", "get_rejected_rows"):
        await ask(name, import_id=operation["id"])
    line = '{"order_id":"A-3","customer_id":"c-1001","order_date":"soon","amount":1}'
    lines = await ask("start_import", query=asked, content=f"{line}\n")
    await work()
    await ask("get_rejected_rows", import_id=lines["id"])
    await ask("put_source", sources.EXAMPLE, source="shop")
    await ask("get_source", source="shop")
    await ask("list_sources", query=page)
    for form in _STREAMS:
        await ask("export_lines", accept=form, what="transactions")


async def _keys(recorder: Recorder) -> None:
    ask, page = recorder.ask, {"limit": SHOWN}
    made = await ask("create_key", keys.EXAMPLE)
    named = {"key_id": made["key_id"]}
    await ask("patch_key", {"rate_per_second": 20, "burst": 40}, **named)
    await ask("rotate_key", {"previous_ends_at": "2199-12-31T12:00:00Z"}, **named)
    await ask("get_key", **named)
    await ask("remove_key_secret", **named, secret="previous")
    await ask("revoke_key", **named)
    await ask("list_keys", query=page)
    await ask("list_audit_entries", query=page)


async def _change_policy(recorder: Recorder, client: httpx.AsyncClient, work: Any) -> None:
    created = await recorder.ask("create_policy", policies.POLICY_EXAMPLE)
    version = created["version"]
    await recorder.ask("get_policy", version=version)
    christmas = policies.SeasonRequest.model_config["json_schema_extra"]["examples"][1]
    await recorder.ask("create_seasonal_policy", christmas, version=version)
    preview = await recorder.ask("preview_policy", version=version)
    await work()
    found = (await client.get(f"/v1/operations/{preview['id']}")).json()
    token = {"token": found["result"]["token"]}
    activation = await recorder.ask("activate_policy", token, version=version)
    await recorder.ask("cancel_operation", operation_id=activation["id"])
    unused = await client.post("/v1/policies", json=policies.POLICY_EXAMPLE)
    await recorder.ask("delete_policy", version=unused.json()["version"])


async def _run(url: str) -> dict[str, Any]:
    settings = Settings(currency="EUR", time_zone="Europe/Berlin", scoring_every=None)
    engine = create_engine(url, pool_size=5)
    await migrate(engine, settings)
    database = Database.on(engine)
    try:
        return await record(database, settings)
    finally:
        await database.close()


def main() -> dict[str, Any]:
    """Run the service on a database of its own, and return its answers."""
    with tempfile.TemporaryDirectory(prefix="clm-examples-") as folder:
        Path(folder).chmod(0o755)  # as root the server runs as another user
        with EmbeddedPostgres.start(Path(folder), throwaway=True) as server:
            return asyncio.run(_run(server.url))


if __name__ == "__main__":
    json.dump(main(), sys.stdout, indent=1, ensure_ascii=False, sort_keys=True)
    sys.stdout.write("\n")
