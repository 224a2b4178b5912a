"""Writing facts through the service, and reading back what it keeps in the words of the twin."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Row, insert, select

from app.deployment import Deployment
from app.models import Model as ModelRow
from app.models import PurchaseSummary, Run, StageTransition
from app.models.scoring import scores_of
from app.postgres.db import ReadSession, WriteSession
from app.schemas.ingest.transactions import TransactionIn
from app.scoring.churn.churn_bands import bands
from app.scoring.purchases import mbg_nbd
from app.scoring.spend import gamma_gamma
from app.services.common import deployment_settings
from app.services.ingest import transactions
from app.services.models import churn_learning
from app.services.models.model_documents import ModelDocument
from app.services.runs import score_tables
from tests.database import NOW
from tests.twin import Fact, Transition
from tests.twin_scores import Model

MODEL = Model(
    purchases=mbg_nbd.Model.from_params(r=0.6, alpha=55.0, a=0.5, b=1.5),
    spend=gamma_gamma.Model.from_params(p=6.25, q=3.74, v=15.4),
    evidence="all_purchases",
    cuts={"r": [-400.0, -180.0, -30.0, -1.0], "f": [1, 2, 4, 7], "m": [1, 10, 50, 150]},
    tier_cuts=(20.0, 5.0),
    gap=44.0,
    reference=(2.0, 150.0, 200.0),
)


async def store_model(session: WriteSession, model_id: str, status: str = "ok") -> None:
    """Store a model that was fitted to nothing, and make it the active one."""
    x, t_x, T = MODEL.reference
    unknown: dict[str, Any] = {"standard_errors": {}, "log_likelihood": None}
    process = {"kind": "mbg_nbd", "status": status, "parameters": MODEL.purchases.params, **unknown}
    spend = {"kind": "gamma_gamma", "status": status, "parameters": MODEL.spend.params, **unknown}
    choice = {"chosen": "mbg_nbd", "status": "ok", "reason": churn_learning.ASKED_FOR, "note": "",
              "horizon": 90, "holdout": 0, "label_window": 0, "extrapolated": False,
              "table": []}  # fmt: skip
    session.add(
        ModelRow(
            model_id=model_id,
            kind="mbg_nbd",
            status=status,
            time_unit="day",
            as_of=NOW,
            fitted_at=NOW,
            customers=100,
            state="active",
            activated_at=NOW,
            document=ModelDocument.model_validate(
                {
                    "requested": "mbg_nbd",
                    "purchases": process,
                    "churn": process,
                    "holdout": None,
                    "window": dict.fromkeys(("first_purchase_on", "last_purchase_on"))
                    | {"repeaters": 0},
                    "spend": {
                        **spend,
                        "customers": 0,
                        "correlation": None,
                        "evidence": MODEL.evidence,
                        "comparison": None,
                    },
                    "clv": {},
                    "margins": None,
                    "population_gap_days": MODEL.gap,
                    "reference_customer": {"x": x, "t_x": t_x, "T": T},
                    "rfm_cuts": MODEL.cuts,
                    "rfm_given": {},
                    "rfm_classes": None,
                    "rfm_means": {"r": -90.0, "f": 3.0, "m": 40.0},
                    "tier_cuts": {"high": MODEL.tier_cuts[0], "medium": MODEL.tier_cuts[1]},
                    "risk": None,
                    "risk_choice": choice,
                    "horizon_days": 90,
                    "horizon_rule": "asked_for",
                    "suggested_horizon_days": None,
                    "bands": bands([], []).as_dict(),
                    "interaction_kinds": {},
                }
            ).dump(),
        )
    )
    await session.flush()
    await deployment_settings.put(session, deployment_settings.ACTIVE_MODEL, model_id)


def as_item(customer_id: str, fact: Fact) -> dict[str, Any]:
    source, transaction_id = fact.name
    named = fact.refunds
    return {
        "customer_id": customer_id,
        "source": source,
        "transaction_id": transaction_id,
        "occurred_at": fact.at.isoformat(),
        "kind": fact.kind,
        "amount": {"amount": str(fact.amount), "currency": fact.currency},
        "exchange_rate": None if fact.rate is None else str(fact.rate),
        "revision": fact.revision,
        "refunds": named and {"source": named[0], "transaction_id": named[1]},
        "channel": fact.channel,
        "items": [
            {
                "product_id": line.product,
                "category": line.category,
                "quantity": line.quantity,
                "unit_price": {"amount": str(line.unit_price)},
            }
            for line in fact.lines
        ]
        or None,
    }


async def ingest(
    session: WriteSession, deployment: Deployment, batch: list[dict[str, Any]], now: datetime
) -> list[str]:
    items = [TransactionIn.model_validate(item) for item in batch]
    done = await transactions.ingest(
        session, deployment, items, atomic=len(items) % 2 == 0, now=now
    )
    return [status for status, _ in done.outcomes]


async def kept_summary(session: ReadSession, customer_id: str) -> dict[str, Any]:
    statement = select(*PurchaseSummary.__table__.columns).where(
        PurchaseSummary.customer_id == customer_id
    )
    row = dict((await session.execute(statement)).one()._mapping)
    del row["customer_id"]
    return row | {"sum_log_gaps": pytest.approx(row["sum_log_gaps"], rel=1e-12)}


async def kept_ledger(session: ReadSession, customer_id: str) -> list[Transition]:
    statement = (
        select(StageTransition)
        .where(StageTransition.customer_id == customer_id, StageTransition.voided_at.is_(None))
        .order_by(StageTransition.effective_at)
        .execution_options(populate_existing=True)
    )
    return [
        Transition(row.from_stage, row.to_stage, row.effective_at, row.cause, row.rule,
             {name: pytest.approx(value or 0, rel=1e-9) for name, value in row.evidence.items()})
        for row in await session.scalars(statement)
    ]  # fmt: skip


async def store_run(
    session: WriteSession,
    *,
    scored: Sequence[str],
    operation_id: str = "op_of_a_run",
    **more: Any,
) -> int:
    """Store a run, and in its table a row for each of some customers who never purchased."""
    run = Run(operation_id=operation_id, model_id="m", policy_version=1, as_of=NOW, created_at=NOW,
              **more)  # fmt: skip
    session.add(run)
    await session.flush()
    await score_tables.create(session, run.run_id)
    row = {"stage": "s", "status": "ok", "call_reasons": [], "purchase_days": 0, "revenue": 0}
    if scored:
        rows = [{"customer_id": each, **row} for each in scored]
        await session.execute(insert(scores_of(run.run_id)), rows)
    return run.run_id


async def kept_scores(session: ReadSession, run_id: int) -> dict[str, Row[Any]]:
    """Return the rows of a run by customer, each of whom has one."""
    rows = (await session.execute(select(scores_of(run_id)))).all()
    found = {row.customer_id: row for row in rows}
    assert len(found) == len(rows)
    return found
