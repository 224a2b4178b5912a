"""What churn risk looks at, for customers as they stand at one instant.

The columns are those that a fit would see at the same instant, made from what is kept of each
customer, and from interactions.
"""

import numpy as np

from app.days import AsOf
from app.db import ReadSession
from app.lifecycle.dated import Floats, Ints
from app.lifecycle.kinds import Kinds
from app.scoring.histories.features import Facts, Features, features_at
from app.services.common import threads
from app.services.customer_base import training_data
from app.services.customer_base.populations import Population
from app.services.customer_base.summary_columns import NO_MORE
from app.services.customer_base.training_data import InteractionLog
from app.services.models.fitted_models import FittedModel

OF_CONTACTS = ("complaints", "satisfaction", "contact_silence")
_NO_CONTACTS = InteractionLog(
    np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
)


async def read(
    session: ReadSession, model: FittedModel, buyers: Population, as_of: AsOf
) -> Features | None:
    """Return what the churn risk of a model looks at; None if it has none of its own.

    `buyers` have a purchase day, as they stand at `as_of`.
    """
    if model.risk is None:
        return None
    return await read_columns(
        session, buyers, as_of, model.interaction_kinds, contacts=model.looks_at_contacts
    )


async def read_columns(
    session: ReadSession, buyers: Population, as_of: AsOf, declared: Kinds, *, contacts: bool = True
) -> Features:
    """Return all columns of buyers; without contacts those are unknown."""
    refunds = await _refunds(session, buyers, as_of)
    seen = _NO_CONTACTS
    if contacts:
        everyone = buyers.customer_ids
        seen = await training_data.read_contacts(session, everyone, as_of, declared, last_only=True)
    return await threads.compute(len(buyers), _columns, buyers, as_of, refunds, seen)


async def _refunds(session: ReadSession, buyers: Population, as_of: AsOf) -> Ints:
    """Return the refunds of each so far: what is kept counts those still to come, too."""
    kept = buyers.summaries.column
    refunds = kept("refunds").copy()
    later = np.flatnonzero((refunds > 0) & (kept("next_fact_at") < NO_MORE))
    ids = [buyers.customer_ids[row] for row in later.tolist()]
    refunds[later] = await training_data.count_refunds(session, ids, as_of)
    return refunds


def _columns(buyers: Population, as_of: AsOf, refunds: Ints, seen: InteractionLog) -> Features:
    columns = _kept(buyers, as_of) | _contacts(seen, len(buyers), as_of)
    return Features(**columns, refunds=refunds.astype(np.float64))


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
