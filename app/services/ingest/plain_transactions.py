"""Transactions of files as columns at once: those of which nothing has to be asked or told.

That is nearly all of them: paid in the deployment's currency, with ids of plain letters, before
now, and naming no other transaction. All else goes the way of every item, which says what is
wrong with it; what is taken here would be taken there, and stored as the same.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np

from app.days import to_micros
from app.deployment import Deployment
from app.mappings.plain import PlainRow
from app.services.ingest import fact_intake
from app.services.ingest.fact_intake import IncomingFacts, Ints

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
    """Makes columns of plain transactions; `until` is an instant that is over."""

    def __init__(self, deployment: Deployment, until: datetime) -> None:
        self._deployment, self._until = deployment, to_micros(until)
        home = deployment.currency
        self.finish: dict[str, Callable[[Any], Any]] = {
            "occurred_at": self._instant,
            "amount": _units,
            "kind": lambda kind: kind if kind in _KINDS else None,
            "currency": lambda currency: currency if currency == home else None,
            "channel": lambda channel: channel if _is_text(channel) else None,
        }
        """What is stored of values, None of those that are not plain."""

    def of(
        self, indexes: Sequence[int], source: str, rows: Sequence[PlainRow]
    ) -> IncomingFacts | None:
        """Return the columns of plain rows with their places in the batch; None if there is none.

        Rows come with values as `finish` made them.
        """
        if not rows or not _ID.fullmatch(source):
            return None
        customer_ids, fact_ids, values, attributes = map(list, zip(*rows, strict=True))
        times, amounts, kinds, _, channels = map(list, zip(*values, strict=True))
        at, units = np.array(times, dtype=np.int64), np.array(amounts, dtype=np.int64)
        kinds = [kind or "purchase" for kind in kinds]
        nothing = [None] * len(rows)
        content: dict[str, Sequence[Any] | Ints] = {
            "amount": units,
            "currency": [self._deployment.currency] * len(rows),
            "exchange_rate": nothing,
            "refunds_source": nothing,
            "refunds_transaction_id": nothing,
            "margin": nothing,
            "channel": channels,
            "items": nothing,
            "attributes": [each or None for each in attributes],
            "value": units,
        }
        known_by = {name: column for name, column in content.items() if name != "value"}
        return IncomingFacts(
            indexes, customer_ids, [source] * len(rows), fact_ids, [1] * len(rows), kinds,
            fact_intake.fingerprints(kinds, at, known_by, "attributes"),
            at, self._deployment.calendar.days_of(at), 0, content,
        )  # fmt: skip

    def are_plain(self, attributes: Mapping[str, Any]) -> bool:
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

    def _instant(self, text: str) -> int | None:
        if not _AT.fullmatch(text):
            return None
        try:
            at = to_micros(datetime.fromisoformat(text))
        except ValueError:
            return None
        return at if at <= self._until else None


def _units(amount: str) -> int | None:
    """Return smallest units of an amount."""
    if not _AMOUNT.fullmatch(amount):
        return None
    whole, _, places = amount.partition(".")
    return int(f"{whole}{places:0<4}")


def _is_text(text: str) -> bool:
    return 1 <= len(text) <= _MOST_TEXT and _STORABLE.fullmatch(text) is not None
