"""What real exports hold is taken as it is meant: numbers, local times, ids, kinds, free JSON."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from app.deployment import Deployment
from app.edge.jsonbody import loads
from app.models import Transaction
from app.postgres.db import WriteSession
from app.schemas.common.times import in_zone
from app.schemas.common.types import MoneyIn, SignedMoneyIn
from app.schemas.ingest.interactions import CORE_KINDS
from app.schemas.ingest.kinds import canonical
from app.schemas.ingest.transactions import TransactionIn
from app.services.ingest import transactions
from tests.database import NOW

JSON = {"Content-Type": "application/json"}
UNIT = Decimal("0.0001")


def purchase(**changes: object) -> dict[str, Any]:
    return {
        "customer_id": "c1",
        "transaction_id": "t1",
        "occurred_at": "2026-01-31T12:00:00Z",
        "amount": {"amount": "12.50"},
        **changes,
    }


async def post(client: httpx.AsyncClient, item: Any, noun: str = "transaction") -> httpx.Response:
    return await client.post(f"/v1/{noun}s", json=item)


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("12.5", "12.50"), ("12", "12.00"), ("8.64E4", "86400.00"), ("864e-2", "8.64"),
        ("0.0001", "0.0001"), ("99999999999999.9999", "99999999999999.9999"), ("-0.0", "0.00"),
        ("-0", "0.00"), ("1.10000000000", "1.10"), ("0e50", "0.00"), ('"8.64E4"', "86400.00"),
        ("12345678901234.5678", "12345678901234.5678"), ('"0012"', "12.00"),
    ],
)  # fmt: skip
async def test_a_number_of_json_is_an_amount_exactly_as_written(
    client: httpx.AsyncClient, written: str, shown: str
) -> None:
    body = json.dumps(purchase()).replace('"12.50"', written)
    first = await client.post("/v1/transactions", content=body, headers=JSON)
    assert first.json()["transaction"]["amount"] == {"amount": shown, "currency": "EUR"}
    again = await post(client, purchase(amount={"amount": shown}))
    assert again.json()["status"] == "duplicate"


@given(st.decimals(-(10**16), 10**16, allow_nan=False), st.sampled_from(("f", "E", "g")))
def test_any_number_is_read_exactly_or_refused_for_what_it_is(number: Decimal, form: str) -> None:
    written = f"{number:{form}}"
    exact = Decimal(written)
    fits = abs(exact) < 10**14 and exact == exact.quantize(UNIT)
    for shape, allowed in ((MoneyIn, exact >= 0), (SignedMoneyIn, True)):
        for text in (written, json.dumps(written)):
            body = loads(f'{{"amount": {text}}}'.encode())
            try:
                read = shape.model_validate(body, from_attributes=True).amount
            except ValueError as error:
                [fault] = error.errors()  # type: ignore[attr-defined]
                assert not (fits and allowed)
                assert fault["type"] in ("negative", "too_large", "too_precise")
                assert (fault["type"] == "negative") == (exact < 0 and not allowed)
            else:
                assert fits
                assert allowed
                assert read == exact
                assert str(read).lstrip("-") == str(abs(read))[: len(str(read))]


async def test_numbers_are_exact_in_margins_rates_and_prices_too(
    client: httpx.AsyncClient,
) -> None:
    lines = [{"product_id": "p", "quantity": 1.5, "unit_price": {"amount": 0.1}}]
    item = purchase(
        amount={"amount": 10, "currency": "USD"}, exchange_rate=0.9, margin={"amount": -3.25},
        items=lines,
    )  # fmt: skip
    shown = (await post(client, item)).json()["transaction"]
    assert (shown["margin"]["amount"], shown["exchange_rate"]) == ("-3.25", "0.9")
    assert shown["value"] == {"amount": "9.00", "currency": "EUR"}
    assert shown["items"][0] == lines[0] | {"unit_price": {"amount": "0.10", "currency": "USD"},
                                            "category": None}  # fmt: skip
    spelt = purchase(
        amount={"amount": "10.00", "currency": "USD"}, exchange_rate="0.90",
        margin={"amount": "-3.25"}, items=lines,
    )  # fmt: skip
    assert (await post(client, spelt)).json()["status"] == "duplicate"


async def test_a_negative_amount_is_told_to_be_a_refund(client: httpx.AsyncClient) -> None:
    for amount in ("-12.50", -12.5, -12):
        answer = await post(client, purchase(amount={"amount": amount}))
        assert answer.status_code == 422
        [fault] = answer.json()["errors"]
        assert (fault["pointer"], fault["code"]) == ("/amount/amount", "negative")
        assert "`kind: refund`" in fault["detail"]


async def test_a_revision_may_have_64_bits(client: httpx.AsyncClient) -> None:
    for noun, more in (("transaction", {}), ("interaction", {"kind": "visit"})):
        item = purchase(**more) | {f"{noun}_id": "t1"}
        if noun == "interaction":
            del item["amount"], item["transaction_id"]
        for revision, status in ((2**40, "created"), (2**63 - 1, "updated"), (5, "duplicate")):
            answer = (await post(client, item | {"revision": revision}, noun)).json()
            assert answer["status"] == status
        assert answer[noun]["revision"] == 2**63 - 1


async def test_a_body_may_be_packed_and_is_the_same_request(client: httpx.AsyncClient) -> None:
    body = json.dumps({"items": [purchase(transaction_id=f"t{n}") for n in range(1000)]}).encode()
    headers = {**JSON, "Idempotency-Key": "once"}
    packed = {**headers, "Content-Encoding": "gzip"}
    path = "/v1/transactions/bulk"
    first = await client.post(path, content=gzip.compress(body), headers=packed)
    again = await client.post(path, content=body, headers=headers)
    assert first.json()["counts"]["created"] == 1000
    assert again.headers["idempotent-replayed"] == "true"


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "zone", "instant"),
    [
        ("2026-01-31", "Asia/Shanghai", "2026-01-30T16:00:00Z"),
        ("2026-01-31 12:00", "Asia/Shanghai", "2026-01-31T04:00:00Z"),
        ("2026-01-31T12:00:00.5", "America/New_York", "2026-01-31T17:00:00.500000Z"),
        ("2026-01-31T12:00:00+08:00", "America/New_York", "2026-01-31T04:00:00Z"),
        ("2025-10-26T02:30:00", "Europe/Berlin", "2025-10-26T00:30:00Z"),  # comes twice
        ("2026-01-31", "asia/shanghai", "2026-01-30T16:00:00Z"),
        ("2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:30:00Z"),  # is skipped
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),  # began at one
        ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z"),  # a day that was skipped
    ],
)
async def test_a_local_time_is_of_the_zone_that_is_stated(
    client: httpx.AsyncClient, written: str, zone: str, instant: str
) -> None:
    item = purchase(occurred_at=written)
    bulk = {"items": [item], "time_zone": zone}
    first = (await client.post("/v1/transactions/bulk", json=bulk)).json()
    assert first["counts"]["created"] == 1, first
    again = (await post(client, item | {"time_zone": zone})).json()
    spelt = (await post(client, purchase(occurred_at=instant))).json()
    assert (again["status"], spelt["status"]) == ("duplicate", "duplicate")
    assert spelt["transaction"]["occurred_at"] == instant


async def test_the_zone_of_an_item_comes_before_that_of_its_batch(
    client: httpx.AsyncClient,
) -> None:
    items = [
        purchase(occurred_at="2026-01-31"),
        purchase(occurred_at="2026-01-31", time_zone="UTC", transaction_id="t2"),
    ]
    body = {"items": items, "time_zone": "Asia/Shanghai"}
    assert (await client.post("/v1/transactions/bulk", json=body)).json()["counts"]["created"] == 2
    listed = (await client.get("/v1/customers/c1/transactions")).json()["items"]
    assert [each["occurred_at"] for each in listed] == [
        "2026-01-31T00:00:00Z", "2026-01-30T16:00:00Z",
    ]  # fmt: skip


@pytest.mark.parametrize("written", ["2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00"])
async def test_a_local_time_of_no_zone_is_refused_with_the_way_out(
    client: httpx.AsyncClient, written: str
) -> None:
    answer = await post(client, purchase(occurred_at=written))
    [fault] = answer.json()["errors"]
    assert (answer.status_code, fault["pointer"], fault["code"]) == (
        422, "/occurred_at", "no_offset",
    )  # fmt: skip
    assert "`time_zone`" in fault["detail"]


@pytest.mark.parametrize(
    "zone",
    ["", "Mars/Olympus", "+08:00", "posix/UTC", "right/UTC", "../etc/passwd",
     "localtime", "Asia", "a\x00b", "x" * 65, 8, "NoneType"],
)  # fmt: skip
async def test_an_unknown_zone_is_pointed_to(client: httpx.AsyncClient, zone: Any) -> None:
    alone = await post(client, purchase(time_zone=zone))
    bulk = await client.post("/v1/transactions/bulk", json={"items": [], "time_zone": zone})
    assert (alone.status_code, bulk.status_code) == (422, 422)
    assert alone.json()["errors"][0]["pointer"] == "/time_zone"
    assert "/time_zone" in [fault["pointer"] for fault in bulk.json()["errors"]]


@pytest.mark.parametrize(
    ("written", "zone"),
    [("1901-01-01", "Asia/Shanghai"), ("2199-12-31 23:00", "America/New_York")],
)
async def test_a_local_time_at_the_edge_of_the_calendar_is_refused(
    client: httpx.AsyncClient, written: str, zone: str
) -> None:
    answer = await post(client, purchase(occurred_at=written, time_zone=zone))
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/occurred_at"]


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC",
         "America/Sao_Paulo", "Pacific/Apia", "Africa/Casablanca")  # fmt: skip
MINUTE = timedelta(minutes=1)
FROM, UNTIL = (datetime(year, 1, 1) for year in (1990, 2030))  # noqa: DTZ001  # local


@given(st.datetimes(FROM, UNTIL), st.sampled_from(ZONES))
def test_a_local_time_is_the_first_instant_that_shows_it_or_is_moved_by_the_gap(
    local: datetime, name: str
) -> None:
    """Held against a search of the clock, minute by minute, around the time."""
    local = local.replace(second=0, microsecond=0)
    zone = ZoneInfo(name)
    found = in_zone(local, name)
    assert found is not None
    guess = local.replace(tzinfo=UTC)
    around = (guess + MINUTE * step for step in range(-15 * 60, 15 * 60))
    showing = [at for at in around if at.astimezone(zone).replace(tzinfo=None) == local]
    if showing:
        assert found == showing[0]
    else:
        before = (found - timedelta(days=1, hours=2)).astimezone(zone)
        offset = before.utcoffset()
        assert offset is not None
        assert found == guess - offset
        assert found.astimezone(zone).replace(tzinfo=None) > local


# --- ids, kinds, free JSON -----------------------------------------------------------------------

ODD_IDS = [
    "#1001",
    "7/31",
    "50%",
    "a?b",
    "order 7 of 9",
    "a\\b",
    ".",
    "..",
    "/",
    "发票/2026#1",
    "%2F",
]


@pytest.mark.parametrize("odd", ODD_IDS)
async def test_ids_of_facts_and_sources_may_hold_what_paths_may_not(
    client: httpx.AsyncClient, odd: str
) -> None:
    named = {"source": odd, "transaction_id": odd}
    refund = purchase(kind="refund", refunds=named, transaction_id="r1", source=odd)
    for item in (purchase(**named), refund):
        assert (await post(client, item)).status_code == 201
    listed = (await client.get("/v1/customers/c1/transactions?limit=1")).json()
    rest = (
        await client.get(
            "/v1/customers/c1/transactions", params={"limit": 1, "cursor": listed["next_cursor"]}
        )
    ).json()
    assert {each["transaction_id"] for each in listed["items"] + rest["items"]} == {odd, "r1"}
    assert (await client.get("/v1/customers/c1/scores")).json()["purchase_days"] == 0


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Order Completed", "order_completed"), ("order-completed", "order_completed"),
        ("OrderCompleted", "order_completed"), ("order.completed", "order_completed"),
        ("ORDER_COMPLETED", "order_completed"), ("HTMLPage viewed", "html_page_viewed"),
        ("Complaint", "complaint"), ("_visit_", "visit"), ("投诉", "投诉"),
        ("Ärger", "ärger"), ("A\u0308rger", "ärger"), ("शिकायत", "शिकायत"),
        ("客户 投诉", "客户_投诉"),
        ("Order2Ship", "order2_ship"), ("NPS", "nps"), ("a__b", "a__b"),
    ],
)  # fmt: skip
async def test_a_kind_has_one_spelling_and_the_list_knows_all(
    client: httpx.AsyncClient, written: str, kept: str
) -> None:
    item = {
        "customer_id": "c1",
        "interaction_id": "i1",
        "occurred_at": "2026-01-31T12:00:00Z",
        "kind": written,
    }
    answer = (await post(client, item, "interaction")).json()
    assert answer["interaction"]["kind"] == kept
    told = [(each["code"], each["pointer"]) for each in answer["warnings"]]
    normalised = [] if written == kept else [("kind_normalised", "/kind")]
    undeclared = [] if kept in CORE_KINDS else [("undeclared_kind", "/kind")]
    assert told == [*normalised, *undeclared]
    assert (await post(client, item | {"kind": kept}, "interaction")).json()[
        "status"
    ] == "duplicate"
    for asked in (written, kept):
        path = "/v1/customers/c1/interactions"
        assert len((await client.get(path, params={"kind": asked})).json()["items"]) == 1


@given(st.text(max_size=80))
def test_the_spelling_of_a_kind_is_its_own_spelling(written: str) -> None:
    kind = canonical(written)
    if kind is not None:
        assert canonical(kind) == kind
        assert kind == kind.lower()
        assert len(kind) <= 64


async def test_a_rule_may_look_at_a_kind_of_any_script(client: httpx.AsyncClient) -> None:
    from app.schemas.policies.policies import POLICY_EXAMPLE  # noqa: PLC0415

    policy = json.loads(json.dumps(POLICY_EXAMPLE))
    rule = {"variable": "interactions", "kind": "投诉", "op": ">=", "value": 1}
    policy["rules"][1]["when"] = rule
    assert (await client.post("/v1/policies", json=policy)).status_code == 201
    policy["rules"][1]["when"] = rule | {"kind": "Order Completed"}
    refused = await client.post("/v1/policies", json=policy)
    assert refused.status_code == 422


async def test_a_transaction_keeps_free_json_through_its_revisions(
    client: httpx.AsyncClient,
) -> None:
    free = {"coupon": "SPRING", "n": [1, 2.5, None], "投": {"a": True}}
    first = await post(client, purchase(attributes=free))
    assert first.json()["transaction"]["attributes"] == free
    assert (await post(client, purchase(attributes=free))).json()["status"] == "duplicate"
    assert (await post(client, purchase(attributes=free | {"n": 1}))).status_code == 409
    assert (await post(client, purchase())).status_code == 409
    bare = (await post(client, purchase(revision=2))).json()
    assert (bare["status"], bare["transaction"]["attributes"]) == ("updated", {})
    assert (await post(client, purchase(attributes=free))).json()["status"] == "duplicate"
    bad = await post(client, purchase(attributes={"a": "x" * 16_400}))
    assert bad.json()["errors"][0]["pointer"] == "/attributes"


async def test_a_transaction_without_free_json_has_the_fingerprint_of_before(
    session: WriteSession, deployment: Deployment
) -> None:
    item = TransactionIn.model_validate(
        purchase(margin={"amount": "1"}, channel="web", attributes={})
    )
    await transactions.ingest(session, deployment, [item], atomic=True, now=NOW)
    stored = await session.scalar(select(Transaction.fingerprint))
    assert stored is not None
    assert stored.hex() == "6c97435ff31a330c71a15e9f29db75f6"
    await session.execute(update(Transaction).values(channel="changed"))
    done = await transactions.ingest(session, deployment, [item], atomic=True, now=NOW)
    assert [status for status, _ in done.outcomes] == ["duplicate"]
