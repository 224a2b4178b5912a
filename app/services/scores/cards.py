"""The score cards of customers, computed for the asked instant from the facts up to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.days import AsOf
from app.deployment import Deployment
from app.postgres.db import ReadSession
from app.services.common import deployment_settings, threads
from app.services.models import clv_terms, model_store
from app.services.models.clv_terms import AskedTerms
from app.services.models.fitted_models import FittedModel
from app.services.scores import card_rows, model_scores
from app.services.stages import customer_snapshots, next_actions, why_churned
from app.services.stages.placement import Placement


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """The cards of those of some customers who are known, in JSON, and the model that made them."""

    cards: dict[str, bytes]
    model: FittedModel | None


async def of_customers(
    session: ReadSession,
    deployment: Deployment,
    customer_ids: Sequence[str],
    *,
    as_of: AsOf,
    horizon_days: int | None = None,
    asked: AskedTerms | None = None,
    now: datetime,
    tells_segments: bool = False,
    pointer: str = "/",
    rfm_cuts: Mapping[str, list[float]] | None = None,
) -> Answered:
    """Return the score cards of customers, made at once on columns; the unknown have none.

    Horizon and terms are those of the model if None. Segments may follow from personal data.
    """
    snapshots = await customer_snapshots.read(session, customer_ids)
    model = await _model(session) if snapshots is None else snapshots.model
    model = model and model.with_cuts(rfm_cuts or {})
    terms = clv_terms.of_question(model, asked, pointer=pointer)
    if snapshots is None:
        return Answered({}, model)
    timeline = snapshots.timeline
    placed = await customer_snapshots.place(session, deployment, snapshots, timeline, as_of)
    actions = await next_actions.of_stages(
        session, deployment, placed.policy, placed.population, placed.stage, as_of
    )
    scored = await model_scores.score(
        session, model, placed, horizon_days, terms=terms, complained=snapshots.complained
    )
    why = {}
    if snapshots.recorded_churn:
        why = await why_churned.of_placement(session, deployment, timeline, placed)
    segments = snapshots.segments if as_of.at >= now and tells_segments else None
    alike = _alike(model, placed, now)
    made = card_rows.write(deployment, placed, scored, actions, why, alike, segments)
    found = [card async for card in threads.in_turns(made)]
    return Answered(dict(zip(placed.population.customer_ids, found, strict=True)), model)


async def _model(session: ReadSession) -> FittedModel | None:
    """Return the model in force."""
    model_id = (await deployment_settings.pointers(session)).model_id
    return None if model_id is None else await model_store.load(session, model_id)


def _alike(model: FittedModel | None, placement: Placement, now: datetime) -> dict[str, Any]:
    """Return what all cards of one answer say alike."""
    as_of = placement.as_of.at
    return {
        "lookahead": model is not None and model.as_of > as_of,
        "model_id": model and model.model_id,
        "model_as_of": model and model.as_of,
        "policy_version": placement.policy.version,
        "as_of": as_of,
        "computed_at": now,
    }
