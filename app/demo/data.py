"""The sample data: what is posted, and on which days it is shown."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from typing import Any

WINDOW_ENDS = date(1997, 8, 31)
SOURCE = "cdnow"
_FOLDER = resources.files("app") / "sample"


@dataclass(frozen=True, slots=True)
class Purchase:
    """A row of the log; `number` counts the rows of the file from 1 on."""

    number: int
    customer: str
    on: date
    amount: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """Moves every date of the sample by the same number of whole days."""

    shift: timedelta

    @classmethod
    def ending_yesterday(cls, today: date) -> "Calendar":
        return cls(today - timedelta(days=1) - WINDOW_ENDS)

    @classmethod
    def unmoved(cls) -> "Calendar":
        return cls(timedelta())

    def shown(self, on: date) -> date:
        """Return the day as which a day of the sample is posted."""
        return on + self.shift

    def at_noon(self, on: date) -> str:
        """Return the instant that is posted; the sample knows days only."""
        return f"{self.shown(on).isoformat()}T12:00:00Z"


def today() -> date:
    """Return the day it is in the zone of the demo."""
    return datetime.now(UTC).date()


def read_log() -> list[Purchase]:
    """Return the whole log, also what came after the posted window."""
    text = (_FOLDER / "cdnow_sample.txt").read_text(encoding="ascii")
    rows = (line.split() for line in text.splitlines())
    return [
        Purchase(
            number, row[1], datetime.strptime(row[2], "%Y%m%d").replace(tzinfo=UTC).date(), row[4]
        )
        for number, row in enumerate(rows, start=1)
    ]


def transactions(log: list[Purchase], calendar: Calendar) -> list[dict[str, Any]]:
    """Return the purchases of the window as the API takes them.

    Purchases of one customer and day stay apart: the row number tells them from each other.
    """
    return [
        {
            "customer_id": f"cdnow-{purchase.customer}",
            "transaction_id": f"row-{purchase.number}",
            "source": SOURCE,
            "occurred_at": calendar.at_noon(purchase.on),
            "amount": {"amount": purchase.amount},
        }
        for purchase in log
        if purchase.on <= WINDOW_ENDS
    ]


def prospects(calendar: Calendar) -> list[dict[str, Any]]:
    """Return the invented prospects as the API takes them; each says that it is invented."""
    return list(_prospects(calendar))


def _prospects(calendar: Calendar) -> Iterator[dict[str, Any]]:
    text = (_FOLDER / "prospects.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        first_contact = date.fromisoformat(row.pop("first_contact_at"))
        yield {
            **{name: value for name, value in row.items() if name != "invented"},
            "first_contact_at": calendar.at_noon(first_contact),
            "source": "demo",
            "attributes": {"invented": row["invented"] == "true"},
        }
