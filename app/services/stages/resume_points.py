"""Where customers are gone on with instead of from the first fact: what held, what followed."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.deployment import Deployment
from app.lifecycle import column_fold, column_money
from app.lifecycle.column_fold import PurchaseColumns
from app.lifecycle.dated import Ints
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.records import Columns
from app.lifecycle.steps import Worth
from app.lifecycle.summary_columns import NEVER, PointColumns, SummaryColumns
from app.services.policies.policies import PolicyTimeline


@dataclass(frozen=True)
class ResumePoints:
    """The customers at places `owners`, who go on from a state at an instant each.

    That is `since`; `NEVER` for those of whom there was nothing before, of whom `begun_at` may say
    since when they are known. `points`, by the silence that ends a life, and `worth` are numbered
    as `owners` are: what held at the instant, and what followed.
    """

    owners: Ints
    since: Ints
    begun_at: Ints
    summaries: SummaryColumns
    points: Mapping[InactivityLimit, PointColumns]
    worth: Worth

    @classmethod
    def of(
        cls,
        deployment: Deployment,
        timeline: PolicyTimeline,
        owners: Ints,
        start: "Standing",
        bought: PurchaseColumns,
    ) -> "ResumePoints":
        """Go on from where customers stand with the purchases since, none of them earlier."""
        before, since = start.before, start.since
        begun = np.flatnonzero(since != NEVER)
        day = deployment.calendar.days_of(since[begun])

        def points_from(states: Columns, followed: PointColumns) -> PointColumns:
            first = PointColumns(begun, since[begun], day, states.take(begun))
            return PointColumns.join([first, followed])

        limit = timeline.current.inactivity_limit
        after, added = column_fold.extend(before, bought, limit)
        points = {limit: points_from(before.states, added)}
        for other in {policy.inactivity_limit for policy in timeline.policies} - {limit}:
            points[other] = points[limit]
            if other in start.lives:
                own = replace(before, states=start.lives[other])
                added = column_fold.extend(own, bought, other)[1]
                points[other] = points_from(own.states, added)
        worth = Worth.none()
        if any(policy.follows_transactions for policy in timeline.policies):
            stood = column_money.standing(before, begun, since[begun])
            worth = Worth.join([stood, column_money.follow(before, bought)])
        return cls(owners, since, start.begun_at, after, points, worth)

    @classmethod
    def join(cls, parts: Sequence["ResumePoints"]) -> "ResumePoints":
        """Return some who go on, and behind them others."""
        parts = [part for part in parts if len(part.owners)] or [cls.none()]
        if len(parts) == 1:
            return parts[0]
        first = np.cumsum([0, *(len(part.owners) for part in parts)])
        numbers = [np.arange(*ends) for ends in itertools.pairwise(first.tolist())]
        numbered = list(zip(parts, numbers, strict=True))
        return cls(
            np.concatenate([part.owners for part in parts]),
            np.concatenate([part.since for part in parts]),
            np.concatenate([part.begun_at for part in parts]),
            SummaryColumns.join([part.summaries for part in parts]),
            {
                limit: PointColumns.join(
                    [part.points[limit].of_owners(own) for part, own in numbered]
                )
                for limit in parts[0].points
            },
            Worth.join([part.worth.of_owners(own) for part, own in numbered]),
        )

    @classmethod
    def none(cls) -> "ResumePoints":
        zero = np.zeros(0, np.int64)
        return cls(zero, zero, zero, SummaryColumns.empty(0), {}, Worth.none())


@dataclass(frozen=True)
class Standing:
    """What is known of customers at an instant each, `since`, or `NEVER` if nothing is.

    `lives` are the states of `before` by other silences than the one by which those count lives,
    where they may differ. `begun_at` says since when those without an instant are known.
    """

    before: SummaryColumns
    since: Ints
    lives: Mapping[InactivityLimit, Columns]
    begun_at: Ints

    @classmethod
    def of(cls, before: SummaryColumns) -> "Standing":
        """Say what is known of customers where their summaries stand."""
        return cls(before, before.facts_until, {}, np.full(len(before), NEVER))

    def take(self, rows: Ints) -> "Standing":
        lives = {limit: states.take(rows) for limit, states in self.lives.items()}
        return Standing(self.before.take(rows), self.since[rows], lives, self.begun_at[rows])
