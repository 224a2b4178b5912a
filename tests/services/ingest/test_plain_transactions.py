"""Transactions taken as columns at once: stored as the door of items stores them, or left to it."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.days import Calendar
from app.deployment import Deployment
from app.schemas.common.shapes import Lenient
from app.schemas.common.warnings import Warnings
from app.schemas.ingest.transactions import TransactionIn
from app.services.ingest import transaction_intake
from app.services.ingest.fact_intake import IncomingFacts, Intake
from app.services.ingest.plain_transactions import PlainColumns

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HERE = Deployment(Calendar(ZoneInfo("Europe/Berlin")), "EUR")
SHAPE: TypeAdapter[Any] = TypeAdapter(Lenient[TransactionIn])
IDS = st.one_of(
    st.sampled_from(["c-1", "a" * 128, "a" * 129, "", ".", "..", "x y", " x", "é", "é", "#1", "٣"]),
    st.text(max_size=5),
)
TEXTS = st.one_of(st.sampled_from(["web", "x" * 200, "x" * 201, "", "a\0b", "\ud800", "é"]),
                  st.text(max_size=5))  # fmt: skip
TIMES = st.one_of(
    st.sampled_from(
        ["2025-02-29T00:00:00Z", "1901-01-01T00:00:00Z", "2026-01-31T12:00:00.000001Z",
         "2025-03-30T01:00:00Z", "2025-10-26T23:30:00.120000Z", "2026-01-31T12:00:00",
         "2026-01-31", "2026-01-31T24:00:00Z", "2025-01-01T00:00:00+01:00", "2199-12-31T23:00:00Z"]
    ),
    st.datetimes(datetime(1900, 1, 1), datetime(2027, 1, 1)).map(lambda at: f"{at.isoformat()}Z"),
)  # fmt: skip
AMOUNTS = st.one_of(
    st.sampled_from(["0", "0.00", "12.5", "12.50", "12.5000", "99999999999999.9999", "00012.10",
                     "100000000000000", "1.23456", "-1", "1e2", "٣", "", ".5", "5."]),
    st.decimals(0, 10**6, places=2).map(str),
)  # fmt: skip
MONEY = st.fixed_dictionaries(
    {"amount": AMOUNTS}, optional={"currency": st.sampled_from(["EUR", "USD", "XXX", "eur"])}
)
ATTRIBUTES = st.dictionaries(
    TEXTS, st.one_of(TEXTS, st.integers(), st.none(), st.lists(TEXTS, max_size=2)), max_size=3
)
ITEMS = st.fixed_dictionaries(
    {"customer_id": IDS, "transaction_id": IDS, "occurred_at": TIMES, "amount": MONEY},
    optional={
        "source": IDS,
        "kind": st.sampled_from(["purchase", "refund", "gift"]),
        "channel": TEXTS,
        "revision": st.sampled_from([1, 2, 0, 2**63, 1.0, True]),
        "attributes": ATTRIBUTES,
        "exchange_rate": st.sampled_from(["1", "1.5"]),
        "refunds": st.just({"transaction_id": "o-1"}),
        "margin": st.just({"amount": "1.00"}),
        "time_zone": st.just("Europe/Berlin"),
    },
)
PLAIN: dict[str, Any] = {
    "customer_id": "c-1", "source": "shop", "transaction_id": "o-1",
    "occurred_at": "2026-01-30T23:30:00Z", "amount": {"amount": "12.5", "currency": "EUR"},
}  # fmt: skip


def columns(facts: IncomingFacts) -> dict[str, Any]:
    of_each = ("customer_ids", "sources", "fact_ids", "revisions", "kinds", "fingerprints", "at",
               "day")  # fmt: skip
    found = {**{name: getattr(facts, name) for name in of_each}, **facts.content}
    return {name: np.asarray(column, object).tolist() for name, column in found.items()}


def by_items(items: list[dict[str, Any]]) -> tuple[IncomingFacts, Warnings]:
    """Return what the door of items stores; fail where it takes one not."""
    intake = Intake(HERE, NOW, Warnings())
    checked = [SHAPE.validate_python(item) for item in items]
    times = [transaction_intake.accept(n, item, intake) for n, item in enumerate(checked)]
    found = transaction_intake.to_columns(intake, range(len(items)), checked, times)
    return found, intake.warnings


@given(st.lists(ITEMS, max_size=6))
def test_what_is_plain_is_stored_as_the_door_of_items_stores_it(
    items: list[dict[str, Any]],
) -> None:
    found = PlainColumns(HERE, NOW).of([*items, PLAIN])
    assert found is not None
    assert found.indexes[-1] == len(items)
    plain = [[*items, PLAIN][index] for index in found.indexes]
    expected, warnings = by_items(plain)
    assert columns(found) == columns(expected)
    assert warnings.is_empty()


def test_usual_items_are_plain() -> None:
    usual = [
        PLAIN,
        {**PLAIN, "kind": "refund", "channel": "网店", "attributes": {"coupon": "春"}},
        {**PLAIN, "amount": {"amount": "3"}, "revision": 7},
    ]
    found = PlainColumns(HERE, NOW).of(usual)
    assert found is not None
    assert list(found.indexes) == [0, 1, 2]


def test_both_ways_make_one_batch_in_its_order() -> None:
    odd = {**PLAIN, "transaction_id": "o 2", "refunds": {"transaction_id": "o-1"}, "kind": "refund"}
    items = [PLAIN, odd, {**PLAIN, "transaction_id": "o-3"}]
    plain = PlainColumns(HERE, NOW).of(items)
    assert plain is not None
    assert list(plain.indexes) == [0, 2]
    whole, _ = by_items(items)
    others = whole.take([1])
    assert columns(IncomingFacts.join(plain, others)) == columns(whole)
