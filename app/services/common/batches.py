"""What every bulk write has in common: items that did not validate, and how they are told."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from app.errors import FieldError
from app.schemas.common.shapes import BulkItemError, ProblemField, Rejected
from app.services.common import threads

Outcome = tuple[str, BulkItemError | None]


def validation_error(faults: Sequence[FieldError]) -> BulkItemError:
    """Return the error of an item that does not fit its description."""
    return item_error("validation_failed", "The item does not fit its description.", faults)


def item_error(code: str, detail: str, faults: Sequence[FieldError] = ()) -> BulkItemError:
    """Return the error of one item."""
    fields = [ProblemField(**fault.as_dict()) for fault in faults]
    return BulkItemError(code=code, detail=detail, errors=fields)


async def rejections(items: Sequence[Any]) -> list[Outcome]:
    """Return an outcome for each item: rejected where it did not validate, else still open."""
    outcomes: list[Outcome] = [("open", None)] * len(items)
    rejected = [(index, item) for index, item in enumerate(items) if isinstance(item, Rejected)]
    async for index, item in threads.in_turns(rejected):
        faults = [
            FieldError(f"/items/{index}{fault.pointer}", fault.code, fault.detail)
            for fault in item.faults
        ]
        outcomes[index] = ("rejected", validation_error(faults))
    return outcomes


def faults(outcomes: Sequence[Outcome]) -> list[FieldError]:
    """Return the faults of all rejected items, for the problem of an atomic batch."""
    return list(islice(_faults(outcomes), 100))


def _faults(outcomes: Sequence[Outcome]) -> Iterator[FieldError]:
    for index, (_, error) in enumerate(outcomes):
        if error is None:
            continue
        if not error.errors:
            yield FieldError(f"/items/{index}", error.code, error.detail)
        for each in error.errors:
            yield FieldError(each.pointer, each.code, each.detail)
