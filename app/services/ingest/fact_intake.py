"""Facts as they arrive: in the deployment's terms, and recognisable when they come again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.days import to_micros
from app.deployment import Deployment
from app.money import UNIT, UNITS, to_amount
from app.schemas.common.times import in_zone
from app.schemas.common.types import RANGE, format_amount, format_instant
from app.schemas.common.warnings import Warnings
from app.schemas.ingest.facts import FactIn

FUTURE_LIMIT = timedelta(hours=24)

Name = tuple[str, str, str]
Ints: TypeAlias = NDArray[np.int64]
Content = Mapping[str, Sequence[Any] | Ints]
"""What facts say beside their kind and time, by column; numbers are money in smallest units."""


class Refused(Exception):
    """An item that does not fit this deployment, with the pointer to the fault."""

    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer, self.code, self.detail = pointer, code, detail


@dataclass(frozen=True, slots=True)
class Intake:
    """What facts of one write are taken in with: where, when, and what is to be told of them."""

    deployment: Deployment
    now: datetime
    warnings: Warnings
    time_zone: str | None = None


@dataclass(frozen=True)
class IncomingFacts:
    """Facts of one write as they will be stored, in columns, and their places in the request.

    `at` is in microseconds and `day` in days since 1970; `received_at` is one for all.
    """

    indexes: Sequence[int]
    customer_ids: Sequence[str]
    sources: Sequence[str]
    fact_ids: Sequence[str]
    revisions: Sequence[int]
    kinds: Sequence[str]
    fingerprints: Sequence[bytes]
    at: Ints
    day: Ints
    received_at: int
    content: Content

    def __len__(self) -> int:
        return len(self.indexes)

    @cached_property
    def names(self) -> list[Name]:
        return list(zip(self.customer_ids, self.sources, self.fact_ids, strict=True))

    def take(self, rows: Sequence[int]) -> "IncomingFacts":
        """Return some of the facts, in the order of `rows`."""

        def of(column: Any) -> Any:
            return column[rows] if isinstance(column, np.ndarray) else [column[i] for i in rows]

        return replace(
            self,
            content={name: of(column) for name, column in self.content.items()},
            **{name: of(getattr(self, name)) for name in _OF_EACH},
        )

    @classmethod
    def join(cls, one: "IncomingFacts", other: "IncomingFacts") -> "IncomingFacts":
        """Return facts of one write that came in two parts, by their places in it."""

        def both(some: Any, more: Any) -> Any:
            return np.append(some, more) if isinstance(some, np.ndarray) else [*some, *more]

        content = {name: both(own, other.content[name]) for name, own in one.content.items()}
        columns = {name: both(getattr(one, name), getattr(other, name)) for name in _OF_EACH}
        order = np.argsort(columns["indexes"], kind="stable")
        return replace(one, content=content, **columns).take(order.tolist())


_OF_EACH = (
    "indexes", "customer_ids", "sources", "fact_ids", "revisions", "kinds", "fingerprints", "at",
    "day",
)  # fmt: skip


def to_columns(
    intake: Intake,
    indexes: Sequence[int],
    items: Sequence[FactIn],
    times: Sequence[datetime],
    kinds: Sequence[str],
    fact_ids: Sequence[str],
    content: Content,
    *,
    derived: str | None = None,
    optional: str | None = None,
) -> IncomingFacts:
    """Return accepted items, with their instants and what they say, as they will be stored.

    They are known again by all of it but the column `derived`; the column `optional` counts only
    where it says something, since there are facts from before there was one.
    """
    at = np.array([to_micros(each) for each in times], dtype=np.int64)
    known_by = {name: column for name, column in content.items() if name != derived}
    return IncomingFacts(
        indexes,
        [item.customer_id for item in items],
        [item.source for item in items],
        fact_ids,
        [item.revision for item in items],
        kinds,
        fingerprints(kinds, at, known_by, optional),
        at,
        intake.deployment.calendar.days_of(at),
        to_micros(intake.now),
        content,
    )


def instant(item: FactIn, intake: Intake) -> datetime:
    """Return when a fact happened; raise Refused for a time of no zone."""
    if item.occurred_at.tzinfo is not None:
        return item.occurred_at
    time_zone = item.time_zone or intake.time_zone
    if time_zone is None:
        detail = (
            "has no offset: write one, such as 2026-01-31T12:00:00+08:00, or state the "
            "`time_zone` of the item or of the batch, such as Asia/Shanghai"
        )
        raise Refused("/occurred_at", "no_offset", detail)
    at = in_zone(item.occurred_at, time_zone)
    if at is None:
        raise Refused("/occurred_at", "timestamp", RANGE)
    return at


def look_ahead(index: int, at: datetime, intake: Intake) -> None:
    """Tell of a fact that lies ahead; raise Refused if it does too far."""
    if at <= intake.now:
        return
    if at > intake.now + FUTURE_LIMIT:
        raise Refused("/occurred_at", "future", "must not lie more than 24 hours ahead")
    detail = f"It counts from {format_instant(at)} on."
    intake.warnings.add(index, "ahead_of_time", detail, "/occurred_at")


def fingerprints(
    kinds: Sequence[str], at: Ints, content: Content, optional: str | None = None
) -> list[bytes]:
    """Hash the normalised content, so that 12.5 and 12.50, or two spellings of a time, agree."""
    columns = [_texts(column) for name, column in content.items() if name != optional]
    rows = _spelled([kinds, _instants(at), *columns]) if kinds else []
    for row, value in enumerate(content[optional] if optional is not None else ()):
        if value is not None:
            rows[row] = f"{rows[row][:-1]}, {value if type(value) is str else _plain(value)!r}]"
    digest = hashlib.blake2b
    return [digest(row.encode(), digest_size=16).digest() for row in rows]


def _spelled(columns: Sequence[Sequence[str | None]]) -> list[str]:
    """Return each row as `repr` does of a list; of most columns all values are the same."""
    pattern, varying = [], []
    for column in columns:
        if column.count(column[0]) == len(column):
            pattern.append(repr(column[0]).replace("%", "%%"))
        else:
            pattern.append("%s")
            varying.append(map(repr, column))
    row = f"[{', '.join(pattern)}]"
    return [row % each for each in zip(*varying, strict=True)] or [row % ()] * len(columns[0])


def _texts(column: Sequence[Any] | Ints) -> Sequence[str | None]:
    """Return each value of a column in one spelling."""
    if isinstance(column, np.ndarray):
        return [_amount(units) for units in column.tolist()]
    return [value if type(value) is str else _plain(value) for value in column]


def _amount(units: int) -> str:
    """Return what `format_amount` does, of smallest units."""
    hundredths, rest = divmod(units, UNITS // 100)
    if rest:
        return format_amount(to_amount(units))
    return f"{hundredths // 100}.{hundredths % 100:02}"


def _instants(at: Ints) -> list[str]:
    """Return what `format_instant` does, of microseconds."""
    whole = at % 1_000_000 == 0
    shown = np.datetime_as_string(at.view("M8[us]"), unit="s" if whole.all() else "us").tolist()
    return [f"{each.removesuffix('.000000')}Z" for each in shown]


def to_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, default=_plain, sort_keys=True, separators=(",", ":"))


def _plain(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, Decimal):
        return format_amount(value) if value == value.quantize(UNIT) else str(value.normalize())
    if isinstance(value, dict):
        return to_json(canonical(value))
    return format_instant(value) if isinstance(value, datetime) else str(value)


def canonical(value: Any) -> Any:
    """Return free JSON with one spelling for each number: 4.0 is 4."""
    if isinstance(value, dict):
        return {key: canonical(each) for key, each in value.items()}
    if isinstance(value, list):
        return [canonical(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
