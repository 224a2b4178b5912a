"""What is said of faulty expressions: what is there instead, and what may have been meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from app.lifecycle.variables.definition import Variable
from app.lifecycle.variables.parameters import MAX_NAME
from app.lifecycle.variables.registry import VARIABLES

MAX_NUMBER: Final = 1e15


def type_of(value: Any) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number" if abs(value) <= MAX_NUMBER else None
    return "text" if isinstance(value, str) else None


def no_segment(code: Any, known: Iterable[str]) -> str:
    """Say that a code is none of a segment, and which may be meant."""
    if not isinstance(code, str):
        return "must be the code of a segment; see GET /v1/segments"
    near = get_close_matches(code[:MAX_NAME], list(known), 1)
    meant = f"is {near[0]} meant?" if near else "see GET /v1/segments"
    return f"there is no segment {code[:50]!r}; {meant}"


def unknown(name: Any) -> str:
    """Say that a name is none of a variable, and which may be meant."""
    if not isinstance(name, str):
        return "must be the name of a variable; see GET /v1/variables"
    near = get_close_matches(name[:MAX_NAME], VARIABLES, 1)
    meant = f"is {near[0]} meant?" if near else "see GET /v1/variables"
    return f"there is no variable {name[:50]!r}; {meant}"


def expected(variable: Variable, value: Any) -> str:
    """Say what a variable is compared with, instead of what was given."""
    kinds = {
        "number": "a number of at most 15 digits",
        "text": "a text",
        "level": f"one of {', '.join(variable.choices or ())}",
        "boolean": "true or false",
        "any": "a number of at most 15 digits, a text, true or false",
    }
    said = f"{variable.name} is compared with {kinds[variable.type]}"
    if value is None:
        return f"{said}; known asks whether there is a value"
    return f"{said}; in takes a list" if isinstance(value, list) else said


def escaped(step: str) -> str:
    """Return a step of a JSON pointer."""
    return step.replace("~", "~0").replace("/", "~1")
