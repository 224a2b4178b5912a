"""Counts of a change of policy: who is where, who would be where, and whose override is lost."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from heapq import nlargest
from typing import Any

from app.deployment import Deployment
from app.lifecycle.policy import Policy
from app.money import to_amount, to_cents
from app.schemas.common.types import format_amount
from app.services.customer_base.populations import Population

Cell = tuple[str, str]
Cells = dict[Cell, list[Any]]
"""By stages from and to: customers, revenue in smallest units, CLV or None, samples."""
LISTED = 1_000
"""Lost overrides that are told one by one."""
_SAMPLES = 5


def is_transition(policy: Policy, cell: Cell) -> bool:
    """Whether customers of a cell change stage: whose stage is called otherwise do not."""
    before, after = cell
    return policy.maps.get(before, before) != after


def count(population: Population, stages: Iterable[Cell], values: Sequence[float] | None) -> Cells:
    """Count customers by their stages before and after, and what they are worth."""
    cells: Cells = {}
    revenues = population.summaries.column("revenue").tolist()
    for row, cell in enumerate(stages):
        revenue = revenues[row]
        counted = cells.setdefault(cell, [0, 0, None if values is None else 0.0, []])
        counted[0] += 1
        counted[1] += revenue
        counted[3].append((revenue, population.customer_ids[row]))
        if values is not None:
            counted[2] += values[row]
    for counted in cells.values():
        counted[3] = nlargest(_SAMPLES, counted[3])
    return cells


def listed(cells: Cells) -> list[list[Any]]:
    """Return cells as a part notes them."""
    return [[*cell, *counted] for cell, counted in sorted(cells.items())]


def add_up(outcomes: Iterable[Mapping[str, Any]]) -> Cells:
    """Add up the counts of parts."""
    cells: Cells = {}
    for outcome in outcomes:
        for before, after, customers, revenue, clv, samples in outcome["cells"]:
            counted = cells.setdefault((before, after), [0, 0, clv and 0.0, []])
            counted[0] += customers
            counted[1] += revenue
            counted[2] = None if clv is None else (counted[2] or 0.0) + clv
            counted[3] = nlargest(_SAMPLES, [*counted[3], *map(tuple, samples)])
    return cells


def matrix(deployment: Deployment, policy: Policy, cells: Cells) -> list[dict[str, Any]]:
    """Return cells as the API shows them: transitions first, then renamed, the largest first."""
    order = sorted(
        cells.items(),
        key=lambda item: (
            not is_transition(policy, item[0]), item[0][0] == item[0][1], -item[1][0], item[0],
        ),
    )  # fmt: skip
    return [
        {
            "from": before,
            "to": after,
            "renamed": before != after and not is_transition(policy, (before, after)),
            "customers": customers,
            "revenue": _money(deployment, to_amount(revenue)),
            "clv": None if clv is None else _money(deployment, to_cents(clv)),
            "samples": [customer_id for _, customer_id in samples],
        }
        for (before, after), (customers, revenue, clv, samples) in order
    ]


def _money(deployment: Deployment, amount: Decimal) -> dict[str, Any]:
    """Return an amount as it is kept in the result of an operation, which is JSON."""
    return {**deployment.money(amount), "amount": format_amount(amount)}


def totals(policy: Policy, cells: Cells, outcomes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many were counted, changed stage, stayed in a renamed one, or lost an override."""
    sizes = {cell: counted[0] for cell, counted in cells.items()}
    transitions = sum(n for cell, n in sizes.items() if is_transition(policy, cell))
    elsewhere = sum(n for (before, after), n in sizes.items() if before != after)
    notes = [outcome["lost"] for outcome in outcomes if "lost" in outcome]
    lost = [each for note in notes for each in note["items"]]
    return {
        "customers": sum(sizes.values()),
        "transitions": transitions,
        "renamed": elsewhere - transitions,
        "lost_overrides": {
            "customers": sum(note["customers"] for note in notes),
            "items": [
                {"customer_id": customer_id, "stage": stage}
                for customer_id, stage in sorted(lost)[:LISTED]
            ],
        },
    }


def noted(lost: Mapping[str, str]) -> dict[str, Any]:
    """Return lost overrides as a part notes them."""
    return {"customers": len(lost), "items": sorted(lost.items())[:LISTED]}
