"""All variables by their names."""

from collections.abc import Iterable
from typing import Final

from app.lifecycle.variables import (
    interactions,
    model,
    money,
    profile,
    purchases,
    scores,
    segments,
    stage,
)
from app.lifecycle.variables.definition import Source, Term, Variable

VARIABLES: Final[dict[str, Variable]] = {
    row.name: row
    for rows in (
        purchases.ROWS, model.ROWS, money.ROWS, interactions.ROWS, profile.ROWS, stage.ROWS,
        scores.ROWS, segments.ROWS,
    )
    for row in rows
}  # fmt: skip


def sources(terms: Iterable[Term]) -> frozenset[Source]:
    """Return what has to be read for the values of terms; purchase days are read always."""
    found: set[Source] = {"purchases"}
    for term in terms:
        found |= term.needs
    return frozenset(found)


def kinds_of(terms: Iterable[Term]) -> frozenset[str] | None:
    """Return the kinds of interactions that terms look at; None for all of them."""
    found: set[str] = set()
    for term in terms:
        if term.needs & {"interactions", "answers"}:
            if term.kinds is None:
                return None
            found |= term.kinds
    return frozenset(found)
