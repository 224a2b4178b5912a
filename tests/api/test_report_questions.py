"""What can be asked of reports, and what is refused; the two forms of an answer."""

import csv
import io
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.postgres.db import Database, ReadSession, fetch_rows
from app.services.runs.live_reports import catalogue, csv_lines, long_reports, tables
from app.services.runs.live_reports.catalogue import REPORTS
from app.services.runs.live_reports.questions import Question
from app.services.runs.live_reports.tables import Table
from app.services.runs.live_reports.words import COLUMNS, NOTES
from app.worker import Worker
from tests.database import NOW

PURCHASE = {"transaction_id": "t1", "occurred_at": "2026-03-01T12:00:00Z",
            "amount": {"amount": "12.50"}}  # fmt: skip


async def buy(client: httpx.AsyncClient, customer: str, channel: str | None = None) -> None:
    told = {"customer_id": customer, **PURCHASE}
    assert (await client.post("/v1/transactions", json=told)).status_code == 201
    if channel is not None:
        body = {"acquisition_channel": channel}
        assert (await client.patch(f"/v1/customers/{customer}", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ({"by": "colour"}, "query:by", "unknown_value"),
        ({"by": ""}, "query:by", "unknown_value"),
        ({"from": "2026-02-30"}, "query:from", "as_of"),
        ({"from": "2026-02-03T00:00:00Z"}, "query:from", "as_of"),
        ({"to": "soon"}, "query:to", "as_of"),
        ({"to": "2026-06-02"}, "query:to", "after_as_of"),
        ({"to": "2026-03-02", "as_of": "2026-03-01"}, "query:to", "after_as_of"),
        ({"as_of": "2026-06-02"}, "query:as_of", "as_of"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "query:from", "after_to"),
        ({"from": "1976-03-02", "to": "2026-03-01"}, "query:from", "too_long"),
        ({"from": "2016-05-31"}, "query:from", "too_long"),
        ({"form": "csv"}, "query:form", "extra_forbidden"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_where_it_does_not(
    client: httpx.AsyncClient, query: dict[str, str], pointer: str, code: str
) -> None:
    for name in ("flow", "return-curve"):
        answer = await client.get(f"/v1/reports/{name}", params=query)
        assert answer.status_code == 422, answer.text
        told = [(each["pointer"], each["code"]) for each in answer.json()["errors"]]
        assert told == [(pointer, code)]


async def test_ten_years_can_be_asked_for_and_nobody_is_reported_of_an_empty_service(
    client: httpx.AsyncClient,
) -> None:
    for name, report in REPORTS.items():
        for by in report.ways:
            query = {"from": "2016-06-01", "by": by}
            answer = await client.get(f"/v1/reports/{name}", params=query)
            assert answer.status_code == 200, answer.text
            told = answer.json()
            assert (told["from"], told["to"], told["time_zone"]) == (
                "2016-06-01", "2026-06-01", "Europe/Berlin",
            )  # fmt: skip
            # Of those who are customers, months without anybody are months, too.
            assert len(told["rows"]) == (121 if (name, by) == ("churn", "month") else 0)


async def test_without_a_period_it_is_of_the_last_year(client: httpx.AsyncClient) -> None:
    told = (await client.get("/v1/reports/churn", params={"as_of": "2026-03-01"})).json()
    assert (told["from"], told["to"]) == ("2025-03-02", "2026-03-01")
    assert told["as_of"] == "2026-03-01T22:59:59.999999Z"
    assert told["by"] == "month"


async def test_reports_that_are_not_there_say_which_are(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/reports/flows")
    assert answer.status_code == 404
    assert all(name in answer.json()["detail"] for name in REPORTS)
    listed = (await client.get("/v1/reports")).json()["items"]
    assert [each["name"] for each in listed] == list(REPORTS)
    for each in listed:
        assert [way["code"] for way in each["by"]] == list(REPORTS[each["name"]].ways)


async def test_too_many_values_are_no_report(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for channel in ("web", "fair", "shop"):
        await buy(client, f"of-{channel}", channel)
    monkeypatch.setattr(tables, "MOST_GROUPS", 3)
    assert (await client.get("/v1/reports/acquisition")).status_code == 200
    await buy(client, "of-nobody")
    answer = await client.get("/v1/reports/acquisition")
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == ["query:by"]


ASYNC = {"Prefer": "respond-async"}


async def test_what_takes_a_worker_is_the_same_report(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker(own_database, settings, clock=lambda: NOW)
    await buy(own_client, "one", "web")
    asked = [("value", {"by": "channel"}), ("acquisition", {"from": "2026-01-01", "by": "month"}),
             ("movers", {"as_of": "2026-04-01"})]  # fmt: skip
    places = {}
    for name, query in asked:
        answer = await own_client.get(f"/v1/reports/{name}", params=query, headers=ASYNC)
        assert answer.status_code == 202, answer.text
        assert answer.json()["kind"] == long_reports.REPORT
        places[name] = answer.headers["location"]
        again = await own_client.get(f"/v1/reports/{name}", params=query, headers=ASYNC)
        assert again.headers["location"] == places[name]
    assert len(set(places.values())) == len(asked)
    monkeypatch.setattr(long_reports, "MOST", 3)
    refused = await own_client.get("/v1/reports/churn", headers=ASYNC)
    assert (refused.status_code, refused.json()["code"]) == (409, "operation_running")
    senseless = await own_client.get("/v1/reports/flow", params={"by": "x"}, headers=ASYNC)
    assert senseless.status_code == 422
    while await worker.work_once():
        pass
    for name, query in asked:
        operation = (await own_client.get(places[name])).json()
        assert operation["state"] == "succeeded", operation
        at_once = (await own_client.get(f"/v1/reports/{name}", params=query)).json()
        assert operation["result"] == at_once


async def test_a_report_whose_statement_takes_too_long_takes_a_worker(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report, tries = REPORTS["flow"], iter(("request",))

    async def slow(session: ReadSession, question: Question) -> Table:
        if next(tries, "worker") == "worker":
            return await report.make(session, question)
        limited = "SELECT set_config('statement_timeout', '{}', false)"
        await fetch_rows(session, limited.format(20))
        try:
            await fetch_rows(session, "SELECT pg_sleep(6)")
        finally:
            await fetch_rows(session, limited.format(7000))
        raise AssertionError

    monkeypatch.setattr(catalogue, "REPORTS", {**REPORTS, "flow": replace(report, make=slow)})
    answer = await own_client.get("/v1/reports/flow")
    assert answer.status_code == 202, answer.text
    assert await Worker(own_database, settings, clock=lambda: NOW).work_once()
    operation = (await own_client.get(answer.headers["location"])).json()
    assert operation["result"]["name"] == "flow"


async def test_a_report_that_takes_even_a_worker_too_long_ends(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that tried again and again would come to nothing else."""

    async def endless(session: ReadSession, question: Question) -> Table:
        await fetch_rows(session, "SELECT set_config('statement_timeout', '20', true)")
        await fetch_rows(session, "SELECT pg_sleep(6)")
        raise AssertionError

    report = replace(REPORTS["flow"], make=endless)
    monkeypatch.setattr(catalogue, "REPORTS", {**REPORTS, "flow": report})
    answer = await own_client.get("/v1/reports/flow", headers=ASYNC)
    worker = Worker(own_database, settings, clock=lambda: NOW)
    assert await worker.work_once()
    operation = (await own_client.get(answer.headers["location"])).json()
    assert (operation["state"], operation["error"]["code"]) == ("failed", "report_too_long")
    assert not await worker.work_once()


async def test_csv_has_the_rows_and_no_formula(client: httpx.AsyncClient) -> None:
    await buy(client, "one", "=1+1")
    await buy(client, "two", "web")
    query = {"from": "2026-01-01", "to": "2026-05-31"}
    told = (await client.get("/v1/reports/acquisition", params=query)).json()
    answer = await client.get(
        "/v1/reports/acquisition", params=query, headers={"Accept": "text/csv"}
    )
    assert answer.headers["content-type"].startswith("text/csv")
    name = 'attachment; filename="acquisition-by-channel-2026-01-01-2026-05-31.csv"'
    assert answer.headers["content-disposition"] == name
    assert answer.headers["clm-as-of"] == told["as_of"]
    assert answer.text.endswith("\r\n")
    lines = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [line["channel"] for line in lines] == ["'=1+1", "web"]
    for line, row in zip(lines, told["rows"], strict=True):
        assert line["customers"] == str(row["customers"]) == "1"
        assert line["converted"] == ""
        assert (line["converted_n"], line["converted_of"]) == ("0", "0")
        assert line["first_year_revenue"] == row["first_year_revenue"]["amount"] == "0.00"
        assert line["currency"] == "EUR"


def test_what_a_spreadsheet_would_reckon_is_shown() -> None:
    report: dict[str, Any] = {
        "columns": [{"name": "owner", "type": "text"}],
        "rows": [{"owner": each} for each in ("=A1", "-5", "@x", "ann", None)],
    }
    lines = csv_lines.write(report, "EUR").split("\r\n")
    assert lines == ["owner,currency", "'=A1,EUR", "-5,EUR", "'@x,EUR", "ann,EUR", ",EUR", ""]


async def test_stages_are_told_up_to_when_the_ledger_has_them(client: httpx.AsyncClient) -> None:
    await buy(client, "one")
    told = (await client.get("/v1/reports/flow")).json()
    until = told["stages_recorded_until"]
    noted = {each["code"] for each in told["notes"]}
    assert told["as_of"] > until
    assert "stages_recorded_until" in noted
    before = (await client.get("/v1/reports/flow", params={"as_of": until})).json()
    assert "stages_recorded_until" not in {each["code"] for each in before["notes"]}


def test_every_word_of_a_report_is_in_both_languages() -> None:
    for texts in (*(each.title for each in COLUMNS.values()), *NOTES.values(),
                  *(each.title for each in REPORTS.values())):  # fmt: skip
        assert set(texts) == {"en", "zh"}
        assert all(texts.values())
    assert {way for each in REPORTS.values() for way in each.ways} - {"open"} <= COLUMNS.keys()
