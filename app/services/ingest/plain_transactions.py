"""Transactions of files as columns at once: those of which nothing has to be asked or told.

That is nearly all of them: paid in the deployment's currency, with ids of plain letters, before
now, and naming no other transaction. All else goes the way of every item, which says what is
wrong with it; what is taken here would be taken there, and stored as the same.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np

from app.days import to_micros
from app.deployment import Deployment
from app.schemas.common.types import MAX_BIGINT
from app.services.ingest import fact_intake
from app.services.ingest.fact_intake import IncomingFacts

_NEEDED: Final = frozenset(("customer_id", "source", "transaction_id", "occurred_at", "amount"))
_KNOWN: Final = _NEEDED | {"kind", "channel", "revision", "attributes"}
_ID: Final = re.compile(r"[\w\-:@+,~]{1,128}", re.ASCII)
_STORABLE: Final = re.compile(r"[\x01-\ud7ff\ue000-\U0010ffff]*")
_MOST_TEXT: Final = 200
_MOST_ATTRIBUTES: Final = 2_000
"""Characters of attributes that are within what they may be, however they are written."""
_AMOUNT: Final = re.compile(r"[0-9]{1,14}(?:\.[0-9]{1,4})?", re.ASCII)
_AT: Final = re.compile(
    r"(19[1-9]\d|20\d\d|21[0-8]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", re.ASCII
)
_KINDS: Final = ("purchase", "refund")


class PlainColumns:
    """Collects plain transactions of a batch; `until` is an instant that is over."""

    def __init__(self, deployment: Deployment, until: datetime) -> None:
        self._deployment, self._until = deployment, to_micros(until)
        self._instants: dict[str, int | None] = {}

    def of(self, items: Sequence[Mapping[str, Any]]) -> IncomingFacts | None:
        """Return the columns of those items that are plain, by their places; None if none is."""
        rows = [
            (index, *row) for index, item in enumerate(items) if (row := self._row(item)) is not None
        ]
        if not rows:
            return None
        columns = list(zip(*rows, strict=True))
        (indexes, customer_ids, sources, fact_ids, times, amounts, kinds, channels, revisions,
         attributes) = map(list, columns)  # fmt: skip
        at = np.array(times, dtype=np.int64)
        units = np.array(amounts, dtype=np.int64)
        nothing = [None] * len(rows)
        content = {
            "amount": units,
            "currency": [self._deployment.currency] * len(rows),
            "exchange_rate": nothing,
            "refunds_source": nothing,
            "refunds_transaction_id": nothing,
            "margin": nothing,
            "channel": channels,
            "items": nothing,
            "attributes": attributes,
            "value": units,
        }
        known_by = {name: column for name, column in content.items() if name != "value"}
        return IncomingFacts(
            indexes, customer_ids, sources, fact_ids, revisions, kinds,
            fact_intake.fingerprints(kinds, at, known_by, "attributes"),
            at, self._deployment.calendar.days_of(at), 0, content,
        )  # fmt: skip

    def _row(self, item: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return the values of the columns of a plain item, None of any other."""
        keys = item.keys()
        if not (_NEEDED <= keys <= _KNOWN):
            return None
        customer_id, source, fact_id = item["customer_id"], item["source"], item["transaction_id"]
        money, kind, channel = item["amount"], item.get("kind", "purchase"), item.get("channel")
        revision, attributes = item.get("revision", 1), item.get("attributes")
        at = self._instant(item["occurred_at"])
        amount = money["amount"]
        if (
            at is None
            or at > self._until
            or not _ID.fullmatch(customer_id)
            or not _ID.fullmatch(source)
            or not _ID.fullmatch(fact_id)
            or not _AMOUNT.fullmatch(amount)
            or money.get("currency", self._deployment.currency) != self._deployment.currency
            or kind not in _KINDS
            or not (channel is None or _is_text(channel))
            or not _are_texts(attributes)
            or not (type(revision) is int and 1 <= revision <= MAX_BIGINT)
        ):
            return None
        whole, _, places = amount.partition(".")
        units = int(f"{whole}{places:0<4}")
        return customer_id, source, fact_id, at, units, kind, channel, revision, attributes or None

    def _instant(self, text: str) -> int | None:
        """Return the microseconds of an instant of UTC; days come again and again."""
        try:
            return self._instants[text]
        except KeyError:
            found = None
            if _AT.fullmatch(text):
                try:
                    found = to_micros(datetime.fromisoformat(text))
                except ValueError:
                    found = None
            if len(self._instants) >= 20_000:
                self._instants.clear()
            self._instants[text] = found
            return found


def _is_text(text: str) -> bool:
    return 1 <= len(text) <= _MOST_TEXT and _STORABLE.fullmatch(text) is not None


def _are_texts(attributes: Mapping[str, Any] | None) -> bool:
    """Say whether attributes are a few short texts."""
    if not attributes:
        return True
    if not all(type(value) is str for value in attributes.values()):
        return False
    joined = "".join((*attributes, *attributes.values()))
    return (
        len(joined) <= _MOST_ATTRIBUTES
        and len(attributes) <= _MOST_ATTRIBUTES // 10
        and _STORABLE.fullmatch(joined) is not None
    )
