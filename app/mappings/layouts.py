"""How a text is laid out."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from app.mappings.document import Form
from app.mappings.faults import UnreadableFile

SAMPLE_ROWS: Final = 200
MOST_COLUMNS: Final = 5_000


class Layout(NamedTuple):
    """How a text is laid out, by its first part."""

    form: Form
    columns: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]
    delimiter: str | None = None
    list_at: str | None = None
    has_header: bool = False
    title: str = ""
    notes: tuple[str, ...] = ()


def refuse_too_many(columns: Sequence[str]) -> None:
    """Refuse a file with more columns than anybody names: it is none of records."""
    if len(columns) > MOST_COLUMNS:
        detail = f"it has {len(columns):,} columns, and may have {MOST_COLUMNS:,}"
        raise UnreadableFile("too_many_columns", detail)
