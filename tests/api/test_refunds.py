"""Money given back, as callers see it: what it was set off against, and what waits."""

from typing import Any

import httpx

WAITING = {"unallocated": "waiting"}
Item = dict[str, Any]


def item(transaction_id: str, at: str, amount: str, **more: Any) -> Item:
    return {"customer_id": "c1", "transaction_id": transaction_id, "occurred_at": at,
            "amount": {"amount": amount}, **more}  # fmt: skip


async def post(client: httpx.AsyncClient, *items: Item) -> list[Item]:
    answer = await client.post("/v1/transactions/bulk", json={"items": items, "mode": "atomic"})
    assert answer.status_code == 200, answer.text
    return [one["warnings"] for one in answer.json()["items"]]


async def shown(client: httpx.AsyncClient, transaction_id: str) -> Item:
    listed = (await client.get("/v1/customers/c1/transactions")).json()["items"]
    return next(one for one in listed if one["transaction_id"] == transaction_id)


async def card(client: httpx.AsyncClient) -> Item:
    found: Item = (await client.get("/v1/customers/c1/scores")).json()
    return found


async def test_a_credit_note_without_reference_takes_the_order_back(
    client: httpx.AsyncClient,
) -> None:
    """As in a log of a wholesaler: 168,469.60 ordered, and cancelled twelve minutes later."""
    await post(client, item("541431", "2026-01-18T10:01:00Z", "168469.60"))
    assert (await card(client))["revenue"]["amount"] == "168469.60"
    note = item("C541433", "2026-01-18T10:13:00Z", "168469.60", kind="refund")
    assert await post(client, note) == [[]]
    after = await card(client)
    assert (after["status"], after["purchase_days"]) == ("never_purchased", 0)
    assert (after["revenue"]["amount"], after["refund_excess"]) == ("0.00", None)
    assert after["stage"] == "potential"
    taken = {"amount": "168469.60", "currency": "EUR"}
    there = (await shown(client, "C541433"))["allocations"]
    assert there == [{"source": "default", "transaction_id": "541431", "amount": taken,
                      "effective_at": "2026-01-18T10:13:00Z"}]  # fmt: skip
    back = (await shown(client, "541431"))["allocations"]
    assert back == [{**there[0], "transaction_id": "C541433"}]
    entries = (await client.get("/v1/customers/c1/timeline")).json()["items"]
    told = [one["transaction"] for one in entries if one["type"] == "transaction"]
    assert [one["allocations"] for one in told] == [there, back]


async def test_a_refund_waits_is_listed_and_finds_its_purchase(client: httpx.AsyncClient) -> None:
    back = item("r", "2026-01-20T09:00:00Z", "30", kind="refund", refunds={"transaction_id": "p"})
    assert [[one["code"] for one in told] for told in await post(client, back)] == [
        ["refund_waits"]
    ]
    listed = (await client.get("/v1/transactions", params=WAITING)).json()["items"]
    assert [one["transaction_id"] for one in listed] == ["r"]
    rest = {"amount": {"amount": "30.00", "currency": "EUR"}, "waits": True}
    assert listed[0]["unallocated"] == rest
    excess = (await client.get("/v1/transactions", params={"unallocated": "excess"})).json()
    assert excess["items"] == []
    await post(client, item("p", "2026-01-10T09:00:00Z", "50"))
    assert (await client.get("/v1/transactions", params=WAITING)).json()["items"] == []
    assert (await card(client))["revenue"]["amount"] == "20.00"
    assert (await shown(client, "r"))["unallocated"] is None


async def test_what_exceeds_purchases_is_told_and_lowers_nothing(
    client: httpx.AsyncClient,
) -> None:
    (told, warned) = await post(
        client,
        item("p", "2026-01-10T09:00:00Z", "50"),
        item("r", "2026-01-11T09:00:00Z", "60", kind="refund"),
    )
    assert told == []
    assert warned[0]["detail"].startswith("10 EUR of it exceed what is left of earlier purchases")
    await post(client, item("later", "2026-01-12T09:00:00Z", "7"))
    found = await card(client)
    assert (found["revenue"]["amount"], found["refund_excess"]["amount"]) == ("7.00", "10.00")
    listed = (await client.get("/v1/transactions", params={"unallocated": "any"})).json()["items"]
    assert [one["unallocated"]["waits"] for one in listed] == [False]


async def test_a_refund_is_compared_in_the_currency_of_its_purchase(
    client: httpx.AsyncClient,
) -> None:
    """A full refund at another rate leaves nothing, whatever the rate has done meanwhile."""
    dollars = {"amount": {"amount": "100", "currency": "USD"}}
    await post(
        client,
        {**item("p", "2026-01-10T09:00:00Z", "0"), **dollars, "exchange_rate": "0.90"},
        {**item("r", "2026-03-10T09:00:00Z", "0", kind="refund", refunds={"transaction_id": "p"}),
         **dollars, "exchange_rate": "0.80"},
    )  # fmt: skip
    found = await card(client)
    assert (found["purchase_days"], found["revenue"]["amount"]) == (0, "0.00")
    assert found["refund_excess"] is None


async def test_a_refund_that_names_a_refund_is_told_so(client: httpx.AsyncClient) -> None:
    await post(client, item("p", "2026-01-10T09:00:00Z", "50"))
    await post(client, item("r0", "2026-01-11T09:00:00Z", "5", kind="refund"))
    named = {"kind": "refund", "refunds": {"transaction_id": "r0"}}
    ((told,),) = await post(client, item("r1", "2026-01-12T09:00:00Z", "5", **named))
    assert (told["code"], told["detail"]) == (
        "refund_waits", "'r0' is a refund: it cannot be taken back.",
    )  # fmt: skip


async def test_a_refund_too_small_for_the_currency_of_its_purchase_is_listed(
    client: httpx.AsyncClient,
) -> None:
    dear = {"amount": {"amount": "10", "currency": "KWD"}, "exchange_rate": "2.99"}
    await post(client, {**item("p", "2026-01-10T09:00:00Z", "0"), **dear})
    ((told,),) = await post(client, item("r", "2026-01-11T09:00:00Z", "0.0001", kind="refund"))
    assert told["code"] == "refund_exceeds_purchases"
    listed = (await client.get("/v1/transactions", params={"unallocated": "any"})).json()["items"]
    assert [one["transaction_id"] for one in listed] == ["r"]
