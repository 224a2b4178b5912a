"""Fitted models: fitting them in an operation, putting them in force, and reading them back."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import insert, select, update

from app.days import AsOf
from app.deployment import Deployment
from app.errors import Conflict, InternalError, NotFound
from app.models import Model, Run
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.models.models import ModelRequest
from app.scoring.churn.rhythm import Cuts
from app.services.common import as_of as as_ofs
from app.services.common import deployment_settings, interaction_kinds
from app.services.common.paging import PageRequest, Sort, fetch_responses
from app.services.customer_base import margins, populations, purchase_log, training_data
from app.services.customer_base.training_data import TrainingData
from app.services.models import (
    clv_terms,
    fitted_models,
    fitting,
    given_cuts,
    model_responses,
)
from app.services.models.fitted_models import FittedModel
from app.services.models.horizons import Horizon
from app.services.models.model_documents import MARGIN, REVENUE, ClvTerms, ModelDocument
from app.services.models.run_monitor import RunMonitor
from app.services.operations import operations

_BY_AGE = Sort((Model.fitted_at, Model.model_id), descending=True)
_COLUMNS = list(Model.__table__.columns)
_loaded: dict[str, FittedModel] = {}
_KEPT = 64
FIT = "model_fit"


async def submit(
    session: WriteSession, deployment: Deployment, asked: ModelRequest, *, now: datetime, by: str
) -> dict[str, Any]:
    """Start to fit a model."""
    as_of = as_ofs.parse(asked.as_of, deployment, now, pointer="/as_of")
    if asked.clv_basis == MARGIN and not await margins.any_by(session, as_of):
        clv_terms.refuse_margin("/clv_basis")
    given_cuts.read(deployment, asked.rfm_cuts)
    await deployment_settings.require_derived(session)
    row = await operations.submit(session, FIT, asked, now=now, requested_by=by)
    return operations.to_response(row)


def name_of(operation_id: str) -> str:
    """Return the id of the model that an operation fits; done again, it is the same one."""
    return "model_" + operation_id.removeprefix("op_")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model that was stored, and what its churn risk was learnt from."""

    model_id: str
    past: TrainingData
    as_of: AsOf
    clv_basis: str


async def fit(
    session: WriteSession,
    kind: str | None,
    time_unit: str,
    as_of: AsOf,
    now: datetime,
    *,
    name: str,
    horizon: Horizon,
) -> str:
    """Fit a model and store it as a candidate; return its id."""
    fitted = await fit_keeping(session, kind, time_unit, as_of, now, name=name, horizon=horizon)
    return fitted.model_id


async def fit_keeping(
    session: WriteSession,
    kind: str | None,
    time_unit: str,
    as_of: AsOf,
    now: datetime,
    *,
    name: str,
    horizon: Horizon,
    rfm_given: Mapping[str, list[float]] | None = None,
    rhythm_cuts: Cuts | None = None,
    terms: ClvTerms | None = None,
    refit: str | None = None,
) -> Fitted:
    """Fit a model to everybody as they stood at `as_of`, and store it as a candidate.

    `refit` says why, where nobody asked for it: then a margin that is no longer known of any
    purchase gives way to revenue, since nobody is there to be told of it.
    """
    population = await populations.read(session, fitted_models.INACTIVITY, as_of)
    log = await purchase_log.read(session, as_of)
    rows = np.flatnonzero(population.summaries.column("facts")).tolist()
    known = [population.customer_ids[row] for row in rows]
    declared = (await interaction_kinds.declared(session)).kinds
    past = await training_data.read_past(session, known, as_of, declared)
    sums = await margins.of_everybody(session, population.customer_ids, as_of)
    terms = terms or ClvTerms()
    if terms.basis == MARGIN and not sums.purchases.any():
        if refit is None:
            clv_terms.refuse_margin("/clv_basis")
        terms = terms.model_copy(update={"basis": REVENUE})
    learn = partial(fitting.learn, kind, time_unit, population, log, past, as_of, sums=sums,
                    horizon=horizon, rfm_given=rfm_given, rhythm_cuts=rhythm_cuts,
                    clv_terms=terms)  # fmt: skip
    chosen, status, document = await asyncio.to_thread(_completed, learn)
    model_id = name_of(name)
    await session.execute(
        insert(Model).values(
            model_id=model_id,
            kind=chosen,
            status=status,
            time_unit=time_unit,
            as_of=as_of.at,
            fitted_at=now,
            customers=int((population.columns.purchase_days > 0).sum()),
            document=ModelDocument(
                **document, facts=await training_data.count(session), refit=refit
            ).dump(),
            state="candidate",
        )
    )
    return Fitted(model_id, past, as_of, terms.basis)


Found = tuple[str, str, dict[str, Any]]


def _completed(learn: Callable[[], Found]) -> Found:
    """Learn; a fit that ends nowhere is said to have failed, and nothing of it is stored."""
    try:
        found = learn()
        json.dumps(found[2], allow_nan=False)
    except (ArithmeticError, np.linalg.LinAlgError, ValueError) as error:
        raise InternalError("The fit came to no result; the model in force stays.") from error
    return found


async def activate(session: WriteSession, model_id: str, now: datetime) -> None:
    """Put a model in force and retire the one before it.

    Whoever does so at the same time waits for the pointer, which is written first.
    """
    await deployment_settings.put(session, deployment_settings.ACTIVE_MODEL, model_id)
    await session.execute(
        update(Model)
        .where(Model.state == "active", Model.model_id != model_id)
        .values(state="retired", retired_at=now)
    )
    await session.execute(
        update(Model)
        .where(Model.model_id == model_id, Model.state != "active")
        .values(state="active", activated_at=now, retired_at=None)
    )


async def choose(
    session: WriteSession, deployment: Deployment, model_id: str, now: datetime
) -> dict[str, Any]:
    """Put a stored model in force because somebody asks for it."""
    row = await get(session, model_id)
    if ModelDocument.load(row.document).rfm_cuts is None:
        raise Conflict(f"Model {model_id!r} was fitted to nobody and cannot score.")
    await activate(session, model_id, now)
    return await describe(session, deployment, model_id)


async def load(session: ReadSession, model_id: str) -> FittedModel:
    """Return a model ready to score with; models never change, so each is read once."""
    if model_id not in _loaded:
        row = await get(session, model_id)
        if len(_loaded) >= _KEPT:
            _loaded.pop(next(iter(_loaded)))
        document = ModelDocument.load(row.document)
        _loaded[model_id] = fitted_models.read(row.model_id, row.as_of, row.time_unit, document)
    return _loaded[model_id]


async def get(session: ReadSession, model_id: str) -> AnyRow:
    """Return a stored model."""
    row = (await session.execute(select(*_COLUMNS).where(Model.model_id == model_id))).one_or_none()
    if row is None:
        raise NotFound(f"There is no model {model_id!r}.")
    return row


async def search(session: ReadSession, deployment: Deployment, page: PageRequest) -> dict[str, Any]:
    """Return a page of models, newest first."""
    statement = select(*_COLUMNS, *_BY_AGE.columns)
    active_id = (await deployment_settings.pointers(session)).model_id
    shown = partial(model_responses.to_response, deployment, active_id=active_id)
    return await fetch_responses(session, statement, page, _BY_AGE, {"list": "models"}, shown)


async def describe(session: ReadSession, deployment: Deployment, model_id: str) -> dict[str, Any]:
    """Return a stored model as the API shows it."""
    row = await get(session, model_id)
    active_id = (await deployment_settings.pointers(session)).model_id
    monitor = await last_monitor(session, model_id)
    shown = model_responses.to_response(deployment, row, active_id)
    return {**shown, "monitor": monitor and monitor.content()}


async def last_monitor(session: ReadSession, model_id: str) -> RunMonitor | None:
    """Return what the latest published run with a model found of what had been told."""
    statement = (
        select(Run.monitor)
        .where(Run.model_id == model_id, Run.published_at.is_not(None), Run.monitor.is_not(None))
        .order_by(Run.run_id.desc())
        .limit(1)
    )
    found = await session.scalar(statement)
    return None if found is None else RunMonitor.load(found)
