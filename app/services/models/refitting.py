"""The life of models: which one a run scores with, when it is fitted anew, and who takes over."""

import contextlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.deployment import Deployment
from app.errors import OperationRunning
from app.models import Model
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.models.models import ModelRequest, RunRequest
from app.services.common import as_of as as_ofs
from app.services.common import deployment_settings
from app.services.customer_base import training_data
from app.services.models import (
    comparison,
    fitted_models,
    given_cuts,
    horizons,
    model_parts,
    model_store,
)
from app.services.models.model_documents import ClvTerms, ModelDocument
from app.services.models.model_store import Fitted
from app.services.models.monitoring import monitor
from app.services.operations import operations, parts
from app.services.operations.parts import Part

__all__ = ["due", "fit_part", "fit_result", "monitor", "prepare", "refit"]

DRIFTED_SHARE = 0.25
"""Of the share of new facts that calls for a fit, where the calibration has drifted."""


HORIZON_CHANGED = "horizon_changed"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The model that a run is to score with, why another one was fitted, if so, and what decided.

    A fit that the run does not wait for has no comparison yet.
    """

    model_id: str
    refit: str | None = None
    comparison: dict[str, Any] | None = None


async def prepare(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> Prepared:
    """Settle which model a run is to score with, fitting one if there is none.

    Where the one in force has become old, a fit is submitted; this run does not wait for it. It
    does where the horizon has changed: lists and cards are to speak of one.
    """
    asked = part.asked(RunRequest)
    if asked.model_id is not None:
        return Prepared(asked.model_id)
    active_id = (await deployment_settings.pointers(session)).model_id
    if active_id is None or not (await model_store.load(session, active_id)).can_score:
        as_of = as_ofs.parse(asked.as_of, deployment, now)
        horizon = horizons.choose(deployment, None)
        model_id = await model_store.fit(
            session, None, "day", as_of, now, name=part.operation_id, horizon=horizon
        )
        await model_store.activate(session, model_id, now)
        return Prepared(model_id)
    reason = await due(session, deployment, active_id)
    if reason == HORIZON_CHANGED:
        request = _like(await model_store.get(session, active_id), reason)
        fitted, found = await _fit(session, deployment, request, now, name=part.operation_id)
        activated = found is not None and found["activated"]
        return Prepared(fitted.model_id if activated else active_id, reason, found)
    if reason is not None:
        await refit(session, active_id, reason, now)
    return Prepared(active_id, reason)


async def due(session: ReadSession, deployment: Deployment, active_id: str) -> str | None:
    """Return why the model in force is to be fitted anew, or None.

    What arrived is counted since the latest fit, whether that was put in force or not: what was
    found not to be better is not tried again on the same facts, nor for the same horizon.
    """
    if await _horizon_changed(session, deployment, active_id):
        return HORIZON_CHANGED
    latest = select(Model.document["facts"].as_integer()).order_by(Model.fitted_at.desc()).limit(1)
    seen = await session.scalar(latest)
    if seen is None:
        return None
    new = (await training_data.count(session) - seen) / max(seen, 1)
    if new > deployment.refit_share:
        return "new_facts"
    found = await model_store.last_monitor(session, active_id)
    drifted = found is not None and found.drifted
    return "drifted" if drifted and new > DRIFTED_SHARE * deployment.refit_share else None


async def _horizon_changed(session: ReadSession, deployment: Deployment, active_id: str) -> bool:
    """Say whether the model in force is of a horizon that the setting had, and no longer has."""
    row = await model_store.get(session, active_id)
    document = ModelDocument.load(row.document)
    if document.horizon_rule != "setting" or document.horizon_days == deployment.horizon_days:
        return False
    tried = select(Model.model_id).where(
        Model.document["refit"].as_string().is_not(None),
        Model.document["horizon_days"].as_integer() == deployment.horizon_days,
        Model.fitted_at > row.activated_at,
    )
    return await session.scalar(tried.limit(1)) is None


async def refit(session: WriteSession, active_id: str, reason: str, now: datetime) -> None:
    """Submit a fit like that of the model in force, unless another is under way."""
    request = _like(await model_store.get(session, active_id), reason)
    with contextlib.suppress(OperationRunning):
        await operations.submit(session, model_store.FIT, request, now=now)


class FitRequest(ModelRequest):
    """What a fit is asked for: by a caller, or automatically and for which reason."""

    automatic: bool = False
    reason: str | None = None


def _like(row: AnyRow, reason: str) -> FitRequest:
    """Return the request that leads to a model fitted in the same way."""
    document = ModelDocument.load(row.document)
    chosen = document.horizon_rule == "asked_for"
    return FitRequest.model_validate(
        {
            "kind": None if document.requested == fitted_models.DEFAULT else document.requested,
            "time_unit": row.time_unit,
            "horizon_days": document.horizon_days if chosen else None,
            "rfm_cuts": given_cuts.asked_for(document.rfm_given),
            "rhythm_cuts": asdict(model_parts.rhythm(document).cuts),
            "clv_horizon_days": document.clv.horizon_days,
            "annual_discount": document.clv.annual_discount,
            "clv_basis": document.clv.basis,
            "automatic": True,
            "reason": reason,
        }
    )


async def fit_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Do the one part of the operation `model_fit`."""
    asked = part.asked(FitRequest)
    fitted, found = await _fit(session, deployment, asked, now, name=part.operation_id)
    if found is not None:
        outcome = {"refit": asked.reason, "comparison": found}
        if fitted.clv_basis != asked.clv_basis:
            outcome["fallback_clv_basis"] = fitted.clv_basis
        await parts.note(session, part, outcome)


async def _fit(
    session: WriteSession, deployment: Deployment, asked: FitRequest, now: datetime, *, name: str
) -> tuple[Fitted, dict[str, Any] | None]:
    """Fit a model; return it and, of one fitted by itself, how it compares.

    What a person asked for is activated as asked; what was fitted by itself, if it is not worse.
    """
    as_of = as_ofs.parse(asked.as_of, deployment, now)
    fitted = await model_store.fit_keeping(
        session,
        asked.kind,
        asked.time_unit,
        as_of,
        now,
        name=name,
        horizon=horizons.choose(deployment, asked.horizon_days),
        rfm_given=given_cuts.read(deployment, asked.rfm_cuts),
        rhythm_cuts=given_cuts.of_rhythm(asked.rhythm_cuts),
        refit=asked.reason,
        terms=ClvTerms(
            horizon_days=asked.clv_horizon_days,
            annual_discount=asked.annual_discount,
            basis=asked.clv_basis,
        ),
    )
    activated, found = asked.activate, None
    if asked.automatic:
        of_risk = None if asked.kind == fitted_models.AUTO else asked.kind
        found = await comparison.compare(session, fitted, of_risk, as_of.day)
        activated = found["activated"]
    if activated:
        await model_store.activate(session, fitted.model_id, now)
    return fitted, found


async def fit_result(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Return the result of a finished fit, and of an automatic one what decided."""
    del deployment, now
    found: dict[str, Any] = {"model_id": model_store.name_of(part.operation_id)}
    for outcome in await parts.noted(session, part):
        found |= outcome
    return found
