"""Which rules of a policy can decide at all.

Comparisons with constants split the values of each variable into few regions. One value of each
region stands for all of it, so that trying their combinations proves that a rule is never reached;
it does not prove the contrary, as variables depend on each other in ways not looked at here.
"""

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from app.lifecycle.expressions import (
    All,
    Any,
    Bools,
    Column,
    Compare,
    Expression,
    Not,
    comparisons,
)
from app.lifecycle.policy import Policy
from app.lifecycle.variables import LEVELS, Term

MAX_COMBINATIONS = 300_000
MAX_LINKED = 6
"""More variables that are compared with each other have more combinations than are tried."""
_OTHER = "\0"
"""A text that no rule names."""


def deciding(policy: Policy) -> list[bool] | None:
    """Return for each rule whether it may decide; None if there is too much to try."""
    found = [each for rule in policy.rules for each in comparisons(rule.when)]
    linked = _linked(policy.terms, found)
    if any(len(together) > MAX_LINKED for together in linked.values()):
        return None
    regions = {term: _regions(term, linked[term], found) for term in policy.terms}
    n = math.prod(len(region) for region in regions.values())
    if n > MAX_COMBINATIONS:
        return None
    grid = np.meshgrid(*(np.arange(len(region)) for region in regions.values()), indexing="ij")
    places = {term: place.ravel() for term, place in zip(regions, grid, strict=True)}
    open_ = np.ones(n, dtype=bool)
    reached = []
    for rule in policy.rules:
        holds = open_ & _holds(rule.when, regions, places, n)
        reached.append(bool(holds.any()))
        open_ &= ~holds
    return reached


def _holds(
    when: Expression, regions: Mapping[Term, Column], places: Mapping[Term, Column], n: int
) -> Bools:
    """Judge an expression on all combinations; each comparison, once for each region."""
    if isinstance(when, Not):
        return ~_holds(when.part, regions, places, n)
    if isinstance(when, (All, Any)):
        join = np.logical_and if isinstance(when, All) else np.logical_or
        found = np.full(n, isinstance(when, All))
        for part in when.parts:
            join(found, _holds(part, regions, places, n), out=found)
        return found
    if isinstance(when.value, Term):
        two = {term: regions[term][places[term]] for term in (when.term, when.value)}
        return when.holds(two, n)
    region = regions[when.term]
    return when.holds({when.term: region}, len(region))[places[when.term]]


def _linked(terms: tuple[Term, ...], found: list[Compare]) -> dict[Term, set[Term]]:
    """Return the terms that each is compared with, directly or by way of others, and itself."""
    linked = {term: {term} for term in terms}
    for each in found:
        if isinstance(each.value, Term) and linked[each.term] is not linked[each.value]:
            small, large = sorted((linked[each.term], linked[each.value]), key=len)
            large |= small
            linked.update(dict.fromkeys(small, large))
    return linked


def _regions(term: Term, linked: set[Term], found: list[Compare]) -> Column:
    """Return a value for each region that the comparisons tell apart, and the unknown one."""
    if term.name in LEVELS:
        return np.array([*range(len(LEVELS[term.name])), np.nan])
    constants: list[object] = []
    for each in found:
        if each.term in linked and each.op != "known" and not isinstance(each.value, Term):
            constants += each.value if isinstance(each.value, tuple) else [each.value]
    numbers = {each for each in constants if isinstance(each, float)}
    if term.variable.type == "number":
        return _of_numbers(term, linked, numbers)
    others = {each for each in constants if not isinstance(each, float)}
    told_apart = _of_numbers(term, linked, numbers)[:-1] if numbers else ()
    free = [*others, *told_apart, _OTHER, None]
    column = np.empty(len(free), dtype=object)
    column[:] = free
    return column


def _of_numbers(term: Term, linked: set[Term], constants: set[float]) -> Column:
    """Return as many values between any two constants as there are variables to differ there."""
    size = len(linked)
    if any(each.variable.unit == "count" for each in linked):
        bounds = sorted({0.0, *constants})
        for low, high in pairwise([*bounds, math.inf]):
            whole = (math.floor(low) + step for step in range(1, size + 1))
            constants = constants | {0.0} | {float(each) for each in whole if each < high}
    if term.variable.unit == "count":
        return np.array(sorted({each for each in constants if each >= 0 and each == int(each)}))
    points = sorted(constants)
    if not points:
        return np.array([*range(size), np.nan])
    found = {points[0] - step for step in range(size + 1)}
    found |= {points[-1] + step for step in range(size + 1)}
    for low, high in pairwise(points):
        found |= {low + (high - low) * step / (size + 1) for step in range(size + 1)}
    return np.array([*sorted(found), np.nan])
