"""Groups of customers, added up from columns: of all, or of one part after another."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.deployment import Deployment
from app.errors import FieldError, ValidationFailed
from app.lifecycle.dated import Column, Floats, Ints
from app.lifecycle.evidence import shown as shown_values
from app.money import UNITS, to_amount
from app.services.runs.aggregate_rules import Dimension, Measure
from app.services.runs.query_columns import Found

MOST_GROUPS = 10_000
Key = tuple[str | float | bool | None, ...]


@dataclass
class Group:
    """Customers who are alike, and what is known of them: a number of each for each measure.

    Sums of money are in smallest units. `values` are those that quantiles are of, until they are.
    """

    customers: int
    known: list[int]
    sums: list[float]
    values: list[Floats | None]
    quantiles: list[list[float] | None] = field(default_factory=list)


Groups = dict[Key, Group]


def of(by: Sequence[Dimension], measures: Sequence[Measure], found: Found) -> Groups:
    """Return the groups of evaluated customers."""
    keys: list[Key] = list(zip(*(words_of(each, found) for each in by), strict=True))
    keys = keys or [()] * len(found)
    numbers: dict[Key, int] = {}
    place = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    check(len(numbers))
    n = len(numbers)
    customers = np.bincount(place, minlength=n).tolist()
    told = [_added(each, found, place, n, rule) for each, rule in _with_rules(measures)]
    return {
        key: Group(
            customers[number],
            [int(known[number]) for known, _, _ in told],
            [sums[number].item() for _, sums, _ in told],
            [None if values is None else values[number] for _, _, values in told],
        )
        for key, number in numbers.items()
    }


def check(groups: int) -> None:
    """Refuse more groups than anybody reads."""
    if groups > MOST_GROUPS:
        detail = f"makes more than {MOST_GROUPS} groups: take fewer or wider dimensions"
        raise ValidationFailed(errors=[FieldError("/by", "too_many_groups", detail)])


def _with_rules(measures: Sequence[Measure]) -> Iterable[tuple[Measure, int | None]]:
    """Yield measures, each with the place of its rule, if it has one."""
    place = 0
    for each in measures:
        yield each, None if each.when is None else place
        place += each.when is not None


def words_of(dimension: Dimension, found: Found) -> list[Any]:
    if dimension.term is None:
        return list(map(bool, found.shares[dimension.place].tolist()))
    column = found.values[dimension.term]
    if dimension.bands is None:
        words = shown_values(dimension.term, column)
        return [each if isinstance(each, (str, bool)) else None for each in words]
    numbers = as_numbers(column)
    places = np.digitize(numbers, dimension.bands)
    places[np.isnan(numbers)] = 0
    return [band_of(dimension, place) for place in places.tolist()]


def band_of(dimension: Dimension, place: int) -> float | None:
    """Return where a band begins, by its number from 1 on; 0 is below all."""
    assert dimension.bands is not None
    return dimension.bands[place - 1] if place else None


def as_numbers(column: Column) -> Floats:
    """Return the numbers of a column; NaN for whatever else there is."""
    if column.dtype != object:
        return np.asarray(column, dtype=np.float64)
    plain = (isinstance(each, (int, float)) and not isinstance(each, bool) for each in column)
    pairs = zip(column, plain, strict=True)
    return np.array([float(each) if is_number else np.nan for each, is_number in pairs], np.float64)


def _added(
    measure: Measure, found: Found, place: Ints, n: int, rule: int | None
) -> tuple[Ints, Column, list[Floats] | None]:
    """Return of each group how many are known, their sum, and the values where they are needed."""
    everybody = np.bincount(place, minlength=n)
    if rule is not None:
        held = np.bincount(place[found.shares[rule]], minlength=n)
        return everybody, held, None
    if measure.term is None:
        return everybody, everybody, None
    column = found.values[measure.term]
    if measure.kind == "n":
        known = is_known(column)
        counted = np.bincount(place[known], minlength=n)
        return counted, counted, None
    numbers = as_numbers(column)
    known = ~np.isnan(numbers)
    own, where = numbers[known], place[known]
    counted = np.bincount(where, minlength=n)
    if measure.kind == "quantiles":
        order = np.argsort(where, kind="stable")
        return counted, np.zeros(n), np.split(own[order], np.cumsum(counted)[:-1])
    sums: Column = np.zeros(n, dtype=np.int64 if measure.is_money else np.float64)
    np.add.at(sums, where, np.rint(own * UNITS).astype(np.int64) if measure.is_money else own)
    return counted, sums, None


def is_known(column: Column) -> Any:
    if column.dtype == object:
        return np.array([each is not None for each in column], dtype=np.bool_)
    return ~np.isnan(column)


def noted(groups: Groups) -> list[Any]:
    """Return groups as a part notes them."""
    return [
        [
            list(key),
            group.customers,
            group.known,
            group.sums,
            [None if each is None else base64.b64encode(each.astype("<f8").tobytes()).decode()
             for each in group.values],
        ]
        for key, group in groups.items()
    ]  # fmt: skip


def added(notes: Iterable[list[Any]]) -> Groups:
    """Return the groups of all parts."""
    pieces: dict[Key, list[Group]] = {}
    for note in notes:
        for key, customers, known, sums, values in note:
            own = [None if e is None else np.frombuffer(base64.b64decode(e), "<f8") for e in values]
            pieces.setdefault(tuple(key), []).append(Group(customers, known, sums, own))
    check(len(pieces))
    return {key: _joined(own) for key, own in pieces.items()}


def _joined(pieces: Sequence[Group]) -> Group:
    values = [
        None if each[0] is None else np.concatenate([own for own in each if own is not None])
        for each in zip(*(piece.values for piece in pieces), strict=True)
    ]
    return Group(
        sum(piece.customers for piece in pieces),
        [sum(each) for each in zip(*(piece.known for piece in pieces), strict=True)],
        [sum(each) for each in zip(*(piece.sums for piece in pieces), strict=True)],
        values,
    )


def shown(deployment: Deployment, measures: Sequence[Measure], groups: Groups) -> Mapping[str, Any]:
    """Return the groups as the API shows them, the largest first."""
    everybody = sum(group.customers for group in groups.values())
    in_order = sorted(groups.items(), key=lambda each: (-each[1].customers, json.dumps(each[0])))
    return {
        "customers": everybody,
        "groups": [
            {
                "by": list(key),
                "customers": group.customers,
                "measures": [
                    _shown(deployment, each, group, place, everybody)
                    for place, each in enumerate(measures)
                ],
            }
            for key, group in in_order
        ],
    }


def _shown(
    deployment: Deployment, measure: Measure, group: Group, place: int, everybody: int
) -> dict[str, Any]:
    known, total = group.known[place], group.sums[place]
    told: dict[str, Any] = {"known": known, "value": None, "money": None, "quantiles": None}
    if measure.kind == "quantiles":
        return {**told, "quantiles": _quantiles(measure, group, place)}
    if measure.kind == "n":
        told["value"] = known
    elif measure.kind == "share":
        own, whole = (group.customers, everybody) if measure.when is None else (
            total, group.customers,
        )  # fmt: skip
        told["value"] = own / whole
    elif known and not measure.is_money:
        told["value"] = total if measure.kind == "sum" else total / known
    elif known and measure.kind == "sum":
        told["money"] = deployment.money(to_amount(int(total)))
    elif known:
        told["money"] = deployment.computed_money(total / known / UNITS)
    return told


def _quantiles(measure: Measure, group: Group, place: int) -> list[float] | None:
    if group.quantiles:
        return group.quantiles[place]
    values = group.values[place]
    if values is None or not len(values):
        return None
    return [float(each) for each in np.quantile(values, measure.at)]
