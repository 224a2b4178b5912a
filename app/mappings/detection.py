"""What a file is, by its first bytes; whatever cannot be known is said, not guessed."""

from dataclasses import dataclass

from app.mappings.compression import Compression, inflate_head
from app.mappings.csv_layouts import csv_layout
from app.mappings.document import Encoding, FileForm, Form
from app.mappings.encodings import Decoder, encoding_of
from app.mappings.faults import UnreadableFile
from app.mappings.json_layouts import json_layout

HEAD_BYTES = 262_144
"""How many of the first bytes are enough; fewer do where the file is smaller."""


@dataclass(frozen=True)
class Detected:
    """What a file is."""

    compression: Compression
    encoding: Encoding
    bom: bool
    encoding_certain: bool
    """False where other encodings fit the first bytes too: worth a question."""
    form: Form
    delimiter: str | None
    """Of CSV."""
    list_at: str | None
    """Of a JSON answer: JSON pointer to the list of objects."""
    columns: tuple[str, ...]
    """Names of the header, or those of the first objects, `owner.name` for what is deeper."""
    has_header: bool
    """Of CSV: whether the first line is one."""
    sample: tuple[tuple[str, ...], ...]
    """The first rows, as texts in the order of `columns`; at most 200."""
    notes: tuple[str, ...] = ()
    """What was seen that one should know, in words."""
    title: str = ""
    """Of CSV: the lines above the header, which are passed over as was said."""


def detect(head: bytes, said: FileForm | None = None) -> Detected:
    """Return what a file is by its first bytes; what is `said` is not looked for.

    Raises
    ------
    UnreadableFile
        empty, binary, compression, missing_header, double_header, title_lines, wrong_delimiter,
        json, error_answer.
    """
    said = said or FileForm()
    compression, head = inflate_head(head, HEAD_BYTES)
    encoded = encoding_of(head, said.encoding)
    text = Decoder(encoded.encoding).decode(head)
    if not text.strip():
        raise UnreadableFile("empty", "the file holds nothing")
    begins = text.lstrip()[:1]
    is_json = said.form in ("json", "ndjson") or (said.form is None and begins in "{[")
    whole = len(head) < HEAD_BYTES
    layout = json_layout(text, said) if is_json else csv_layout(text, said, whole=whole)
    notes = layout.notes
    if not encoded.certain:
        notes = (f"the text seems to be {encoded.encoding}; it may be another encoding", *notes)
    return Detected(
        compression,
        encoded.encoding,
        encoded.bom,
        encoded.certain,
        layout.form,
        layout.delimiter,
        layout.list_at,
        layout.columns,
        layout.has_header,
        layout.sample,
        notes,
        layout.title,
    )


def detect_below_title(head: bytes, said: FileForm | None = None) -> tuple[Detected, FileForm]:
    """Return what a file is, with its header below a title if it seems to stand there.

    That is to be asked: `skip_lines` of the form that is returned says how many lines it takes.
    """
    said = said or FileForm()
    try:
        return detect(head, said), said
    except UnreadableFile as error:
        if not error.title_lines:
            raise
        said = said.model_copy(update={"skip_lines": error.title_lines})
    return detect(head, said), said
