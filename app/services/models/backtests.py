"""Back-tests: what churn risk would have told at earlier days, beside what happened."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, text

from app.days import AsOf, from_day
from app.deployment import Deployment
from app.errors import NotFound
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
from app.services.models import calibration_chart, churn_learning, model_store
from app.services.models.fitted_models import DEFAULT_KIND
from app.services.operations import operations
from app.services.operations.parts import Part

BACKTEST = "backtest"
_BY_AGE = Sort((Backtest.created_at, Backtest.backtest_id), descending=True)
_COLUMNS = list(Backtest.__table__.columns)
_BUYERS = text("SELECT customer_id FROM purchase_summaries WHERE facts > 0 ORDER BY customer_id")


class BacktestDocument(StoredDocument):
    """What a back-test found: `mean` over its folds, by contender, and the bands of the last."""

    status: str
    horizon: int
    mean: dict[str, Any]
    bands: dict[str, Any] | None
    folds: list[dict[str, Any]]


async def submit(
    session: WriteSession, deployment: Deployment, asked: BacktestRequest, *, now: datetime, by: str
) -> dict[str, Any]:
    """Start a back-test."""
    as_ofs.parse(asked.as_of, deployment, now, pointer="/as_of")
    await deployment_settings.require_derived(session)
    row = await operations.submit(session, BACKTEST, asked, now=now, requested_by=by)
    return operations.to_response(row)


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
        request.folds,
        in_force.purchases,
    )
    await session.execute(
        insert(Backtest).values(
            backtest_id=name_of(part.operation_id),
            as_of=as_of.at,
            horizon_days=document.horizon,
            folds=request.folds,
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
    past: TrainingData, as_of: AsOf, horizon: int, folds: int, purchases: str
) -> BacktestDocument:
    facts = training_data.in_currency(past.facts)
    found = backtest.run(facts, as_of=as_of.day, horizon=horizon, folds=folds, purchases=purchases)
    found["folds"] = [{**fold, "cut": from_day(fold["cut"]).isoformat()} for fold in found["folds"]]
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
    return {**_head(row), **_body(deployment, BacktestDocument.load(row.document))}


async def search(session: ReadSession, page: PageRequest) -> dict[str, Any]:
    """Return a page of back-tests, newest first, each by its main figures."""
    statement = select(*_COLUMNS, *_BY_AGE.columns)
    return await fetch_responses(session, statement, page, _BY_AGE, {"list": "backtests"}, _head)


async def picture(session: ReadSession, backtest_id: str) -> str:
    """Return the calibration of a back-test as a picture (SVG)."""
    row = await get(session, backtest_id)
    return calibration_chart.draw(BacktestDocument.load(row.document).folds, row.horizon_days)


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


def _body(deployment: Deployment, document: BacktestDocument) -> dict[str, Any]:
    horizon = document.horizon
    return {
        "contenders": document.mean,
        "bands": _bands(document.bands, horizon),
        "folds": [
            {
                **_NOTHING,
                **fold,
                **_worth(deployment, fold),
                "bands": _bands(fold["bands"], horizon),
                "choice": _choice(fold.get("choice")),
            }
            for fold in document.folds
        ],
    }


_OF_CUSTOMERS = ("one_time", "repeat", "new_customers")
_AMOUNTS = ("expected_revenue", "revenue")


def _worth(deployment: Deployment, fold: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a fold that tell of money, with it as money."""

    def told(part: dict[str, Any]) -> dict[str, Any]:
        amounts = {name: deployment.computed_money(part[name]) for name in _AMOUNTS if name in part}
        return {**part, **amounts}

    parts = {name: told(fold[name]) for name in _OF_CUSTOMERS if fold.get(name) is not None}
    return {**parts, "groups": [told(group) for group in fold.get("groups", ())]}


def _choice(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a choice with its guard in words; one of before there was a guard has none."""
    if found is None:
        return None
    return {**found, "guard": churn_learning.guard_in_words(found.get("guard"))}


_NOTHING: dict[str, Any] = dict.fromkeys(
    ("churned", "choice", "intervals", "lift", "one_time", "repeat", "new_customers")
) | {"calibration": [], "curve": [], "groups": []}


def _bands(found: dict[str, Any] | None, horizon: int) -> dict[str, Any] | None:
    if found is None:
        return None
    rows = [{**band, "meaning": churn_learning.meaning(band, horizon)} for band in found["bands"]]
    return {**found, "bands": rows}
