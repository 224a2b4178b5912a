"""Back-tests: what churn risk would have told at earlier days, beside what happened."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field
from sqlalchemy import insert, select, text

from app.days import AsOf, from_day, to_day
from app.deployment import Deployment
from app.errors import FieldError, NotFound, ValidationFailed
from app.models import Backtest
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.models.backtests import BacktestRequest
from app.scoring.churn import backtest, churn_selection
from app.services.common import as_of as as_ofs
from app.services.common import deployment_settings, interaction_kinds
from app.services.common.paging import PageRequest, Sort, fetch_responses
from app.services.common.stored_documents import StoredDocument
from app.services.customer_base import training_data
from app.services.customer_base.training_data import TrainingData
from app.services.models import backtest_folds, backtest_picture, model_store
from app.services.models.backtest_picture import Language
from app.services.models.fitted_models import DEFAULT_KIND
from app.services.operations import operations
from app.services.operations.parts import Part

BACKTEST = "backtest"
_BY_AGE = Sort((Backtest.created_at, Backtest.backtest_id), descending=True)
_COLUMNS = list(Backtest.__table__.columns)
_BUYERS = text("SELECT customer_id FROM purchase_summaries WHERE facts > 0 ORDER BY customer_id")


class BacktestDocument(StoredDocument):
    """What a back-test found: `mean` over its folds, by contender, and the bands of the last.

    Of before totals were told beside those of the process, there are no errors and no coverage.
    """

    version: ClassVar[int] = 2
    reads: ClassVar[tuple[int, ...]] = (1,)

    status: str
    horizon: int
    mean: dict[str, Any]
    bands: dict[str, Any] | None
    folds: list[dict[str, Any]]
    totals_error: dict[str, float] = Field(default_factory=dict)
    coverage: dict[str, Any] | None = None


async def submit(
    session: WriteSession, deployment: Deployment, asked: BacktestRequest, *, now: datetime, by: str
) -> dict[str, Any]:
    """Start a back-test."""
    as_of = as_ofs.parse(asked.as_of, deployment, now, pointer="/as_of")
    await deployment_settings.require_derived(session)
    if asked.cuts is not None:
        # Cuts are held against the horizon that they were asked with.
        horizon = asked.horizon_days or (await _in_force(session, deployment)).horizon_days
        _check_cuts(asked, as_of, horizon)
        asked = asked.model_copy(update={"horizon_days": horizon})
    row = await operations.submit(session, BACKTEST, asked, now=now, requested_by=by)
    return operations.to_response(row)


def _check_cuts(asked: BacktestRequest, as_of: AsOf, horizon: int) -> None:
    """Refuse cuts that cannot be tested at: their outcomes are not known yet, or asked twice."""
    assert asked.cuts is not None
    last = as_of.day - horizon
    faults = []
    if "folds" in asked.model_fields_set:
        faults.append(FieldError("/folds", "cuts_or_folds", "give cuts or folds, not both"))
    for place, cut in enumerate(asked.cuts):
        pointer = f"/cuts/{place}"
        if to_day(cut) > last:
            detail = f"must be {horizon} days or more before as_of: {from_day(last)} or earlier"
            faults.append(FieldError(pointer, "cut_too_late", detail))
        elif cut in asked.cuts[:place]:
            faults.append(FieldError(pointer, "cut_twice", "must not be given twice"))
    if faults:
        raise ValidationFailed(errors=faults)


async def test_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Do the one part of the operation `backtest`."""
    request = part.asked(BacktestRequest)
    as_of = as_ofs.parse(request.as_of, deployment, now)
    declared = (await interaction_kinds.declared(session)).kinds
    buyers = list(await session.scalars(_BUYERS))
    past = await training_data.read_past(session, buyers, as_of, declared)
    in_force = await _in_force(session, deployment)
    document = await asyncio.to_thread(
        _tested,
        past,
        as_of,
        request.horizon_days or in_force.horizon_days,
        request,
        in_force.purchases,
    )
    await session.execute(
        insert(Backtest).values(
            backtest_id=name_of(part.operation_id),
            as_of=as_of.at,
            horizon_days=document.horizon,
            folds=len(request.cuts or ()) or request.folds,
            created_at=now,
            document=document.dump(),
        )
    )


async def result(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Return the result of a finished back-test."""
    del deployment, now
    row = await get(session, name_of(part.operation_id))
    return {"backtest_id": row.backtest_id, "status": BacktestDocument.load(row.document).status}


def name_of(operation_id: str) -> str:
    """Return the id of the back-test that an operation does."""
    return "backtest_" + operation_id.removeprefix("op_")


@dataclass(frozen=True, slots=True)
class _InForce:
    """What a back-test takes over where none is asked for: as cards and lists have it now."""

    horizon_days: int
    purchases: str


async def _in_force(session: ReadSession, deployment: Deployment) -> _InForce:
    """Return the horizon and the kind of model of purchases of the model in force."""
    active_id = (await deployment_settings.pointers(session)).model_id
    if active_id is None:
        return _InForce(deployment.horizon_days, DEFAULT_KIND)
    model = await model_store.load(session, active_id)
    return _InForce(model.horizon_days, model.kind)


def _tested(
    past: TrainingData, as_of: AsOf, horizon: int, request: BacktestRequest, purchases: str
) -> BacktestDocument:
    found = backtest.run(
        training_data.in_currency(past.facts),
        as_of=as_of.day,
        horizon=horizon,
        folds=request.folds,
        cut_days=None if request.cuts is None else [to_day(cut) for cut in request.cuts],
        purchases=purchases,
    )
    found["folds"] = [_dated(fold) for fold in found["folds"]]
    tested = [fold for fold in found["folds"] if fold["customers"]]
    known = [fold for fold in tested if fold["choice"]["status"] != churn_selection.INSUFFICIENT]
    return BacktestDocument(**found, status="ok" if known else churn_selection.INSUFFICIENT)


async def get(session: ReadSession, backtest_id: str) -> AnyRow:
    """Return a stored back-test."""
    statement = select(*_COLUMNS).where(Backtest.backtest_id == backtest_id)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(f"There is no back-test {backtest_id!r}.")
    return row


async def describe(
    session: ReadSession, deployment: Deployment, backtest_id: str
) -> dict[str, Any]:
    """Return a back-test as the API shows it."""
    row = await get(session, backtest_id)
    document = BacktestDocument.load(row.document)
    return {
        **_head(row),
        "contenders": document.mean,
        "totals_error": document.totals_error,
        "coverage": document.coverage,
        "bands": backtest_folds.bands(document.bands, document.horizon),
        "folds": [
            backtest_folds.to_response(deployment, fold, document.horizon)
            for fold in document.folds
        ],
    }


async def search(session: ReadSession, page: PageRequest) -> dict[str, Any]:
    """Return a page of back-tests, newest first, each by its main figures."""
    statement = select(*_COLUMNS, *_BY_AGE.columns)
    return await fetch_responses(session, statement, page, _BY_AGE, {"list": "backtests"}, _head)


async def picture(session: ReadSession, backtest_id: str, language: Language) -> str:
    """Return what a back-test told beside what happened, as a picture (SVG)."""
    row = await get(session, backtest_id)
    folds = BacktestDocument.load(row.document).folds
    return backtest_picture.draw(folds, row.horizon_days, language)


def _dated(fold: dict[str, Any]) -> dict[str, Any]:
    """Return what was found at a cut with days as dates."""
    growth = fold.get("growth")
    if growth is not None:
        windows = [{**each, "day": from_day(each["day"]).isoformat()} for each in growth["windows"]]
        fold = {**fold, "growth": {**growth, "windows": windows}}
    return {**fold, "cut": from_day(fold["cut"]).isoformat()}


def _head(row: AnyRow) -> dict[str, Any]:
    document = BacktestDocument.load(row.document)
    return {
        "backtest_id": row.backtest_id,
        "status": document.status,
        "as_of": row.as_of,
        "horizon_days": row.horizon_days,
        "folds_asked": row.folds,
        "created_at": row.created_at,
        "chosen": document.mean.get(backtest.CHOSEN),
    }
