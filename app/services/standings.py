"""What an answer about one customer starts from, read in one statement so that it agrees."""

from dataclasses import dataclass

from sqlalchemy import select

from app.db import ReadSession
from app.lifecycle.facts import EMPTY, Summary
from app.lifecycle.policy import Policy
from app.models import Customer, PurchaseSummary, Setting
from app.services import customers, models, policies, purchase_summaries, settings
from app.services.learning import Learnt


@dataclass(frozen=True, slots=True)
class Standing:
    """A customer as stored, and the policy and model in force."""

    customer_id: str
    recorded_stage: str
    stage_version: int
    summary: Summary
    policy: Policy
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
    for name in (settings.ACTIVE_POLICY, settings.ACTIVE_MODEL)
}
_STANDING = select(
    Customer.stage,
    Customer.stage_version,
    _POINTER[settings.ACTIVE_POLICY].label("policy_version"),
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
        summary=EMPTY if row.facts is None else purchase_summaries.from_row(row),
        policy=await policies.get(session, row.policy_version),
        learnt=None if row.model_id is None else await models.load(session, row.model_id),
    )
