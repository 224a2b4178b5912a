"""What an answer about one customer starts from, read in one statement so that it agrees."""

from dataclasses import dataclass

from sqlalchemy import exists, select

from app.days import AsOf
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle.facts import EMPTY, Summary
from app.models import Customer, PurchaseSummary, Setting, StageOverride
from app.services import (
    customers,
    decided_stages,
    models,
    placement,
    policies,
    purchase_summaries,
    settings,
)
from app.services.learning import Learnt
from app.services.placement import Placement
from app.services.policies import Regime
from app.services.populations import Population


@dataclass(frozen=True, slots=True)
class Standing:
    """A customer as stored, the policies there were, and the model in force."""

    customer_id: str
    recorded_stage: str
    stage_version: int
    decided: bool
    """Whether somebody has ever decided by hand."""
    summary: Summary
    regime: Regime
    learnt: Learnt | None

    @property
    def gap_days(self) -> float | None:
        """The population's mean gap between purchase days, if known."""
        return None if self.learnt is None else self.learnt.gap_days

    @property
    def model_id(self) -> str | None:
        return None if self.learnt is None else self.learnt.model_id


_POINTER = {
    name: select(Setting.value).where(Setting.key == name).scalar_subquery()
    for name in (settings.REGIME, settings.ACTIVE_MODEL)
}
_STANDING = select(
    Customer.stage,
    Customer.stage_version,
    exists().where(StageOverride.customer_id == Customer.customer_id).label("decided"),
    _POINTER[settings.REGIME].label("regime"),
    _POINTER[settings.ACTIVE_MODEL].label("model_id"),
    *purchase_summaries.COLUMNS,
).outerjoin(PurchaseSummary, PurchaseSummary.customer_id == Customer.customer_id)


async def get(session: ReadSession, customer_id: str) -> Standing:
    """Return where a known customer stands."""
    statement = _STANDING.where(Customer.customer_id == customer_id)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise customers.unknown(customer_id)
    return Standing(
        customer_id=customer_id,
        recorded_stage=row.stage,
        stage_version=row.stage_version,
        decided=row.decided,
        summary=EMPTY if row.facts is None else purchase_summaries.from_row(row),
        regime=await policies.regime(session, row.regime),
        learnt=None if row.model_id is None else await models.load(session, row.model_id),
    )


async def place(
    session: ReadSession, deployment: Deployment, standing: Standing, timeline: Regime, as_of: AsOf
) -> Placement:
    """Place the one customer as facts up to an instant have it.

    Policies are those of the timeline, which need not be the one there was.
    """
    policy = timeline.at(as_of.micros)
    kept = {standing.customer_id: standing.summary}
    then = await purchase_summaries.at(session, standing.regime, policy.silence, kept, as_of.at)
    population = Population.of(list(kept), [standing.recorded_stage], list(then.values()))
    overrides = {}
    if standing.decided:
        overrides = await decided_stages.of_customers(
            session, deployment, timeline, as_of, list(kept)
        )
    return await placement.of_population(
        session,
        deployment,
        policy,
        population,
        as_of,
        gap_days=standing.gap_days,
        overrides=overrides,
    )
