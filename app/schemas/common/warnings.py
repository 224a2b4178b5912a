"""What a write accepted without effect, or understood otherwise than it was written.

Facts are refused for what they say, never for what follows from them; what a caller should look at
all the same is told in `warnings` of the item, or of the batch where it concerns many.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from app.schemas.common.types import Answer

CODES: Final[Mapping[str, str]] = {
    "ahead_of_time": "it lies ahead, and counts for nothing until its time",
    "country_unread": "it is no country that we know: it is kept as text, and rules see none",
    "email_unread": "it is no e-mail address: it is kept as it is",
    "kind_normalised": "the kind of an interaction is kept in another spelling",
    "lines_of_one_order": "transactions of the batch look like lines of one order",
    "not_churned": "the customer has not churned: the record counts once that is so",
    "not_current": "it is true before what holds now: the past follows it, the present does not",
    "phone_unread": "it is no phone number: it is kept as it is, and found by its digits",
    "refund_exceeds_purchases": "a refund gives back more than is left of purchases",
    "refund_of_another_source": "a refund names a purchase that only another source has",
    "refund_of_nothing": "a refund gives nothing back",
    "refund_waits": "a refund names a purchase not known yet, and takes nothing back until then",
    "score_without_scale": "its kind has no scale, so that the score is no answer of a survey",
    "snoozed_without_day": "its attribute `until` is no day, so that no line of a worklist waits",
    "superseded": "a higher revision was there before: this one is kept, and changes nothing",
    "undeclared_kind": "its kind is not declared, so that nothing may be looking at it",
    "unknown_outcome": "its kind has no such outcome",
    "voided": "it was voided before, and counts for nothing until a higher revision comes",
}
"""All codes, each with what it means. Whatever has no full effect gets a line here."""


class WriteWarning(Answer):
    """What was accepted, but without effect, or otherwise than written."""

    code: str = Field(
        description="code of the warning, to branch on; "
        + "; ".join(f"`{code}`: {meaning}" for code, meaning in CODES.items()),
        examples=["superseded"],
    )
    pointer: str | None = Field(
        description="JSON pointer into the body; null if no one field is meant",
        examples=["/items/3/revision"],
    )
    detail: str = Field(
        description="the warning in words", examples=["Revision 4 is in force since before."]
    )


class Warnings:
    """Collects the warnings of one write, by the place of the item; most items have none."""

    __slots__ = ("_items", "batch")

    def __init__(self) -> None:
        self.batch: list[WriteWarning] = []
        self._items: dict[int, list[WriteWarning]] = {}

    def add(self, index: int, code: str, detail: str, pointer: str | None = None) -> None:
        """Tell something of one item; the pointer begins at the item."""
        self._items.setdefault(index, []).append(_warning(code, detail, pointer))

    def add_to_batch(self, code: str, detail: str, pointer: str | None = None) -> None:
        """Tell something of the batch as a whole; the pointer begins at the body."""
        self.batch.append(_warning(code, detail, pointer))

    def drop(self, index: int) -> None:
        """Forget what was told of an item that was rejected after all."""
        self._items.pop(index, None)

    def is_empty(self) -> bool:
        """Whether nothing is told of any item."""
        return not self._items

    def of(self, index: int, prefix: str = "") -> list[WriteWarning]:
        """Return the warnings of an item that stands at `prefix` in the body."""
        return [
            each
            if not prefix or each.pointer is None
            else each.model_copy(update={"pointer": prefix + each.pointer})
            for each in self._items.get(index, ())
        ]


def _warning(code: str, detail: str, pointer: str | None) -> WriteWarning:
    assert code in CODES, code
    return WriteWarning(code=code, pointer=pointer, detail=detail)
