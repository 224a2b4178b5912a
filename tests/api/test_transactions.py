"""Transactions over HTTP."""

import httpx
import pytest


def purchase(**changes: object) -> dict[str, object]:
    return {
        "customer_id": "c1",
        "transaction_id": "t1",
        "occurred_at": "2026-01-31T12:00:00Z",
        "amount": {"amount": "12.50"},
        **changes,
    }


async def test_the_same_fact_again_is_a_duplicate_however_it_is_written(
    client: httpx.AsyncClient,
) -> None:
    first = await client.post("/v1/transactions", json=purchase())
    again = await client.post(
        "/v1/transactions",
        json=purchase(
            amount={"amount": "12.5", "currency": "EUR"}, occurred_at="2026-01-31T13:00:00+01:00"
        ),
    )
    assert (first.status_code, first.json()["status"]) == (201, "created")
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")


async def test_a_higher_revision_replaces_and_another_content_of_one_conflicts(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/v1/transactions", json=purchase())
    conflict = await client.post("/v1/transactions", json=purchase(amount={"amount": "13.00"}))
    updated = await client.post(
        "/v1/transactions", json=purchase(amount={"amount": "13.00"}, revision=3)
    )
    late = await client.post(
        "/v1/transactions", json=purchase(amount={"amount": "1.00"}, revision=2)
    )
    listed = await client.get("/v1/customers/c1/transactions")
    assert conflict.status_code == 409
    assert (updated.status_code, updated.json()["status"]) == (200, "updated")
    assert (late.status_code, late.json()["status"]) == (200, "duplicate")
    assert [each["amount"] for each in listed.json()["items"]] == [
        {"amount": "13.00", "currency": "EUR"}
    ]


async def test_a_full_refund_takes_the_purchase_day_away_in_whichever_order(
    client: httpx.AsyncClient,
) -> None:
    refund = purchase(
        transaction_id="r1",
        kind="refund",
        occurred_at="2026-02-03T12:00:00Z",
        amount={"amount": "20.00"},
        refunds={"transaction_id": "t1"},
    )
    await client.post("/v1/transactions", json=refund)
    await client.post("/v1/transactions", json=purchase())
    card = (await client.get("/v1/customers/c1/scores")).json()
    then = (await client.get("/v1/customers/c1/scores?as_of=2026-02-01")).json()
    moves = (await client.get("/v1/customers/c1/transitions")).json()["items"]
    assert (card["stage"], card["purchase_days"]) == ("potential", 0)
    assert card["refund_excess"] == {"amount": "7.50", "currency": "EUR"}
    assert (then["stage"], then["purchase_days"]) == ("initial", 1)
    assert [(move["from_stage"], move["to_stage"]) for move in reversed(moves)] == [
        ("potential", "initial"),
        ("initial", "potential"),
    ]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"amount": {"amount": "-1"}}, "/amount/amount"),
        ({"amount": 12.5}, "/amount"),
        ({"amount": {"amount": "12345678901234567890"}}, "/amount/amount"),
        ({"occurred_at": "2026-01-31T12:00:00"}, "/occurred_at"),
        ({"occurred_at": "2027-01-31T12:00:00Z"}, "/occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59-12:00"}, "/occurred_at"),
        ({"amount": {"amount": "1", "currency": "XXX"}}, "/amount/currency"),
        ({"amount": {"amount": "1", "currency": "USD"}}, "/exchange_rate"),
        ({"customer_id": "a/b"}, "/customer_id"),
        ({"customer_id": "a\u0000"}, "/customer_id"),
        ({"revision": 2**63}, "/revision"),
        ({"surprise": 1}, "/surprise"),
    ],
    ids=str,
)
async def test_bad_input_points_to_its_field(
    client: httpx.AsyncClient, changes: dict[str, object], pointer: str
) -> None:
    answer = await client.post("/v1/transactions", json=purchase(**changes))
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
