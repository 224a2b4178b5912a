"""Rows taken as columns at once: stored, or refused, as one after the other through the mapper."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.days import Calendar
from app.deployment import Deployment
from app.mappings.applying import Mapper, Outcome
from app.mappings.compiling import Context, compile_mapping, parse
from app.mappings.detection import detect
from app.mappings.reading import read
from app.mappings.rows import BadRow
from app.schemas.common.shapes import Rejected
from app.schemas.common.warnings import Warnings
from app.services.ingest import transaction_intake
from app.services.ingest.fact_intake import IncomingFacts, Intake, Refused
from app.services.ingest.imports.preparing import Prepared, Preparer

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HERE = Deployment(Calendar(ZoneInfo("Europe/Berlin")), "EUR")
COLUMNS = ("order", "who", "at", "amount", "kind", "currency", "shop", "note")
USUAL = ("o-1", "c-1", "2026-01-30 23:30", "12", "sale", "EUR", "web", "")
FIELDS: dict[str, Any] = {
    "transaction_id": {"column": "order"},
    "customer_id": {"column": "who"},
    "occurred_at": {"column": "at"},
    "amount": {"column": "amount"},
    "kind": {"column": "kind", "translate": {"sale": "purchase", "back": "refund"}},
    "currency": {"column": "currency"},
    "channel": {"column": "shop"},
}
RULE = {"fact": "transactions", "fields": FIELDS, "negative": "refund", "rest": True}
DOCUMENT: dict[str, Any] = {
    "name": "orders",
    "source": "shop",
    "times": {"zone": "Europe/Berlin"},
    "blanks": ["-None-", "NULL"],
    "filters": [{"code": "test", "when": {"column": "note", "in": ["test"]}}],
    "facts": [RULE],
}


def with_fields(**fields: Any) -> dict[str, Any]:
    return {**DOCUMENT, "facts": [{**RULE, "fields": {**FIELDS, **fields}}]}


DOCUMENTS = {
    "plain": DOCUMENT,
    "decimal comma": {**DOCUMENT, "amounts": {"decimal": ",", "currency": "EUR"}},
    "other currency": {**DOCUMENT, "amounts": {"currency": "USD"}},
    "whole numbers, lenient": with_fields(
        transaction_id={"column": "order", "read_as": "whole_number_id", "blanks": ["o-0"]},
        occurred_at={"column": "at", "patterns": ["%Y-%m-%d %H:%M", "%d.%m.%Y"]},
        amount={"column": "amount", "round_to": 2, "absolute": True},
        channel={"column": "shop", "if_bad": "leave_out", "default": "shop"},
    ),
}
IDS = st.one_of(
    st.sampled_from(["o-1", "c-1", "o-0", "12.0", "a" * 100, "a" * 129, "", ".", "x y", " x", "é",
                     "é", "#1", "a/b", "٣", "NULL", "=1+1", '="7"', "'-1"]),
    st.text(st.characters(exclude_characters="\0"), max_size=4),
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(["web", "x" * 200, "x" * 201, "", "-None-", "=A1", "网店", "test"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
)
TIMES = st.one_of(
    st.sampled_from(
        ["2026-01-30 23:30", "2025-02-29", "2025-03-30 02:30", "2025-10-26 02:30", "30.01.2026",
         "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000001Z", "2026-02-01", "2026-02-20", "",
         "1900-12-31", "2025-01-01T00:00:00.12+01:00", "2026-01-31 13:00"]
    ),
    st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2027-01-01")).map(
        datetime.isoformat
    ),
)  # fmt: skip
AMOUNTS = st.one_of(
    st.sampled_from(["0", "0.00", "12.5", "12.5000", "99999999999999.9999", "00012.10", "-3.50",
                     "100000000000000", "1.23456", "1e2", "٣", "", ".5", "5.", "1,250", "1.250,5",
                     "€ 3", "(4.00)"]),
    st.decimals(0, 10**6, places=2).map(str),
)  # fmt: skip
CELLS = st.tuples(
    IDS, IDS, TIMES, AMOUNTS, st.sampled_from(["sale", "back", "SALE", "", "gift"]),
    st.sampled_from(["EUR", "USD", "eur", "€", "", "XYZ", "?"]), TEXTS, TEXTS,
)  # fmt: skip


def one_odd(cells: tuple[Sequence[str], int]) -> tuple[str, ...]:
    """Return a usual row with one cell of another."""
    row, place = cells
    return (*USUAL[:place], row[place], *USUAL[place + 1 :])


ROWS = st.lists(
    st.one_of(st.tuples(CELLS, st.integers(0, 7)).map(one_odd), CELLS, st.just(COLUMNS)),
    max_size=8,
)


def prepared(document: dict[str, Any], cells: Sequence[Sequence[str]]) -> tuple[Prepared, Prepared]:
    """Return rows made ready one after the other, and those that are plain at once."""
    written = io.StringIO()
    # The first ones are never taken as plain.
    csv.writer(written).writerows([COLUMNS, *[USUAL] * 10, *cells, USUAL])
    file = written.getvalue().encode("utf-8", "replace")
    detected = detect(file)
    plan = compile_mapping(parse(document), detected, Context("EUR"))
    rows = list(read([file], detected))
    preparer = Preparer(plan, HERE, {"USD": "0.9"}, NOW)
    outcomes = [outcome for row in rows for outcome in Mapper(plan).feed(row)]
    return preparer.of_outcomes(outcomes), preparer.of_rows(rows, Mapper(plan).feed)


def columns(facts: IncomingFacts) -> dict[str, Any]:
    of_each = ("indexes", "customer_ids", "sources", "fact_ids", "revisions", "kinds",
               "fingerprints", "at", "day")  # fmt: skip
    found = {**{name: getattr(facts, name) for name in of_each}, **facts.content}
    return {name: np.asarray(column, object).tolist() for name, column in found.items()}


def to_be_written(chunk: Prepared) -> tuple[dict[str, Any], list[Any], list[Any]]:
    """Return what is stored of a chunk, what doors refuse, and what else becomes of its rows."""
    facts = chunk.facts["transactions"]
    intake = Intake(HERE, NOW, Warnings())
    places, times, refused = [], [], list[Any]()
    for place, item in enumerate(facts.batch.items):
        rows = chunk.rows[facts.places[place]]
        if isinstance(item, Rejected):
            refused.append((rows, item.faults))
        elif item is not None:
            try:
                times.append(transaction_intake.accept(place, item, intake))
                places.append(place)
            except Refused as fault:
                refused.append((rows, fault.pointer, fault.code, fault.detail))
    items = [facts.batch.items[place] for place in places]
    stored = transaction_intake.to_columns(intake, places, items, times)
    if facts.batch.columns is not None:
        stored = IncomingFacts.join(stored, facts.batch.columns)
    others: list[Outcome] = [each for each in chunk.outcomes if each not in chunk.mapped]
    return columns(stored), refused, others


@pytest.mark.parametrize("name", DOCUMENTS)
@given(cells=ROWS)
def test_what_is_plain_is_what_the_mapper_makes_of_it(
    name: str, cells: list[tuple[str, ...]]
) -> None:
    slow, quick = prepared(DOCUMENTS[name], cells)
    assert to_be_written(quick) == to_be_written(slow)
    assert quick.rows == slow.rows
    assert len(quick.mapped) + quick.plain == len(slow.mapped)
    warned = [each.warnings for each in slow.mapped if each.warnings]
    assert [each.warnings for each in quick.mapped if each.warnings] == warned


def test_usual_rows_are_plain() -> None:
    usual = [
        USUAL,
        ("o-2", "c-1", "2026-01-30T12:00:00Z", "3", "back", "", "网店", "春"),
        ("o-3", "c-2", "2026-01-30", "0.5", "", "eur", "", ""),
    ]
    _, quick = prepared(DOCUMENT, usual)
    assert quick.plain == len(usual) + 1
    _, quick = prepared(
        DOCUMENTS["decimal comma"],
        [(*USUAL[:3], "1.250,5", *USUAL[4:]), (*USUAL[:3], "-1", *USUAL[4:])],
    )
    assert quick.plain == 2


def test_bad_rows_are_given_to_the_mapper() -> None:
    _, quick = prepared(DOCUMENT, [USUAL[:3]])
    assert [type(row) for outcome in quick.outcomes for row in outcome.rows].count(BadRow) == 1
