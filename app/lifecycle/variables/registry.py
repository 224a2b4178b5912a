"""All variables by their names."""

from collections.abc import Iterable
from typing import Final

from app.lifecycle.variables import interactions, model, money, profile, purchases, stage
from app.lifecycle.variables.definition import Source, Term, Variable

VARIABLES: Final[dict[str, Variable]] = {
    row.name: row
    for rows in (
        purchases.ROWS, model.ROWS, money.ROWS, interactions.ROWS, profile.ROWS, stage.ROWS,
    )
    for row in rows
}  # fmt: skip


def sources(terms: Iterable[Term]) -> frozenset[Source]:
    """Return what has to be read for the values of terms; purchase days are read always."""
    found: set[Source] = {"purchases"}
    for term in terms:
        found |= term.needs
    return frozenset(found)
