"""What the ledger's words mean: what a stage is called at an instant, and which role it has.

A stage has the name of its time; a change of policy may rename it. The ledger is read with the
number of the policy period in which a transition took effect: 0 for the first, and so on.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.days import from_micros
from app.lifecycle.policy import Names, Policy, Role
from app.services.customer_base import rule_facts
from app.services.policies.policies import PolicyTimeline

NOWHERE = ""
"""In place of a stage that no transition has told yet: where the policy of the period begins."""


def standing(at: str) -> str:
    """Return a query of the last transition of each customer up to an instant, given as SQL."""
    return (
        "SELECT DISTINCT ON (customer_id) customer_id, to_stage, effective_at"  # noqa: S608  # no value of a caller
        f" FROM stage_transitions WHERE voided_at IS NULL AND effective_at <= {at}"
        " ORDER BY customer_id, effective_at DESC"
    )


@dataclass(frozen=True, slots=True)
class Beginnings:
    """SQL of the policy period of a transition, of none that in which somebody was first seen.

    Nobody has to be looked for where there was one policy alone. `changes` are the parameter.
    """

    cte: str
    join: str
    changes: str

    def period(self, effective_at: str) -> str:
        if not self.join:
            return f"cardinality(CAST({self.changes} AS timestamptz[]))"  # none: the first period
        at = f"coalesce({effective_at}, seen.begun)"
        return f"width_bucket({at}, CAST({self.changes} AS timestamptz[]))"


@dataclass(frozen=True)
class LedgerWords:
    """The words of a policy timeline."""

    timeline: PolicyTimeline

    @property
    def changes(self) -> list[datetime]:
        """The instants at which another period began."""
        return [from_micros(at) for at in self.timeline.starts[1:]]

    def beginnings(self, changes: str) -> Beginnings:
        if not self.changes:
            return Beginnings("", "", changes)
        cte = f"seen AS ({rule_facts.FIRST_SEEN_OF_ALL}), "
        return Beginnings(cte, " JOIN seen USING (customer_id)", changes)

    def roles_are_plain(self) -> bool:
        """Whether a role changes by transitions alone, and everybody begins as a prospect."""
        no_renames = not any(policy.maps for policy in self.timeline.policies)
        return no_renames and self.timeline.has_one_role_each and not self.begins_as_customer()

    def name(self, stage: str | None, period: int, until: int) -> str:
        """Return what a stage of a period is called at a later instant."""
        first = stage or self._policy(period).beginning
        return self.timeline.called(first, self.timeline.starts[period], until)

    def later(self, name: str, since: int, until: int) -> str:
        return self.timeline.called(name, since, until)

    def role(self, stage: str | None, period: int) -> Role:
        """Return the role of a stage of a period; of a stage of another one, what it was there."""
        code = stage or self._policy(period).beginning
        for policy in (self._policy(period), *reversed(self.timeline.policies)):
            if code in policy.stages:
                return policy.stage(code).role
        return "prospect"

    def begins_as_customer(self) -> bool:
        """Whether there was a policy by which somebody of whom nothing is known is no prospect."""
        periods = range(len(self.timeline.policies))
        return any(self.role(NOWHERE, period) != "prospect" for period in periods)

    def all(self) -> tuple[list[str], list[int]]:
        """Return each stage with each period, as two columns."""
        codes = {code for policy in self.timeline.policies for code in policy.stages}
        pairs = [
            (code, period)
            for code in [NOWHERE, *sorted(codes)]
            for period in range(len(self.timeline.policies))
        ]
        return [code for code, _ in pairs], [period for _, period in pairs]

    def names(self) -> dict[str, Names]:
        """Return what the stages are called in words; of one code, as the last policy has it."""
        return {
            stage.code: stage.name
            for policy in self.timeline.policies
            for stage in policy.described
        }

    def place(self, stage: str, at: int) -> tuple[int, Any]:
        """Order stages as the policy of an instant does; others come last, by code."""
        codes = self.timeline.at(at).stages
        return (codes.index(stage), "") if stage in codes else (len(codes), stage)

    def _policy(self, period: int) -> Policy:
        return self.timeline.policies[period]
