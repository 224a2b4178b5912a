"""Which rules of a policy can decide at all.

Comparisons with constants split the values of each variable into few regions. One value of each
region stands for all of it, so that trying their combinations proves that a rule is never reached;
it does not prove the contrary, as variables depend on each other in ways not looked at here.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import combinations, pairwise

import numpy as np

from app.lifecycle.dated import Bools, Column, objects
from app.lifecycle.expressions import (
    AllOf,
    AnyOf,
    Compare,
    Expression,
    Not,
    comparisons,
)
from app.lifecycle.policy import Policy
from app.lifecycle.variables.definition import Term, Variable

MAX_COMBINATIONS = 300_000
MAX_LINKED = 6
"""More variables that are compared with each other have more combinations than are tried."""
MAX_CONTAINED = 10
"""As have more texts that one list may contain."""
IMPOSSIBLE = "its comparisons never hold together, so no customer can get here"
COVERED = "wherever it holds an earlier rule does, so no customer can get here"
_OTHER = "\0"
"""A text that no rule names."""


def deciding(policy: Policy) -> list[str | None]:
    """Return for each rule why it never decides; None if it may, or there is too much to try."""
    found = [comparison for rule in policy.rules for comparison in comparisons(rule.when)]
    linked = _linked(policy.terms, found)
    if any(len(together) > MAX_LINKED for together in linked.values()) or any(
        len(_contained(term, found)) > MAX_CONTAINED for term in policy.terms
    ):
        return [None] * len(policy.rules)
    regions = {term: _regions(term, linked[term], found) for term in policy.terms}
    n = math.prod(len(region) for region in regions.values())
    if n > MAX_COMBINATIONS:
        return [None] * len(policy.rules)
    grid = np.meshgrid(*(np.arange(len(region)) for region in regions.values()), indexing="ij")
    places = {term: place.ravel() for term, place in zip(regions, grid, strict=True)}
    open_ = np.ones(n, dtype=bool)
    reasons: list[str | None] = []
    for rule in policy.rules:
        holds = _holds(rule.when, regions, places, n)
        if (holds & open_).any():
            reasons.append(None)
        else:
            reasons.append(COVERED if holds.any() else IMPOSSIBLE)
        open_ &= ~holds
    return reasons


def _holds(
    when: Expression, regions: Mapping[Term, Column], places: Mapping[Term, Column], n: int
) -> Bools:
    """Judge an expression on all combinations; each comparison, once for each region."""
    if isinstance(when, Not):
        return ~_holds(when.part, regions, places, n)
    if isinstance(when, (AllOf, AnyOf)):
        join = np.logical_and if isinstance(when, AllOf) else np.logical_or
        found = np.full(n, isinstance(when, AllOf))
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
    if term.variable.levels is not None:
        return np.array([*range(len(term.variable.levels)), np.nan])
    constants: list[object] = []
    for each in found:
        if each.term in linked and each.op != "known" and not isinstance(each.value, Term):
            constants += each.value if isinstance(each.value, tuple) else [each.value]
    numbers = {constant for constant in constants if isinstance(constant, float)}
    if term.variable.type == "number":
        return _of_numbers(term, linked, numbers)
    others = {constant for constant in constants if not isinstance(constant, float)}
    told_apart = _of_numbers(term, linked, numbers)[:-1] if numbers else ()
    if term.variable.values is None:
        free = [*others, *told_apart, _OTHER, *_lists(term, found), None]
    else:
        free = [*term.variable.values, None]
    return objects(free)


def _contained(term: Term, found: list[Compare]) -> list[object]:
    """Return the texts that lists are asked for."""
    return list(dict.fromkeys(c.value for c in found if c.term == term and c.op == "contains"))


def _lists(term: Term, found: list[Compare]) -> Iterator[tuple[object, ...]]:
    """Yield a list for each choice of the texts that it may contain."""
    if term.variable.type == "any":
        texts = _contained(term, found)
        for size in range(len(texts) + 1):
            yield from combinations(texts, size)


def _of_numbers(term: Term, linked: set[Term], given: set[float]) -> Column:
    """Return as many values between any two bounds as there are variables to differ there."""
    size = len(linked)
    variables = [each.variable for each in linked]
    bounds = given.union(*(_ends(variable) for variable in variables))
    if any(variable.whole for variable in variables):
        least = min(bounds, default=0.0)
        bounds = bounds | {float(math.ceil(least) - step) for step in range(1, size + 1)}
        for low, high in pairwise([*sorted(bounds), math.inf]):
            whole = (math.floor(low) + step for step in range(1, size + 1))
            bounds = bounds | {float(each) for each in whole if each < high}
    unknown = [] if term.variable.always_known else [np.nan]
    if term.variable.whole:
        return np.array([*_within(term, {each for each in bounds if each == int(each)}), *unknown])
    points = sorted(bounds)
    if not points:
        return np.array([*range(size), *unknown])
    found = {points[0] - step for step in range(size + 1)}
    found |= {points[-1] + step for step in range(size + 1)}
    for low, high in pairwise(points):
        found |= {low + (high - low) * step / (size + 1) for step in range(size + 1)}
    if size == 1:  # Where no constant lies at an end, what is beside it stands for it.
        found -= _ends(term.variable) - given
    return np.array([*_within(term, found), *unknown])


def _ends(variable: Variable) -> set[float]:
    return {float(each) for each in (variable.minimum, variable.maximum) if each is not None}


def _within(term: Term, values: set[float]) -> list[float]:
    low, high = term.variable.minimum, term.variable.maximum
    return sorted(
        each for each in values if (low is None or low <= each) and (high is None or each <= high)
    )
