"""What to do next with customers: the actions of their stages whose conditions hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.days import AsOf
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle.expressions import terms
from app.lifecycle.policy import Option, Policy
from app.services.customer_base.populations import Population
from app.services.stages import rule_records
from app.services.stages.placement import Placement


@dataclass(frozen=True, slots=True)
class Fitting:
    """What fits a customer of a stage: the actions, and the sub-stage, the first that holds."""

    actions: list[dict[str, Any]]
    sub_stage: str | None


async def fitting(
    session: ReadSession,
    deployment: Deployment,
    policy: Policy,
    population: Population,
    stages: Sequence[str],
    as_of: AsOf,
) -> list[Fitting]:
    """Return what fits each customer, who is in one of the stages of the policy."""
    described = {stage: policy.stage(stage) for stage in set(stages)}
    options = {stage: each.options for stage, each in described.items()}
    held = await _hold(session, deployment, policy, population, options, stages, as_of)
    found = []
    for stage, places in zip(stages, held, strict=True):
        own, first = options[stage], len(described[stage].actions)
        sub_stage = next((own[place].code for place in places if place >= first), None)
        found.append(Fitting([_shown(own[place]) for place in places if place < first], sub_stage))
    return found


def _shown(option: Option) -> dict[str, Any]:
    return {"code": option.code, "name": option.name}


async def of(
    session: ReadSession,
    deployment: Deployment,
    policy: Policy,
    population: Population,
    stages: Sequence[str],
    as_of: AsOf,
) -> list[list[dict[str, Any]]]:
    """Return the actions of each customer, who is in one of the stages of the policy."""
    options = {stage: policy.stage(stage).actions for stage in set(stages)}
    held = await _hold(session, deployment, policy, population, options, stages, as_of)
    return [
        [_shown(options[stage][place]) for place in places]
        for stage, places in zip(stages, held, strict=True)
    ]


async def of_placement(
    session: ReadSession, deployment: Deployment, placement: Placement
) -> list[list[dict[str, Any]]]:
    """Return the actions of each customer in the stage that stands."""
    policy, population = placement.policy, placement.population
    return await of(session, deployment, policy, population, placement.stages, placement.as_of)


async def _hold(
    session: ReadSession,
    deployment: Deployment,
    policy: Policy,
    population: Population,
    options: dict[str, tuple[Option, ...]],
    stages: Sequence[str],
    as_of: AsOf,
) -> list[list[int]]:
    """Return for each customer the places of the options of the own stage that hold."""
    asked = tuple(
        dict.fromkeys(
            term
            for of_stage in options.values()
            for stage in of_stage
            for term in terms(stage.when)
        )
    )
    known = await rule_records.at_instant(session, deployment, policy, population, as_of, asked)
    rows = np.arange(len(population))
    values = known.values(asked, rows, np.full(len(population), as_of.day))
    found: list[list[int]] = [[] for _ in stages]
    for stage, of_stage in options.items():
        own = np.array([each == stage for each in stages])
        for place, option in enumerate(of_stage):
            for row in np.flatnonzero(own & option.when.holds(values, len(population))).tolist():
                found[row].append(place)
    return found
