"""The presets there are, and which one a file is of."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from app.mappings.compiling import parse
from app.mappings.detection import Detected
from app.mappings.document import MOST_ROWS, MappingDocument
from app.mappings.faults import Fault, InvalidMapping
from app.mappings.presets import (
    fxiaoke,
    generic,
    generic_facts,
    hubspot,
    salesforce,
    shops,
    stripe,
    zoho,
)
from app.mappings.presets.evidence import has_several_lines
from app.mappings.presets.header import Header
from app.mappings.presets.lookalikes import refuse_look_alikes
from app.mappings.presets.names import named
from app.mappings.presets.preset import Parameter, Preset

PRESETS: Final[Mapping[str, Preset]] = {
    preset.name: preset
    for room in (zoho, fxiaoke, shops, stripe, hubspot, salesforce, generic, generic_facts)
    for preset in room.PRESETS
}
"""By name, such as `shopify_orders`, `stripe_refunds`, `zoho_contacts`."""


def answers_of(preset: Preset, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers to all parameters; raise `InvalidMapping` for those that are none."""
    faults = faults_of(preset, given)
    answers = {}
    for parameter in preset.parameters:
        value = given.get(parameter.name)
        if value is None:
            if parameter.required and parameter.default is None:
                at = f"/parameters/{parameter.name}"
                faults.append(Fault(at, "missing", parameter.question))
            value = parameter.default
        answers[parameter.name] = _plain(value)
    if faults:
        raise InvalidMapping(faults)
    return answers


def faults_of(preset: Preset, given: Mapping[str, Any]) -> list[Fault]:
    """Return why answers are none to the parameters of a preset."""
    known = {each.name: each for each in preset.parameters}
    faults = []
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            detail = f"is none of {preset.name}'s: {', '.join(near or known)}"
            faults.append(Fault(f"/parameters/{name}", "unknown_parameter", detail))
        elif value is not None and (fault := _fault_of(known[name], value)) is not None:
            faults.append(Fault(f"/parameters/{name}", "invalid", fault))
    return faults


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _fault_of(parameter: Parameter, value: Any) -> str | None:
    """Return why a value is no answer to a parameter."""
    if parameter.type == "choice":
        known = ", ".join(parameter.choices)
        return None if value in parameter.choices else f"must be one of {known}"
    fits, said = _FORMS.get(parameter.type, _TEXT)
    return None if fits(value) else said


def _are_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)


def _are_pairs(value: Any) -> bool:
    return isinstance(value, dict) and _are_texts([*value, *value.values()])


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MOST_ROWS


_TEXT: Final = (lambda value: isinstance(value, str), "must be a text")
_FORMS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "list": (_are_texts, "must be a list of texts"),
    "pairs": (_are_pairs, "must be an object of texts"),
    "boolean": (lambda value: isinstance(value, bool), "must be true or false"),
    "count": (_is_count, f"must be a whole number of 1 to {MOST_ROWS}"),
}


def preset_of(name: str) -> Preset:
    """Return a preset; raise `InvalidMapping` if there is none of that name."""
    found = PRESETS.get(name)
    if found is None:
        near = get_close_matches(str(name), PRESETS, 1) or sorted(PRESETS)
        raise InvalidMapping([Fault("/preset", "unknown_preset", f"is none of {', '.join(near)}")])
    return found


def build(preset: str, detected: Detected, parameters: Mapping[str, Any]) -> MappingDocument:
    """Return the mapping of a preset for a file.

    Raises `InvalidMapping` for a parameter that is missing, unknown or none (`/parameters/…`), and
    for a file that has not the columns; `UnreadableFile` (report_export) for a look-alike.
    """
    found = preset_of(preset)
    if not found.generic:
        refuse_look_alikes(detected)
    answers = answers_of(found, parameters)
    header = Header(detected)
    missing = [names[0] for names in found.needs if not _has(header, names, found, {})]
    if missing and not found.generic:
        detail = f"is not the layout of the file: it has no column {', '.join(map(repr, missing))}"
        raise InvalidMapping([Fault("/preset", "unknown_column", detail)])
    document = parse(found.build(header, answers))
    return document.model_copy(update={"preset": preset})


def _has(header: Header, names: tuple[str, ...], preset: Preset, said: Mapping[str, str]) -> bool:
    """Say whether one of some columns is there, or of a generic preset one of some fields."""
    if preset.generic:
        return any(named(header, field, said) is not None for field in names)
    return any(map(header.has, names))


def recognise(
    detected: Detected, columns: Mapping[str, str] | None = None
) -> list[tuple[Preset, float]]:
    """Return the presets that a file may be of, with their confidence, best first.

    Confidence is 1 where all is there that a layout needs and that is typical of it; generic ones,
    of which only names of columns are known, or said (field: column), have the more the more of
    them there are, at most .7.
    """
    header, said = Header(detected), columns or {}
    found = []
    for preset in PRESETS.values():
        if all(_has(header, names, preset, said) for names in preset.needs):
            typical = [header.has(name) for name in preset.typical] or [True]
            share = 0.5 + 0.5 * sum(typical) / len(typical)
            share = _by_names(preset, header, said) if preset.generic else share
            found.append((preset, round(share, 2)))
    return sorted(found, key=lambda each: -each[1])


def _by_names(preset: Preset, header: Header, said: Mapping[str, str]) -> float:
    share = 0.3 + 0.1 * len(preset.needs)
    if preset.name not in ("orders", "order_lines"):
        return share
    has_lines = has_several_lines(header, said) or named(header, "amount", said) is None
    return share if has_lines is (preset.name == "order_lines") else share - 0.2
