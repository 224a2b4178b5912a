"""What to do next with customers: the actions of their stages whose conditions hold."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.days import AsOf
from app.deployment import Deployment
from app.lifecycle.dated import Ints
from app.lifecycle.expressions import terms
from app.lifecycle.policy import Option, Policy
from app.lifecycle.records import Records
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.registry import kinds_of, sources
from app.postgres.db import ReadSession
from app.services.common import threads
from app.services.customer_base.populations import Population
from app.services.stages import rule_records

MANY = 1000
"""Customers of whom more are read stage by stage; of fewer, one statement costs less than two."""
Options = Mapping[int, tuple[Option, ...]]


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
    return {"code": option.code, "name": dict(option.name)}


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
    codes = np.array([policy.stage_code(stage) for stage in stages], dtype=np.int64)
    by_code = {policy.stage_code(stage): own for stage, own in options.items()}
    chosen = await masks(session, deployment, policy, population, by_code, codes, as_of)
    return [
        [place for place in range(len(options[stage])) if mask >> place & 1]
        for stage, mask in zip(stages, chosen.tolist(), strict=True)
    ]


def held(options: Sequence[Option], mask: int) -> list[Option]:
    """Return the options of a stage whose bits a mask has."""
    return [option for place, option in enumerate(options) if mask >> place & 1]


async def of_stages(
    session: ReadSession,
    deployment: Deployment,
    policy: Policy,
    population: Population,
    stages: Ints,
    as_of: AsOf,
) -> Ints:
    """Return the actions of many customers, given by the number of their stage, as masks."""
    options = {code: stage.actions for code, stage in enumerate(policy.described)}
    there = set(np.unique(stages).tolist())
    of_them = {code: own for code, own in options.items() if code in there}
    return await masks(session, deployment, policy, population, of_them, stages, as_of)


async def masks(
    session: ReadSession,
    deployment: Deployment,
    policy: Policy,
    population: Population,
    options: Options,
    stages: Ints,
    as_of: AsOf,
) -> Ints:
    """Return a bit for each option of the own stage that holds, that of the first the lowest."""
    found = np.zeros(len(population), np.int64)
    for alike in _alike(options) if len(population) > MANY else [options]:
        rows = np.flatnonzero(np.isin(stages, list(alike)))
        asked = tuple(dict.fromkeys(term for own in alike.values() for term in _terms(own)))
        known = None
        if asked:
            some = population.take(rows) if len(rows) < len(population) else population
            known = await rule_records.at_instant(session, deployment, policy, some, as_of, asked)
        found[rows] = await threads.compute(len(rows), _held, alike, stages[rows], known, as_of)
    return found


def _terms(options: Iterable[Option]) -> Iterator[Term]:
    return (term for option in options for term in terms(option.when))


def _alike(options: Options) -> list[dict[int, tuple[Option, ...]]]:
    """Return stages by what is read for their options: of others it is not read."""
    found: dict[object, dict[int, tuple[Option, ...]]] = {}
    for stage, own in options.items():
        looked_at = tuple(_terms(own))
        read = sources(looked_at) - {"purchases", "money"}, kinds_of(looked_at)
        found.setdefault(read, {})[stage] = own
    return list(found.values())


def _held(options: Options, stages: Ints, known: Records | None, as_of: AsOf) -> Ints:
    found = np.zeros(len(stages), np.int64)
    for stage, own in options.items():
        rows = np.flatnonzero(stages == stage)
        asked = tuple(dict.fromkeys(_terms(own)))
        day = np.full(len(rows), as_of.day)
        values = known.values(asked, rows, day) if known is not None else {}
        for place, option in enumerate(own):
            found[rows[option.when.holds(values, len(rows))]] |= 1 << place
    return found
