"""Facts as the columns of their tables, for binary COPY."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from app.postgres.binary_copy import Column, Kind
from app.services.ingest.fact_intake import IncomingFacts, Ints


def of(texts: Mapping[str, Sequence[str]], facts: IncomingFacts) -> dict[str, Column]:
    """Return the columns of facts, those of texts first; what is NULL everywhere is left out."""
    columns: dict[str, Column] = {
        "revision": Column("int8", facts.revisions),
        "fingerprint": Column("bytea", np.frombuffer(b"".join(facts.fingerprints), "V16")),
        "occurred_at": Column("timestamptz", facts.at),
        "occurred_on": Column("date", facts.day),
        "received_at": Column("timestamptz", np.full(len(facts), facts.received_at)),
    }
    said = {**texts, **facts.content}
    return columns | {
        name: column for name, values in said.items() if (column := _column(values)) is not None
    }


def _column(values: Sequence[Any] | Ints) -> Column | None:
    """Return a column by the values it has; None for one of NULL alone."""
    if isinstance(values, np.ndarray):
        return Column("numeric", values)
    there = [value for value in values if value is not None]
    if not there:
        return None
    if isinstance(there[0], float):
        null = [value is None for value in values]
        return Column("float8", [value or 0.0 for value in values], null)
    kind, sent = _sent(there)
    if len(there) < len(values):
        known = np.array([value is not None for value in values])
        return Column(kind, sent, codes=np.where(known, known.cumsum() - 1, -1))
    if sent.count(sent[0]) == len(sent):  # of most columns all values are the same
        return Column(kind, sent[:1], codes=np.zeros(len(sent), dtype=np.int64))
    return Column(kind, sent)


def _sent(values: list[Any]) -> tuple[Kind, list[Any]]:
    """Return the kind of values, and the values as that has them."""
    if isinstance(values[0], str):
        return "text", values
    if isinstance(values[0], Decimal):
        return "decimal", values
    return "jsonb", [json.dumps(value) for value in values]
