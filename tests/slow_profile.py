"""What holds of a profile, slowly: each cell and instant by itself, from the list of all writes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

EVER = datetime(1, 1, 1, tzinfo=UTC)
Cells = dict[str, Any]
"""By field of the profile, or `attributes.` and a key; None where something was taken away."""


class Said(NamedTuple):
    """One write: what it said, since when that is true (None: not stated), when it was known."""

    values: Cells
    since: datetime | None = None
    known: datetime = EVER
    source: str = "default"


def since(said: Sequence[Said], number: int, cell: str) -> datetime:
    """Return since when a write's value of a cell is true."""
    stated = said[number].since
    if stated is not None:
        return stated
    is_first = not any(cell in each.values for each in said[:number])
    return EVER if is_first else said[number].known


def value(said: Sequence[Said], cell: str, t: datetime, known: datetime | None = None) -> Any:
    """Return the value of a cell at t by the writes known: the latest, of these the last told."""
    found = [
        (since(said, number, cell), number)
        for number, each in enumerate(said)
        if cell in each.values and (known is None or each.known <= known)
    ]
    so_far = [each for each in found if each[0] <= t]
    return said[max(so_far)[1]].values[cell] if so_far else None


def cells(said: Sequence[Said]) -> set[str]:
    return {cell for each in said for cell in each.values}


def instants(said: Sequence[Said]) -> set[datetime]:
    """Return all instants since which something is true."""
    return {
        since(said, number, cell) for number, each in enumerate(said) for cell in each.values
    } - {EVER}


def held(said: Sequence[Said], t: datetime, known: datetime | None = None) -> Cells:
    """Return the cells that have a value at t."""
    found = {cell: value(said, cell, t, known) for cell in cells(said)}
    return {cell: one for cell, one in found.items() if one is not None}


def profile(found: Cells) -> dict[str, Any]:
    """Return cells as a profile, with attributes as a document."""
    inside = {cell.split(".", 1)[1]: v for cell, v in found.items() if "." in cell}
    return {cell: v for cell, v in found.items() if "." not in cell} | {"attributes": inside}


def cells_of(profile: Mapping[str, Any]) -> Cells:
    """Return the cells of a profile that have a value."""
    found = {name: each for name, each in profile.items() if name != "attributes"}
    found |= {f"attributes.{key}": each for key, each in profile.get("attributes", {}).items()}
    return {cell: each for cell, each in found.items() if each is not None}
