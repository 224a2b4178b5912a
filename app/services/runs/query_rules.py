"""What is asked of customers: the rule and its variables, by the policy and the run of now."""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from app.days import AsOf
from app.deployment import Deployment
from app.errors import FieldError, MissingScope, NoModel, ValidationFailed
from app.lifecycle.expressions import Expression, terms
from app.lifecycle.policy import Policy
from app.lifecycle.reading import ExpressionReader
from app.lifecycle.variables.definition import Term, Variable
from app.lifecycle.variables.registry import VARIABLES
from app.lifecycle.version import DERIVATION_VERSION
from app.postgres.db import ReadSession
from app.schemas.common.personal import READ_PII
from app.services.common import deployment_settings, interaction_kinds
from app.services.common.deployment_settings import Pointers
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.runs.query_tables import Tables
from app.services.runs.query_values import OF_LIMIT, is_stored
from app.services.runs.segments import definitions

PERSONAL = frozenset({"attribute", "age_years", "days_until_birthday"})
"""Variables that tell personal data of whom they are told of."""
SCORES = "scores:read"
SEGMENTS = "segments"
"""The variable that tells in which segments somebody is kept to be."""
_OF_LIVES = frozenset(
    {"lives", "life_purchase_days", "life_tenure_days", "mean_gap_days", "inactivity_to_mean_gap",
     "inactivity_limit_days"}
)  # fmt: skip
_OF_SUMMARIES = frozenset({"purchases", "money"})
_OF_NOW = frozenset({"scores", "segments"})
"""Sources of which nothing is known of an earlier instant."""
May = Callable[[str], bool]
"""Whether who asks has a scope."""


def _every(variable: Variable) -> bool:
    del variable
    return True


class Reader(ExpressionReader):
    """Reads rules that may look at anything."""

    allows = staticmethod(_every)
    not_allowed = ""

    def check(self) -> None:
        if self.faults:
            faults = [FieldError(*fault) for fault in self.faults[:20]]
            raise ValidationFailed(errors=faults)


async def reader(session: ReadSession, pointers: Pointers) -> Reader:
    """Return what reads the rules and terms of one request."""
    read = Reader((await interaction_kinds.declared(session, pointers.interaction_kinds)).kinds)
    read.segments = (await definitions.named(session, pointers.segments)).rules
    return read


@dataclass(frozen=True, eq=False)
class Question:
    """A rule, and what else is looked at, as of an instant; `asked` are all of their terms.

    The policy says which inactivity ends a life, and which model computes what a model does.
    """

    when: Expression
    asked: tuple[Term, ...]
    as_of: AsOf
    policy: Policy
    timeline: PolicyTimeline
    run_id: int | None
    is_derived: bool
    """Whether what is stored of purchases is by the rules of this release."""
    is_settled: bool
    """Whether stages are stored by the policy of now."""

    @cached_property
    def is_stored(self) -> bool:
        """Whether all that is looked at can be read."""
        needs = self.needs
        renamed = any(policy.maps for policy in self.timeline.policies)
        return (
            all(can_be_read(self.policy, term) for term in self.asked)
            and (self.is_derived or not needs & _OF_SUMMARIES)
            and (self.is_settled or "stage" not in needs)
            and (self.as_of.is_now or not renamed or "stage" not in needs)
        )

    @cached_property
    def needs(self) -> frozenset[str]:
        return frozenset(need for term in self.asked for need in term.needs)

    def tables(self, deployment: Deployment, *, everybody: bool = False) -> Tables:
        """Return the tables that the rule is asked of."""
        began = deployment.calendar.start_of(self.as_of.day)
        limit = self.policy.inactivity_limit
        return Tables(self.as_of, began, limit, self.run_id, everybody)

    def any_doubt(self, tables: Tables) -> str | None:
        """Return whether there is anybody in doubt at the present, as a column; None if nobody.

        The first fact that waits is the end of an index, whatever the planner makes of an instant.
        """
        if not self.needs & _OF_SUMMARIES:
            return None
        at = tables.bind(self.as_of.at, "timestamptz")
        first = f"coalesce((SELECT min(next_fact_at) FROM purchase_summaries) <= {at}, false)"  # noqa: S608
        if not (versions := self._of_other_lives()):
            return first
        other = f"policy_version = ANY({tables.bind(versions, 'int4[]')}) AND facts > 0"
        return f"({first} OR EXISTS (SELECT FROM purchase_summaries WHERE {other}))"

    def doubts(self, tables: Tables, *, money: bool = False) -> list[str]:
        """Return the conditions of whom what is stored says another instant.

        At the present, profiles and stages are what they are stored as, and a summary is one of
        before only where a fact has waited for its time.
        """
        found: list[str] = []
        now = self.as_of.is_now
        of_purchases = money or bool(self.needs & _OF_SUMMARIES)
        if now and not of_purchases:
            return found
        at = tables.bind(self.as_of.at, "timestamptz")
        if of_purchases:
            found.append(f"{tables.summary}.next_fact_at <= {at}")
            if not now:
                found.append(f"s.facts_until > {at}")
            versions = self._of_other_lives()
            if versions:
                other = tables.bind(versions, "int4[]")
                found.append(f"s.policy_version = ANY({other}) AND s.facts > 0")
        if not now and "profile" in self.needs:
            found.append(f"c.profile_holds_from > {at}")
        if not now and "stage" in self.needs:
            found.append(f"coalesce(c.stage_since, c.created_at) > {at}")
        return found

    def _of_other_lives(self) -> list[int]:
        """Return the versions by which lives end at another silence, if lives are looked at."""
        if not any(term.name in _OF_LIVES for term in self.asked):
            return []
        limit = self.policy.inactivity_limit
        return [each.version for each in self.timeline.policies if each.inactivity_limit != limit]


def can_be_read(policy: Policy, term: Term) -> bool:
    """Say whether a term can be read: not what a season of the policy counts."""
    by_season = policy.inactivity_limit.season is not None and term.name in OF_LIMIT
    return is_stored(term) and not by_season


async def question(
    session: ReadSession,
    pointers: Pointers,
    when: Expression,
    deciding: Iterable[Term],
    as_of: AsOf,
    may: May,
    *,
    told: Iterable[Term] = (),
    run_id: int | None = None,
) -> Question:
    """Return what is asked, if it may be, of a rule and of other terms that decide.

    What is `told` of those who are found decides nothing. `run_id` is that of the page before.
    """
    asked = tuple(dict.fromkeys((*terms(when), *deciding)))
    every = (*asked, *told)
    needs = {need for term in every for need in term.needs}
    await _check_scopes(session, pointers, every, may)
    if needs & _OF_NOW and not as_of.is_now:
        detail = "must be absent: what the published run says is not known of an earlier instant"
        raise ValidationFailed(errors=[FieldError("/as_of", "not_with_scores", detail)])
    timeline = await policies.timeline(session, pointers.timeline)
    policy = timeline.at(as_of.micros)
    if "model" in needs:
        model_id = pointers.model_id or policy.model_id
        if model_id is None:
            raise NoModel
        policy = replace(policy, model_id=model_id)
    return Question(
        when,
        asked,
        as_of,
        policy,
        timeline,
        pointers.run_id if run_id is None else run_id,
        pointers.derivation_version == DERIVATION_VERSION,
        pointers.settled_policy_version == pointers.policy_version,
    )


async def require_segment(session: ReadSession, code: str, may: May) -> AbstractSet[str]:
    """Refuse to tell who is kept in a segment, by whose rule a key may not ask.

    Returns the segments whose rules that takes: none if there is no such one.
    """
    pointers = await deployment_settings.pointers(session)
    read = await reader(session, pointers)
    await _check_scopes(session, pointers, terms(read.when({"segment": code}, "")), may)
    return read.named


async def _check_scopes(
    session: ReadSession, pointers: Pointers, asked: Iterable[Term], may: May
) -> None:
    """Refuse what would tell what the key may not read.

    Who is kept in which segments tells what all their rules look at.
    """
    names = {term.name for term in asked}
    if SEGMENTS in names:
        names |= (await definitions.named(session, pointers.segments)).variables
    for needed, found in _missing_scopes(names, may).items():
        raise MissingScope(f"{found[0]} needs the scope {needed}.", missing_scope=needed)


def _missing_scopes(names: AbstractSet[str], may: May) -> dict[str, list[str]]:
    wanted = {READ_PII: PERSONAL, SCORES: _of_scores()}
    return {
        scope: sorted(names & of) for scope, of in wanted.items() if names & of and not may(scope)
    }


def can_be_asked(rule: Expression, as_of: AsOf, may: May) -> bool:
    """Say whether a rule may be asked by a key, and of an instant."""
    asked = tuple(terms(rule))
    of_now = any(term.needs & _OF_NOW for term in asked)
    return (as_of.is_now or not of_now) and not _missing_scopes({term.name for term in asked}, may)


def _of_scores() -> frozenset[str]:
    return frozenset(name for name, row in VARIABLES.items() if row.source in ("scores", "model"))


def select(read: Reader, given: Sequence[Any], at: str) -> tuple[Term, ...]:
    """Return terms that are named, each once."""
    found = [read.term(each, f"{at}/{place}") for place, each in enumerate(given)]
    return tuple(dict.fromkeys(term for term in found if term is not None))


def as_of_page(as_of: AsOf, deployment: Deployment, bound: str | None) -> AsOf:
    """Return the instant of the first page on the pages behind it."""
    if bound is None:
        return as_of
    return replace(deployment.as_of(datetime.fromisoformat(bound)), is_now=as_of.is_now)
