"""How a text is laid out."""

from typing import Final, NamedTuple

from app.mappings.document import Form

SAMPLE_ROWS: Final = 200


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
