"""A mapping proposed for a file that has none; nothing is applied by it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from app.mappings.compiling import Context
from app.mappings.detection import Detected, detect_below_title
from app.mappings.document import FileForm, MappingDocument
from app.mappings.faults import Fault, InvalidMapping
from app.mappings.presets import evidence
from app.mappings.presets.header import Header
from app.mappings.presets.lookalikes import refuse_look_alikes
from app.mappings.presets.names import NAMES, named
from app.mappings.presets.preset import Parameter, Preset
from app.mappings.presets.registry import PRESETS, build, faults_of, preset_of, recognise
from app.mappings.presets.told import Told, told_by_values


@dataclass(frozen=True)
class Question:
    """What the file does not say and somebody must."""

    parameter: str
    """The parameter of the preset that answers it."""
    text: str
    """The question, in English."""
    required: bool
    """Whether there is no mapping without an answer."""
    assumed: Any
    """What the proposal has now; None where nothing can be assumed."""
    choices: tuple[Any, ...]
    """Likely answers; empty: any."""


_OF_CUSTOMERS: Final = (
    "customer_id", "birth_date", "first_contact_at", "phone", "name",
)  # fmt: skip


@dataclass(frozen=True)
class Proposal:
    """A mapping that seems to fit."""

    preset: str | None
    """The preset it is made by; None: no layout was recognised."""
    confidence: float
    """0 to 1: how much of the layout was recognised; of names of columns alone at most .7."""
    document: MappingDocument | None
    """None while a required question is open."""
    questions: tuple[Question, ...]
    unrecognised: tuple[str, ...]
    """Columns that it makes nothing of, but attributes."""
    others: tuple[tuple[str, float], ...] = ()
    """Other presets that may be meant, with their confidence."""


def propose_for(
    head: bytes, said: FileForm, context: Context, parameters: Mapping[str, Any] | None = None
) -> tuple[Proposal, Detected]:
    """Return a mapping for a file by its first bytes, and what the file is.

    Where its header seems to stand below a title, the mapping says so, and it is asked.
    """
    detected, form = detect_below_title(head, said)
    found = propose(detected, context, parameters)
    if form != said:
        asked = replace(_TITLE, assumed=form.skip_lines, choices=(form.skip_lines, 0))
        found = replace(found, questions=(asked, *found.questions))
    if found.document is not None:
        file = found.document.file.model_copy(update=form.model_dump(exclude_none=True))
        document = found.document.model_copy(update={"file": file})
        found = replace(found, document=document)
    return found, detected


def propose(
    detected: Detected, context: Context, parameters: Mapping[str, Any] | None = None
) -> Proposal:
    """Return a mapping for a file, with the questions that remain.

    `parameters` are answers; `preset` among them names the layout. What can be read off the values
    without a doubt is assumed, and asked all the same.

    Raises
    ------
    UnreadableFile
        report_export: it looks like a known layout and is another, with a hint what to export.
    InvalidMapping
        A parameter is no answer; pointers are `/parameters/<name>`.
    """
    given = dict(parameters or {})
    refuse_look_alikes(detected)
    said = _said(given.get("columns"))
    if "amount" in given:  # the same for all, so that no column needs to have it
        said.setdefault("amount", "")
    found = recognise(detected, said)
    wanted = given.pop("preset", None)
    if wanted is not None:
        found = [each for each in found if each[0].name == wanted] or [(_preset_of(wanted), 0.0)]
    if not found:
        return _unknown(detected)
    preset, confidence = found[0]
    if faults := faults_of(preset, given):
        raise InvalidMapping(faults)
    header = Header(detected)
    told = dict(told_by_values(preset, header, given, context.currency)) if preset.generic else {}
    assumed = {name: each.value for name, each in told.items() if each.value is not None}
    if preset.generic and context.zone is not None:
        assumed["time_zone"] = context.zone
    questions = tuple(_questions(preset, header, assumed, given, told, context))
    document = None
    try:
        document = build(preset.name, detected, {**assumed, **given})
    except InvalidMapping as invalid:
        if any(fault.code != "missing" for fault in invalid.faults):
            raise
    if wanted is None and preset.name == "customers" and _may_be_purchases(header):
        questions = (_OF_WHAT, *questions)
    if any(question.required for question in questions):
        document = None
    return Proposal(
        preset.name,
        confidence,
        document,
        questions,
        () if document is None else _unrecognised(detected, document),
        tuple((each.name, share) for each, share in found[1:4]),
    )


def _said(columns: Any) -> dict[str, str]:
    """Return which columns are said to be which fields, as far as that is an answer."""
    given = columns if isinstance(columns, dict) else {}
    return {field: name for field, name in given.items() if isinstance(name, str)}


def _preset_of(name: Any) -> Preset:
    if not isinstance(name, str):
        raise InvalidMapping([Fault("/parameters/preset", "invalid", "must be a text")])
    try:
        return preset_of(name)
    except InvalidMapping as invalid:
        raise InvalidMapping(
            [fault._replace(pointer="/parameters/preset") for fault in invalid.faults]
        ) from None


_GENERIC: Final = tuple(name for name, preset in PRESETS.items() if preset.generic)
_UNKNOWN: Final = Question(
    "preset",
    "Which facts does the file hold? No column tells whose they are, when, or how much: name "
    "the columns by a mapping of your own, or by `columns` of a generic preset.",
    required=True,
    assumed=None,
    choices=_GENERIC,
)
_TITLE: Final = Question(
    "/file/skip_lines",
    "How many lines stand above the header, such as the title of a report? They are passed over.",
    required=False,
    assumed=None,
    choices=(),
)
_OF_WHAT: Final = Question(
    "preset",
    "Customers, or purchases? Columns of days and of amounts are there whose names tell nothing: "
    "name them by `columns` of `orders` (occurred_at, amount), or say that it is `customers`.",
    required=True,
    assumed=None,
    choices=_GENERIC,
)


def _may_be_purchases(header: Header) -> bool:
    """Say whether a file whose names tell customers alone has purchases, too."""
    found = (named(header, field, {}) for field in _OF_CUSTOMERS)
    return evidence.may_be_purchases(header, [name for name in found if name is not None])


def _unknown(detected: Detected) -> Proposal:
    return Proposal(None, 0.0, None, (_UNKNOWN,), detected.columns)


def _unrecognised(detected: Detected, document: MappingDocument) -> tuple[str, ...]:
    text = document.model_dump_json()
    return tuple(name for name in detected.columns if f'"{name}"' not in text)


def _questions(
    preset: Preset,
    header: Header,
    assumed: Mapping[str, Any],
    given: Mapping[str, Any],
    told: Mapping[str, Told],
    context: Context,
) -> Iterator[Question]:
    for parameter in preset.parameters:
        if parameter.name in given or not _is_worth_asking(parameter, told):
            continue
        value = assumed.get(parameter.name, parameter.default)
        required = parameter.required and value is None
        choices: tuple[Any, ...] = parameter.choices
        if parameter.column is not None:
            choices = header.values(*_columns_of(parameter.column, header, given))
        elif parameter.type == "zone" and context.zone is not None:
            choices = (context.zone,)
        if (values := told.get(parameter.name)) is not None:
            required = required or values.is_open
            choices = values.choices or choices
        yield Question(parameter.name, parameter.question, required, value, choices)


def _columns_of(column: str, header: Header, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return where likely answers stand: in a column, or in the one that is a field."""
    said = given.get("columns") or {}
    found = named(header, column, said) if column in NAMES else None
    return (column,) if found is None else (found,)


def _is_worth_asking(parameter: Parameter, told: Mapping[str, Told]) -> bool:
    """Say whether the file leaves it open; what is usual is told without being asked."""
    if parameter.column in NAMES and parameter.name not in told:
        return parameter.required
    return (
        parameter.required
        or parameter.name in told
        or parameter.type in ("choice", "currency")
        or parameter.column is not None
    )
