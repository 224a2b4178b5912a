"""The values that decided, as evidence and explanations show them."""

import json
from collections.abc import Mapping

import numpy as np

from app.lifecycle.dated import Column, Ints
from app.lifecycle.variables.definition import Term


def documents(values: Mapping[Term, Column]) -> list[str]:
    """Return the values of each row as JSON; rows that are alike are written once."""
    terms = sorted(values, key=lambda term: (len(term.key.encode()), term.key.encode()))
    names = [json.dumps(term.key, ensure_ascii=False).replace("%", "%%") for term in terms]
    form = "{" + ", ".join(f"{name}: %s" for name in names) + "}"
    written = [_as_json(term, values[term]) for term in terms]
    kinds = np.zeros(0 if not written else len(written[0][1]), np.int64)
    for texts, codes in written:
        _, kinds = np.unique(kinds * len(texts) + codes, return_inverse=True)
    _, first = np.unique(kinds, return_index=True)
    parts = ([texts[code] for code in codes[first].tolist()] for texts, codes in written)
    documents = [form % row for row in zip(*parts, strict=True)]
    return [documents[kind] for kind in kinds.tolist()]


def shown(term: Term, column: Column) -> list[object]:
    """Return values as evidence and explanations show them; None for what is not known."""
    if column.dtype == object:
        return [list(value) if isinstance(value, tuple) else value for value in column]
    levels = term.variable.levels
    return [
        None if value != value else levels[int(value)] if levels else value  # noqa: PLR0124
        for value in column.tolist()
    ]


def _as_json(term: Term, column: Column) -> tuple[list[str], Ints]:
    """Return the distinct values of a column as JSON, and which of them each row has."""
    if column.dtype != object:
        values, codes = np.unique(column, return_inverse=True)
        if term.variable.levels is None:
            told = ["null" if value != value else f"{value:.10g}" for value in values.tolist()]  # noqa: PLR0124
            return told, codes
        return [json.dumps(value, ensure_ascii=False) for value in shown(term, values)], codes
    texts: dict[str, int] = {}
    written = [json.dumps(value, ensure_ascii=False) for value in shown(term, column)]
    found = [texts.setdefault(text, len(texts)) for text in written]
    return list(texts), np.array(found, dtype=np.int64)
