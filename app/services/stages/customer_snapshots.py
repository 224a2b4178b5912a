"""What an answer about one customer starts from, read in one statement so that it agrees."""

from dataclasses import dataclass

from sqlalchemy import exists, literal_column, select

from app.days import AsOf
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle.facts import EMPTY, Summary
from app.models import Customer, Interaction, PurchaseSummary, Setting, StageOverride
from app.services.common import deployment_settings
from app.services.customer_base import purchase_summaries
from app.services.customer_base.populations import Population
from app.services.customers import customers
from app.services.models import model_store
from app.services.models.fitted_models import FittedModel
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.stages import overridden_stages, placement
from app.services.stages.placement import Placement


@dataclass(frozen=True, slots=True)
class CustomerSnapshot:
    """A customer as stored, the policies there were, and the model in force."""

    customer_id: str
    recorded_stage: str
    stage_version: int
    overridden: bool
    """Whether there has ever been an override."""
    complained: bool
    """Whether there has ever been a complaint that is not known to be solved."""
    summary: Summary
    timeline: PolicyTimeline
    model: FittedModel | None

    @property
    def gap_days(self) -> float | None:
        """The population's mean gap between purchase days, if known."""
        return None if self.model is None else self.model.gap_days

    @property
    def model_id(self) -> str | None:
        return None if self.model is None else self.model.model_id


_POINTER = {
    name: select(Setting.value).where(Setting.key == name).scalar_subquery()
    for name in (deployment_settings.POLICY_TIMELINE, deployment_settings.ACTIVE_MODEL)
}
_STANDING = select(
    Customer.stage,
    Customer.stage_version,
    exists().where(StageOverride.customer_id == Customer.customer_id).label("overridden"),
    exists()
    .where(
        Interaction.customer_id == Customer.customer_id,
        # Words of the statement, as those of the index are, and no parameters.
        Interaction.kind == literal_column("'complaint'"),
        Interaction.outcome.is_distinct_from(literal_column("'solved'")),
    )
    .label("complained"),
    _POINTER[deployment_settings.POLICY_TIMELINE].label("timeline"),
    _POINTER[deployment_settings.ACTIVE_MODEL].label("model_id"),
    *purchase_summaries.COLUMNS,
).outerjoin(PurchaseSummary, PurchaseSummary.customer_id == Customer.customer_id)


async def get(session: ReadSession, customer_id: str) -> CustomerSnapshot:
    """Return where a known customer stands."""
    statement = _STANDING.where(Customer.customer_id == customer_id)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise customers.unknown(customer_id)
    return CustomerSnapshot(
        customer_id=customer_id,
        recorded_stage=row.stage,
        stage_version=row.stage_version,
        overridden=row.overridden,
        complained=row.complained,
        summary=EMPTY if row.facts is None else purchase_summaries.from_row(row),
        timeline=await policies.timeline(session, row.timeline),
        model=None if row.model_id is None else await model_store.load(session, row.model_id),
    )


async def place(
    session: ReadSession,
    deployment: Deployment,
    snapshot: CustomerSnapshot,
    timeline: PolicyTimeline,
    as_of: AsOf,
) -> Placement:
    """Place the one customer as facts up to an instant have it.

    Policies are those of the timeline, which need not be the one there was.
    """
    policy = timeline.at(as_of.micros)
    kept = {snapshot.customer_id: snapshot.summary}
    then = await purchase_summaries.at(
        session, snapshot.timeline, policy.inactivity_limit, kept, as_of.at
    )
    population = Population.of(list(kept), [snapshot.recorded_stage], list(then.values()))
    overrides = {}
    if snapshot.overridden:
        overrides = await overridden_stages.of_customers(
            session, deployment, timeline, as_of, list(kept)
        )
    return await placement.of_population(
        session,
        deployment,
        policy,
        population,
        as_of,
        gap_days=snapshot.gap_days,
        overrides=overrides,
    )
