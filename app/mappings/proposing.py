"""A mapping proposed for a file that has none; nothing is applied by it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from app.mappings.compiling import Context
from app.mappings.detection import Detected
from app.mappings.document import MappingDocument
from app.mappings.faults import InvalidMapping
from app.mappings.presets import evidence
from app.mappings.presets.header import Header
from app.mappings.presets.lookalikes import refuse_look_alikes
from app.mappings.presets.names import NAMES, named
from app.mappings.presets.preset import Parameter, Preset
from app.mappings.presets.registry import PRESETS, build, preset_of, recognise


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
    columns = given.get("columns")
    said = dict(columns) if isinstance(columns, dict) else {}
    if "amount" in given:  # the same for all, so that no column needs to have it
        said.setdefault("amount", "")
    found = recognise(detected, said)
    wanted = given.pop("preset", None)
    if wanted is not None:
        found = [each for each in found if each[0].name == wanted] or [(preset_of(wanted), 0.0)]
    if not found:
        return _unknown(detected)
    preset, confidence = found[0]
    header = Header(detected)
    told = dict(_told_by_values(preset, header, given, context.currency)) if preset.generic else {}
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


_GENERIC: Final = tuple(name for name, preset in PRESETS.items() if preset.generic)
_UNKNOWN: Final = Question(
    "preset",
    "Which facts does the file hold? No column tells whose they are, when, or how much: name "
    "the columns by a mapping of your own, or by `columns` of a generic preset.",
    required=True,
    assumed=None,
    choices=_GENERIC,
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
    told: Mapping[str, "_Told"],
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


def _is_worth_asking(parameter: Parameter, told: Mapping[str, "_Told"]) -> bool:
    """Say whether the file leaves it open; what is usual is told without being asked."""
    if parameter.column in NAMES and parameter.name not in told:
        return parameter.required
    return (
        parameter.required
        or parameter.name in told
        or parameter.type in ("choice", "currency")
        or parameter.column is not None
    )


class _Told(NamedTuple):
    """What values tell of a parameter."""

    value: Any = None
    """The only answer that fits; None if there is no one such."""
    is_open: bool = False
    """Whether somebody has to say, since several fit or none does."""
    choices: tuple[Any, ...] = ()


def _told_by_values(
    preset: Preset, header: Header, given: Mapping[str, Any], home: str
) -> Iterator[tuple[str, _Told]]:
    """Give what the values of columns tell, or leave open."""
    names = {parameter.name for parameter in preset.parameters} - given.keys()
    said = given.get("columns") or {}
    said = said if isinstance(said, dict) else {}
    times = evidence.times_of(header, ("occurred_at", "due_date", "set_at"), said)
    if "date_patterns" in names and times:
        counted, forms = evidence.counted_in(times), evidence.forms_of(times)
        if counted is not None:
            yield "date_patterns", _Told([counted])
        elif forms is not None:
            only = [*forms] if len(forms) == 1 else None
            yield "date_patterns", _Told(only, only is None, tuple([form] for form in forms))
    amounts = evidence.texts_of(header, ("amount", "unit_price", "outstanding"), said)
    if "decimal_sign" in names:
        signs = evidence.decimal_signs(amounts)
        yield "decimal_sign", _Told(signs[0] if len(signs) == 1 else None, len(signs) > 1)
    if "currency" in names and named(header, "currency", said) is None:
        yield "currency", _currency_of(amounts, home)
    if "round_amounts" in names and evidence.is_computed(amounts):
        yield "round_amounts", _Told(value=True)
    for name, is_open in (
        ("amount", not amounts), ("amount_is", evidence.repeats_its_total(header, said)),
    ):  # fmt: skip
        if name in names and is_open:
            yield name, _Told(is_open=True)
    statuses = evidence.texts_of(header, ("order_status",), said)
    if "kept_statuses" in names and statuses:
        yield "kept_statuses", _Told(is_open=evidence.may_be_no_sales(statuses))


def _currency_of(amounts: Sequence[str], home: str) -> _Told:
    """Give the currency whose sign amounts bear, unless that may be the deployment's."""
    currencies = evidence.currencies_of(amounts)
    if home in currencies:
        return _Told()
    only = currencies[0] if len(currencies) == 1 else None
    return _Told(only, len(currencies) > 1, currencies)
