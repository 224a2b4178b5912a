"""Files of systems that are known, through the doors: what only the doors can say of them."""

import json
from typing import Any

import httpx

from tests.api.test_imports import done, worker  # noqa: F401  # a fixture

STAGES = {"time_zone": "UTC", "stages": {"Active": "active", "Gone": "churned"},
          "reason": "competitor"}  # fmt: skip
FILE = (
    "customer_id,stage,set_at\n"
    "old-1,Active,2025-01-05\n"
    "old-1,Gone,2025-06-05\n"
    "old-2,Active,2025-02-05\n"
    "old-3,Strange,2025-02-05\n"
    "old-4,Active,2199-02-05\n"
)


async def send(client: httpx.AsyncClient, preset: str, content: str, **parameters: Any) -> Any:
    asked = {"preset": preset, "parameters": json.dumps(parameters)}
    return await client.post("/v1/imports", params=asked, content=content.encode())


async def test_stages_of_an_old_system_are_overrides_of_their_dates(
    own_client: httpx.AsyncClient,
    worker: Any,  # noqa: F811
) -> None:
    sent = await send(own_client, "stages", FILE, **STAGES)
    totals = (await done(worker, own_client, sent))["totals"]
    assert totals["facts"]["overrides"] == {
        "created": 3, "updated": 0, "duplicate": 0, "rejected": 1,
    }  # fmt: skip
    assert {each["code"] for each in totals["rejections"]} == {"unknown_value", "future"}
    found = (await own_client.get("/v1/customers/old-1/transitions")).json()["items"]
    assert [(each["to_stage"], each["effective_at"], each["cause"]) for each in found] == [
        ("churned", "2025-06-05T00:00:00Z", "manual"),
        ("active", "2025-01-05T00:00:00Z", "manual"),
    ]
    again = await send(own_client, "stages", FILE, **STAGES)
    totals = (await done(worker, own_client, again))["totals"]
    assert totals["facts"]["overrides"]["duplicate"] == 3
    other = FILE.replace("old-2,Active", "old-2,Gone")
    totals = (await done(worker, own_client, await send(own_client, "stages", other, **STAGES)))[
        "totals"
    ]
    assert "conflict" in {each["code"] for each in totals["rejections"]}
    rebuild = (await own_client.post("/v1/rebuilds", json={})).json()
    while await worker.work_once():
        pass
    found = (await own_client.get(f"/v1/operations/{rebuild['id']}")).json()
    assert (found["state"], found["result"]["differing"]) == ("succeeded", 0)


async def test_a_refund_that_names_no_customer_is_that_of_its_purchase(
    own_client: httpx.AsyncClient,
    worker: Any,  # noqa: F811
) -> None:
    bought = [
        {"customer_id": customer_id, "source": "stripe", "transaction_id": charge,
         "occurred_at": "2026-01-02T10:00:00Z", "amount": {"amount": "80.00"}}
        for customer_id, charge in (("s-1", "ch_1"), ("s-1", "ch_2"), ("s-2", "ch_2"))
    ]  # fmt: skip
    await own_client.post("/v1/transactions/bulk", json={"items": bought})
    header = "id,charge,payment_intent,amount,currency,created,status,reason\n"
    rows = [
        "re_1,ch_1,pi_1,1250,eur,1767600000,succeeded,",
        "re_2,ch_9,pi_9,100,eur,1767600000,succeeded,",
        "re_3,ch_2,pi_2,100,eur,1767600000,succeeded,",
    ]
    sent = await send(own_client, "stripe_refunds", header + "\n".join(rows) + "\n")
    totals = (await done(worker, own_client, sent))["totals"]
    assert totals["facts"]["transactions"]["created"] == 1
    assert [each["code"] for each in totals["rejections"]] == [
        "unknown_purchase", "ambiguous_purchase",
    ]  # fmt: skip
    listed = (await own_client.get("/v1/customers/s-1/transactions")).json()["items"]
    refund = next(each for each in listed if each["kind"] == "refund")
    assert refund["refunds"] == {"source": "stripe", "transaction_id": "ch_1"}
    assert refund["amount"] == {"amount": "12.50", "currency": "EUR"}


async def test_a_source_tells_of_its_files(
    own_client: httpx.AsyncClient,
    worker: Any,  # noqa: F811
) -> None:
    said = {"kind": "crm", "name": "The old system", "trust_rank": 20}
    answer = await own_client.put("/v1/sources/old", json=said)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["imports"], answer.json()["last_import"]) == (0, None)
    asked = {"preset": "stages", "parameters": json.dumps(STAGES), "source": "old"}
    sent = await own_client.post("/v1/imports", params=asked, content=FILE.encode())
    await done(worker, own_client, sent)
    found = (await own_client.get("/v1/sources/old")).json()
    assert (found["kind"], found["imports"], found["rejected_rows"]) == ("crm", 1, 2)
    assert found["last_import"]["id"] == sent.json()["id"]
    listed = (await own_client.get("/v1/sources")).json()["items"]
    assert [each["source"] for each in listed] == ["old"]
    assert (await own_client.get("/v1/sources/none")).status_code == 404


async def test_what_a_partner_shares_needs_a_consent_basis(own_client: httpx.AsyncClient) -> None:
    shared = {"kind": "partner", "name": "The agency"}
    refused = await own_client.put("/v1/sources/agency", json=shared)
    fault = refused.json()["errors"][0]
    assert (refused.status_code, fault["pointer"]) == (422, "/consent_basis")
    assert (await own_client.get("/v1/sources/agency")).status_code == 404
    taken = await own_client.put("/v1/sources/agency", json={**shared, "consent_basis": "opt-in"})
    assert taken.json()["consent_basis"] == "opt-in"


async def test_mappings_are_kept_by_version_tried_and_proposed(
    own_client: httpx.AsyncClient,
) -> None:
    sample = (
        "order_id,customer_id,order_date,amount\n"
        "A,c,2026-01-31 12:00,12.50\n"
        "B,c,2026-02-01 12:00,twelve\n"
    )
    parameters = {"time_zone": "Europe/Berlin"}
    proposed = await own_client.post(
        "/v1/mappings/propose", json={"sample": sample, "parameters": parameters}
    )
    assert proposed.status_code == 200, proposed.text
    document = proposed.json()["document"]
    assert document is not None, proposed.json()
    tried = await own_client.post(
        "/v1/mappings/test", json={"sample": sample, "document": document}
    )
    assert tried.status_code == 200, tried.text
    shown = tried.json()
    assert (shown["rows"], len(shown["facts"])) == (2, 1)
    assert shown["facts"][0]["item"]["occurred_at"] == "2026-01-31T11:00:00Z"
    assert [each["line"] for each in shown["rejected"]] == [3]
    for status, version in ((201, 1), (200, 1)):
        answer = await own_client.put("/v1/mappings/orders", json={"document": document})
        assert (answer.status_code, answer.json()["version"]) == (status, version), answer.text
    answer = await own_client.put(
        "/v1/mappings/orders", json={"document": {**document, "source": "shop"}}
    )
    assert (answer.status_code, answer.json()["version"]) == (201, 2)
    first = await own_client.get("/v1/mappings/orders", params={"version": 1})
    assert first.json()["document"]["source"] == document["source"]
    listed = (await own_client.get("/v1/mappings")).json()["items"]
    assert [(each["name"], each["version"]) for each in listed] == [("orders", 2)]
    unknown = await own_client.get("/v1/mappings/orders", params={"version": 3})
    assert unknown.status_code == 404


async def test_presets_say_what_they_are_to_be_told(own_client: httpx.AsyncClient) -> None:
    items = (await own_client.get("/v1/presets")).json()["items"]
    stages = next(each for each in items if each["name"] == "stages")
    assert "time_zone" in {each["name"] for each in stages["parameters"] if each["required"]}
    refused = await send(own_client, "stages", FILE)
    pointers = {fault["pointer"] for fault in refused.json()["errors"]}
    assert (refused.status_code, "/parameters/stages" in pointers) == (422, True)


async def test_a_rate_is_that_of_amounts_without_one(
    own_client: httpx.AsyncClient,
    worker: Any,  # noqa: F811
) -> None:
    content = (
        "order_id,customer_id,order_date,amount,currency\n"
        "R-1,r-1,2026-01-31,10.00,USD\n"
        "R-2,r-1,2026-01-31,10.00,EUR\n"
        "R-3,r-1,2026-01-31,10.00,GBP\n"
    )
    asked = {"preset": "orders", "parameters": '{"time_zone":"UTC"}'}
    wrong = await own_client.post(
        "/v1/imports", params={**asked, "exchange_rates": '{"USD":"x"}'}, content=content
    )
    assert wrong.json()["errors"][0]["pointer"] == "query:exchange_rates/USD"
    sent = await own_client.post(
        "/v1/imports", params={**asked, "exchange_rates": '{"USD":"0.9"}'}, content=content
    )
    totals = (await done(worker, own_client, sent))["totals"]
    assert (totals["mapped_rows"], totals["rejected_rows"]) == (2, 1)
    assert totals["rejections"][0]["first_line"] == 4
    listed = (await own_client.get("/v1/customers/r-1/transactions")).json()["items"]
    values = {each["transaction_id"]: each["value"]["amount"] for each in listed}
    assert values == {"R-1": "9.00", "R-2": "10.00"}
