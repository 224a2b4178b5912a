"""Functions of the purchases themselves: those of a window, a category, a product, a channel."""

import numpy as np

from app.lifecycle.dated import Floats, Ints
from app.lifecycle.records import UNITS, Inputs, PurchaseFilter
from app.lifecycle.variables.definition import Term

NARROWED = ("category", "product", "channel", "days")
"""The parameters that say which purchases count."""


def filter_of(term: Term) -> PurchaseFilter:
    """Return which purchases a term looks at, apart from its window."""
    return PurchaseFilter(*(term.parameter(name) for name in PurchaseFilter._fields))


def _after(inputs: Inputs, term: Term) -> Ints | None:
    """Return the last day before the window."""
    return None if term.days is None else inputs.day - term.days


def purchase_days_within(inputs: Inputs, term: Term) -> Floats:
    days = inputs.records.purchases[filter_of(term)].days
    return days.within(inputs.owner, inputs.at, _after(inputs, term)).astype(np.float64)


def revenue_within(inputs: Inputs, term: Term) -> Floats:
    value = inputs.records.purchases[filter_of(term)].value
    return value.within(inputs.owner, inputs.at, _after(inputs, term)) / UNITS
