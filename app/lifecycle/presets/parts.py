"""The words that documents are written in: texts in two languages, comparisons, options."""

from typing import Any

Document = dict[str, Any]


def text(en: str, zh: str) -> dict[str, str]:
    return {"en": en, "zh": zh}


def compare(variable: str, op: str, value: float, **parameters: str) -> Document:
    """Compare a variable with a constant; its parameters are given by name."""
    return {"variable": variable, **parameters, "op": op, "value": value}


def had(kind: str) -> Document:
    """Ask for an interaction of a kind, ever."""
    return compare("interactions", ">=", 1, kind=kind)


def option(code: str, en: str, zh: str, when: Document | None = None) -> Document:
    """Return an action or a sub-stage; without `when` it fits everybody of its stage."""
    found: Document = {"code": code, "name": text(en, zh)}
    return found if when is None else {**found, "when": when}
