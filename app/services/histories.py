"""The stages of customers through time, read from the database: what was, and what followed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.days import from_micros
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle import history
from app.lifecycle.history import History
from app.lifecycle.instants import Customers, Override, Segment
from app.lifecycle.policy import SilenceLimit
from app.services import purchase_summaries, records, rule_facts
from app.services.policies import Regime
from app.services.purchase_summaries import Folded
from app.services.records import Followed


@dataclass(frozen=True, slots=True)
class Continued:
    """A folding, and where it begins: None for the whole history."""

    folded: Folded
    since: int | None


async def fold(
    session: ReadSession, regime: Regime, until: Mapping[str, int]
) -> dict[SilenceLimit, dict[str, Folded]]:
    """Fold all facts of customers by each silence that some policy allows."""
    limits = list(dict.fromkeys(policy.silence for policy in regime.policies))
    worth = bool(regime.sources & {"money", "model"})
    return await purchase_summaries.fold_by(session, limits, until, worth=worth)


async def trace(
    session: ReadSession,
    here: Deployment,
    regime: Regime,
    customer_ids: Sequence[str],
    held: Mapping[str, Continued],
    folded: Mapping[SilenceLimit, Mapping[str, Folded]],
    until: Mapping[str, int],
    decided: Mapping[str, Sequence[Override]],
) -> History:
    """Follow the stages of customers up to an instant each."""
    begun = await _begun(session, regime, [each for each in customer_ids if each not in held],
                         decided)  # fmt: skip
    followed = {
        limit: [
            Followed(each, held[each].folded.points, (), None)
            if each in held
            else Followed(each, found[each].points, found[each].worth, begun.get(each))
            for each in customer_ids
        ]
        for limit, found in folded.items()
    }
    latest = here.as_of(from_micros(max(until.values())))
    found = await records.through_time(session, here, regime.policies, followed, latest)
    segments = [
        Segment(policy, own, start, here.calendar.day_of(from_micros(start)) if number else 0)
        for number, (policy, own, start) in enumerate(
            zip(regime.policies, found, regime.starts, strict=True)
        )
    ]
    customers = Customers(
        until=np.array([until[each] for each in customer_ids], dtype=np.int64),
        until_day=np.array(
            [here.calendar.day_of(from_micros(until[each])) for each in customer_ids],
            dtype=np.int64,
        ),
        known=np.array([each in held and held[each].since is not None for each in customer_ids]),
        overrides={
            number: decided[each] for number, each in enumerate(customer_ids) if each in decided
        },
    )
    return history.trace(segments, customers, here.calendar.starts)


async def _begun(
    session: ReadSession,
    regime: Regime,
    customer_ids: Sequence[str],
    decided: Collection[str],
) -> dict[str, int]:
    """Return since when customers are known, where the stage before a purchase matters."""
    if regime.is_plain and len(regime.policies) == 1:
        customer_ids = [each for each in customer_ids if each in decided]
    return await rule_facts.begun(session, customer_ids) if customer_ids else {}
