"""What is known of customers with a purchase day that scores look at, at one instant.

The columns are those that a fit would see at the same instant, made from what is kept of each
customer, and from interactions.
"""

from dataclasses import dataclass, replace

import numpy as np

from app.days import AsOf
from app.lifecycle.dated import Bools, Floats, Ints
from app.lifecycle.kinds import Kinds
from app.lifecycle.summary_columns import NO_MORE
from app.postgres.db import ReadSession
from app.scoring.histories.features import COUNTS, Facts, Features, features_at
from app.services.common import threads
from app.services.customer_base import interaction_log, training_data
from app.services.customer_base.interaction_log import InteractionLog
from app.services.customer_base.populations import Population
from app.services.models.fitted_models import FittedModel

OF_CONTACTS = ("complaints", "satisfaction", "contact_silence")


@dataclass(frozen=True, eq=False)
class Known:
    """Customers as churn risk looks at them, and who has an open complaint."""

    features: Features
    complaining: Bools


async def read(
    session: ReadSession,
    model: FittedModel,
    buyers: Population,
    as_of: AsOf,
    *,
    complained: bool = True,
) -> Known:
    """Return what a model looks at.

    `buyers` have a purchase day, as they stand at `as_of`. A model without a churn risk of its own
    looks at no contacts. Where it is known that nobody has `complained`, none is looked for.
    """
    return await read_columns(
        session,
        buyers,
        as_of,
        model.interaction_kinds,
        contacts=model.looks_at_contacts,
        complained=complained,
    )


async def read_columns(
    session: ReadSession,
    buyers: Population,
    as_of: AsOf,
    declared: Kinds,
    *,
    contacts: bool = True,
    complained: bool = True,
) -> Known:
    """Return all columns of buyers; without contacts those are unknown."""
    refunds = await _refunds(session, buyers, as_of)
    asked = buyers.may_have_interactions
    if contacts:
        seen = await interaction_log.read_contacts(session, asked, as_of, declared, last_only=True)
    else:
        seen = await interaction_log.read_complaining(session, asked if complained else [], as_of)
    if buyers.contacted is not None:
        row = np.flatnonzero(buyers.contacted)
        seen = replace(seen, code=row[seen.code], complaining=row[seen.complaining])
    return await threads.compute(len(buyers), _known, buyers, as_of, refunds, seen)


async def _refunds(session: ReadSession, buyers: Population, as_of: AsOf) -> Ints:
    """Return the refunds of each so far: what is kept counts those still to come, too."""
    kept = buyers.summaries.column
    refunds = kept("refunds").copy()
    later = np.flatnonzero((refunds > 0) & (kept("next_fact_at") < NO_MORE))
    ids = [buyers.customer_ids[row] for row in later.tolist()]
    refunds[later] = await training_data.count_refunds(session, ids, as_of)
    return refunds


def _known(buyers: Population, as_of: AsOf, refunds: Ints, seen: InteractionLog) -> Known:
    columns = _kept(buyers, as_of)
    columns |= _contacts(seen, len(buyers), as_of) if seen.code.size else _no_contacts(len(buyers))
    complaining = np.zeros(len(buyers), np.bool_)
    complaining[seen.complaining] = True
    return Known(Features(**columns, refunds=refunds.astype(np.float64)), complaining)


def _kept(buyers: Population, as_of: AsOf) -> dict[str, Floats]:
    """Return the columns that the kept summaries make."""
    days, kept = buyers.columns.purchase_days, buyers.summaries.column
    columns = {
        "x": buyers.x,
        "t_x": buyers.t_x,
        "T": buyers.T(as_of),
        "sum_log_gaps": kept("sum_log_gaps"),
        "mean_value": kept("revenue") / days,
    }
    for place, value in enumerate(("last_day_value", "value_2", "value_3"), start=1):
        columns[f"gap_{place}"] = np.where(days > place, kept(f"gap_{place}"), np.nan)
        columns[f"value_{place}"] = np.where(days >= place, kept(value), np.nan)
    return {name: column.astype(np.float64) for name, column in columns.items()}


def _no_contacts(size: int) -> dict[str, Floats]:
    """Return the columns of those of whom no interaction is known."""
    unknown = np.full(size, np.nan)
    return {name: np.zeros(size) if name in COUNTS else unknown for name in OF_CONTACTS}


def _contacts(seen: InteractionLog, size: int, as_of: AsOf) -> dict[str, Floats]:
    """Return the columns that interactions make, by the function that a fit takes."""
    everyone = np.arange(size)
    facts = Facts(
        customer=everyone,
        day=np.full(size, as_of.day),
        amount=np.zeros(size),
        contact_customer=seen.code,
        contact_day=seen.day,
        contact_kind=seen.kind,
        contact_score=seen.score,
    )
    _, known = features_at(facts, as_of=as_of.day)
    return {name: getattr(known, name) for name in OF_CONTACTS}
