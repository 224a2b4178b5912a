"""A policy: the stages, and the rules by which a customer enters them, as data.

The rules of a policy are tried in order, and the first that holds decides; the last is the
default, which always holds. `documents` reads policies, `presets` has the ready ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.lifecycle.expressions import ALWAYS, Compare, Expression, comparisons, terms
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.variables.definition import Source, Term
from app.lifecycle.variables.registry import sources

Names = Mapping[str, str]
"""A name in each language: `en`, `zh`."""
Role = Literal["prospect", "customer", "churned"]


@dataclass(frozen=True, slots=True)
class Rule:
    """The stage of everyone for whom `when` holds and no earlier rule did."""

    code: str
    stage: str
    when: Expression = ALWAYS


@dataclass(frozen=True, slots=True)
class Option:
    """What fits some customers of a stage: an action to take, or a sub-stage to be in."""

    code: str
    name: Names
    when: Expression = ALWAYS


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. The role says what it means whatever its name: who has left is `churned`."""

    code: str
    name: Names
    role: Role
    actions: tuple[Option, ...] = ()
    sub_stages: tuple[Option, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        return self.actions + self.sub_stages


@dataclass(frozen=True)
class Policy:
    """One version of stages and rules."""

    version: int
    described: tuple[Stage, ...]
    inactivity_limit: InactivityLimit
    rules: tuple[Rule, ...]
    transitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The transitions that an override may make."""
    maps: Mapping[str, str] = field(default_factory=dict)
    """What stages of earlier versions are called in this one: renamed, not left for another."""
    model_id: str | None = None
    """The model whose cuts and parameters the rules use, if they use any."""

    @cached_property
    def stages(self) -> tuple[str, ...]:
        return tuple(stage.code for stage in self.described)

    @cached_property
    def stage_of_rule(self) -> NDArray[np.int64]:
        return np.array([self.stage_code(rule.stage) for rule in self.rules], dtype=np.int64)

    @cached_property
    def beginning(self) -> str:
        """The stage of somebody of whom nothing is known yet: where everyone begins."""
        values = {term: _nothing(term) for term in self.terms}
        return next(rule.stage for rule in self.rules if rule.when.holds(values, 1)[0])

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """Everything that decides a stage, each once, in the order of the rules."""
        return tuple(dict.fromkeys(term for rule in self.rules for term in terms(rule.when)))

    @cached_property
    def kinds_read(self) -> frozenset[str]:
        """The kinds of which it counts what was declared, also for actions and sub-stages."""
        judged = [rule.when for rule in self.rules]
        judged += [option.when for stage in self.described for option in stage.options]
        found = (term.declared or () for when in judged for term in terms(when))
        return frozenset(word for declared in found for word, _ in declared)

    @cached_property
    def time_dependent(self) -> tuple[Compare, ...]:
        """The comparisons that may turn as time passes."""
        found = (comparison for rule in self.rules for comparison in comparisons(rule.when))
        return tuple(dict.fromkeys(each for each in found if each.changes_with_time))

    @cached_property
    def sources(self) -> frozenset[Source]:
        """What has to be read to decide a stage."""
        return sources(self.terms)

    @cached_property
    def follows_transactions(self) -> bool:
        """Whether each transaction is news to it, and not the purchase days alone."""
        return bool(self.sources & {"money", "transactions"})

    def stage_code(self, stage: str) -> int:
        return self.stages.index(stage)

    def stage(self, code: str) -> Stage:
        return self.described[self.stage_code(code)]

    def carried(self, stage: str, former: "Policy | None") -> str | None:
        """Return the stage in which an override stands on when this policy follows a former one.

        The one that `maps` names, else that of the same code, else the only one of the same role;
        None where there is none, so that the override is lost.
        """
        mapped = self.maps.get(stage, stage)
        if mapped in self.stages:
            return mapped
        if former is None or stage not in former.stages:
            return None
        role = former.stage(stage).role
        alike = [each.code for each in self.described if each.role == role]
        return alike[0] if len(alike) == 1 else None

    def is_churned(self, stage: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which of the stages, given by number, are those of customers who have left."""
        roles = np.array([each.role == "churned" for each in self.described])
        return roles[stage]

    def has_left(self, stage: str) -> bool:
        """Say whether a stage, maybe of another policy, is one of customers who have left."""
        return stage in self.stages and self.stage(stage).role == "churned"


def _nothing(term: Term) -> NDArray[Any]:
    """Return, as a column of one, the value for somebody of whom nothing is known."""
    if term.variable.type in ("text", "boolean", "any"):
        return np.array([None], dtype=object)
    return np.array([0.0 if term.variable.always_known else np.nan])
