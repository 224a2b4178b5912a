"""Facts as they arrive: in the deployment's terms, and recognisable when they come again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.days import from_day
from app.deployment import Deployment
from app.money import UNIT
from app.schemas.common.times import in_zone
from app.schemas.common.types import RANGE, format_amount, format_instant
from app.schemas.common.warnings import Warnings
from app.schemas.ingest.facts import FactIn

FUTURE_LIMIT = timedelta(hours=24)

Name = tuple[str, str, str]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingFact:
    """What every fact has, as it will be stored, and its place in the request."""

    index: int
    customer_id: str
    source: str
    fact_id: str
    revision: int
    fingerprint: bytes
    received_at: datetime
    occurred_at: datetime
    occurred_on: date
    kind: str

    @property
    def name(self) -> Name:
        return self.customer_id, self.source, self.fact_id


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


def common(index: int, item: FactIn, content: Mapping[str, Any], intake: Intake) -> dict[str, Any]:
    """Return what an IncomingFact has beside its id and its content; raise Refused if too early."""
    at = content["occurred_at"]
    if at > intake.now:
        _look_ahead(index, at, intake)
    return {
        "index": index,
        "customer_id": item.customer_id,
        "source": item.source,
        "revision": item.revision,
        "fingerprint": _fingerprint(content),
        "received_at": intake.now,
        "occurred_on": from_day(intake.deployment.calendar.day_of(at)),
    }


def _look_ahead(index: int, at: datetime, intake: Intake) -> None:
    if at > intake.now + FUTURE_LIMIT:
        raise Refused("/occurred_at", "future", "must not lie more than 24 hours ahead")
    detail = f"It counts from {format_instant(at)} on."
    intake.warnings.add(index, "ahead_of_time", detail, "/occurred_at")


def _fingerprint(content: Mapping[str, Any]) -> bytes:
    """Hash the normalised content, so that 12.5 and 12.50, or two spellings of a time, agree."""
    plain = [value if type(value) is str else _plain(value) for value in content.values()]
    return hashlib.blake2b(repr(plain).encode(), digest_size=16).digest()


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
