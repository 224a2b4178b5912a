"""Fitted models: fitting them in an operation, and reading them back."""

import asyncio
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import insert, select

from app.days import AsOf
from app.db import AnyRow, ReadSession, WriteSession
from app.deployment import Deployment
from app.errors import NotFound
from app.models import Model
from app.schemas.models import ModelRequest
from app.services import as_of as as_ofs
from app.services import learning, operations, populations, purchase_log, settings
from app.services.learning import Learnt
from app.services.paging import PageRequest, Sort, fetch_shown
from app.services.parts import Part

_BY_AGE = Sort((Model.fitted_at, Model.model_id), descending=True)
_COLUMNS = list(Model.__table__.columns)
_loaded: dict[str, Learnt] = {}
_KEPT = 64
FIT = "model_fit"


async def submit(
    session: WriteSession, here: Deployment, asked: ModelRequest, *, now: datetime, by: str
) -> dict[str, Any]:
    """Start to fit a model."""
    as_ofs.parse(asked.as_of, here, now, pointer="/as_of")
    row = await operations.submit(
        session, FIT, asked.model_dump(mode="json"), now=now, requested_by=by
    )
    return operations.shown(row)


async def fit_part(session: WriteSession, here: Deployment, part: Part, now: datetime) -> None:
    """Do the one part of the operation `model_fit`."""
    request = part.request
    as_of = as_ofs.parse(request.get("as_of"), here, now)
    model_id = await fit(
        session, request["kind"], request["time_unit"], as_of, now, name=part.operation_id
    )
    if request["activate"]:
        await settings.put(session, settings.ACTIVE_MODEL, model_id)


async def fit_result(
    session: WriteSession, here: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Return the result of a finished fit."""
    del session, here, now
    return {"model_id": name_of(part.operation_id)}


def name_of(operation_id: str) -> str:
    """Return the id of the model that an operation fits; done again, it is the same one."""
    return "model_" + operation_id.removeprefix("op_")


async def fit(
    session: WriteSession,
    kind: str,
    time_unit: str,
    as_of: AsOf,
    now: datetime,
    *,
    name: str,
) -> str:
    """Fit a model to everybody as they stood at `as_of`, and store it."""
    people = await populations.read(session, learning.SILENCE, as_of)
    log = await purchase_log.read(session, as_of)
    chosen, status, document = await asyncio.to_thread(
        learning.learn, kind, time_unit, people, log, as_of
    )
    model_id = name_of(name)
    await session.execute(
        insert(Model).values(
            model_id=model_id,
            kind=chosen,
            status=status,
            time_unit=time_unit,
            as_of=as_of.at,
            fitted_at=now,
            customers=int((people.columns.purchase_days > 0).sum()),
            document=document,
            state="candidate",
        )
    )
    return model_id


async def load(session: ReadSession, model_id: str) -> Learnt:
    """Return a model ready to score with; models never change, so each is read once."""
    if model_id not in _loaded:
        row = await get(session, model_id)
        if len(_loaded) >= _KEPT:
            _loaded.pop(next(iter(_loaded)))
        _loaded[model_id] = learning.read(row.model_id, row.as_of, row.time_unit, row.document)
    return _loaded[model_id]


async def get(session: ReadSession, model_id: str) -> AnyRow:
    """Return a stored model."""
    row = (await session.execute(select(*_COLUMNS).where(Model.model_id == model_id))).one_or_none()
    if row is None:
        raise NotFound(f"There is no model {model_id!r}.")
    return row


async def search(session: ReadSession, page: PageRequest) -> dict[str, Any]:
    """Return a page of models, newest first."""
    statement = select(*_COLUMNS, *_BY_AGE.columns)
    active_id = (await settings.pointers(session)).model_id
    shown = partial(_shown, active_id=active_id)
    return await fetch_shown(session, statement, page, _BY_AGE, {"list": "models"}, shown)


async def describe(session: ReadSession, model_id: str) -> dict[str, Any]:
    """Return a stored model as the API shows it."""
    row = await get(session, model_id)
    return _shown(row, (await settings.pointers(session)).model_id)


def _shown(row: AnyRow, active_id: str | None) -> dict[str, Any]:
    document = row.document
    return {
        "model_id": row.model_id,
        "kind": row.kind,
        "active": row.model_id == active_id,
        "status": row.status,
        "as_of": row.as_of,
        "fitted_at": row.fitted_at,
        "time_unit": row.time_unit,
        "customers": row.customers,
        "window": document["window"],
        "requested": document["requested"],
        "parameters": document["purchases"]["parameters"],
        "standard_errors": document["purchases"]["standard_errors"],
        "log_likelihood": document["purchases"]["log_likelihood"],
        "churn": document["churn"],
        "holdout": document["holdout"],
        "spend": document["spend"],
        "cuts": {
            "rfm": document["rfm_cuts"],
            "rfm_means": document["rfm_means"],
            "value_tier": document["tier_cuts"],
        },
        "population_gap_days": document["population_gap_days"],
        "reference_customer": document["reference_customer"],
    }
