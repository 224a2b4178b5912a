"""What is to be known of a run to read it, kept in memory: a run never changes once published.

Which run is published is kept too; each answer asks along with its rows whether it still is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy.ext.asyncio import AsyncEngine

from app.days import AsOf, to_day
from app.deployment import Deployment
from app.lifecycle.policy import Policy
from app.postgres.db import AnyRow, ReadSession
from app.services.common import deployment_settings
from app.services.models import clv_terms, model_store
from app.services.models.fitted_models import FittedModel
from app.services.policies import policies
from app.services.scores import intervals, run_rows
from app.services.scores.explanations import RunExplanation
from app.services.scores.risk_answers import kind_of_risk
from app.services.scores.run_summaries import RunSummary

_KEPT = 8


@dataclass(frozen=True, eq=False)
class KeptRun:
    """A published run, its model and its policy; `head` is what a list says of it as a whole.

    `explanation` is None in a run of before reasons were kept with it.
    """

    run_id: int
    created_at: datetime
    as_of: AsOf
    horizon_days: int | None
    policy: Policy
    model: FittedModel
    tells_value_to_save: bool
    explanation: RunExplanation | None
    head: Mapping[str, Any]
    pieces: dict[tuple[Any, ...], bytes] = field(default_factory=dict)
    """Pieces of answers that rows share, by what they are made of; see `risk_rows`."""
    rows: dict[str, tuple[bytes, bytes, bytes]] = field(default_factory=dict)
    """Rows that were shown lately, by customer."""

    @property
    def horizon(self) -> int:
        return self.horizon_days or self.model.horizon_days

    def silent(self, last_purchase_on: date) -> int:
        """Return the days since the last purchase, at the instant of the run."""
        return self.as_of.day - to_day(last_purchase_on)


@dataclass
class _Memory:
    """What a process knows of the runs of a database."""

    published: int | None = None
    runs: dict[int, KeptRun] = field(default_factory=dict)


_memories: WeakKeyDictionary[AsyncEngine, _Memory] = WeakKeyDictionary()


def _memory(session: ReadSession) -> _Memory:
    """Return what is known of the database of a session; nothing, inside a given transaction."""
    bind = session.bind
    return _memories.setdefault(bind, _Memory()) if isinstance(bind, AsyncEngine) else _Memory()


async def published(session: ReadSession, deployment: Deployment) -> KeptRun | None:
    """Return the run that was published when this was last asked; None before the first."""
    memory = _memory(session)
    if memory.published is None:
        memory.published = (await deployment_settings.pointers(session)).run_id
    return None if memory.published is None else await find(session, deployment, memory.published)


async def is_published(session: ReadSession, run: KeptRun, told: int | None) -> bool:
    """Say whether a run still is the published one, by what its rows were read with, if any."""
    if told is None:
        told = (await deployment_settings.pointers(session)).run_id
    _memory(session).published = told
    return told == run.run_id


def forget(session: ReadSession) -> None:
    """Ask anew which run is published."""
    _memory(session).published = None


async def find(session: ReadSession, deployment: Deployment, run_id: int) -> KeptRun | None:
    """Return a published run, None if it is no longer kept; its table may be dropped meanwhile."""
    kept = _memory(session).runs
    if run_id not in kept:
        row = await run_rows.find(session, run_id)
        if row is None or row.published_at is None:
            return None
        if len(kept) >= _KEPT:
            kept.pop(next(iter(kept)))
        kept[run_id] = await _read(session, deployment, row)
    return kept[run_id]


async def _read(session: ReadSession, deployment: Deployment, row: AnyRow) -> KeptRun:
    model = await model_store.load(session, row.model_id)
    explanation, summary = row.explanation, RunSummary.load(row.summary)
    totals = intervals.totals(deployment, summary.sums, model.between)
    return KeptRun(
        run_id=row.run_id,
        created_at=row.created_at,
        as_of=deployment.as_of(row.as_of),
        horizon_days=row.horizon_days,
        policy=await policies.get(session, row.policy_version),
        model=model,
        tells_value_to_save=summary.tells_value_to_save,
        explanation=None if explanation is None else RunExplanation.load(explanation),
        head={**_head(row, model), "totals": totals},
    )


def _head(row: AnyRow, model: FittedModel) -> dict[str, Any]:
    """Return what a list says of its run as a whole."""
    window = 0 if model.risk is None else model.risk.label_window
    risk = kind_of_risk(model, row.horizon_days or model.horizon_days)
    return {
        "as_of": row.as_of,
        "run_id": row.run_id,
        "model_id": row.model_id,
        "stage_policy_version": row.policy_version,
        "churn_risk": {**risk, "label_window_days": window or None},
        "clv": clv_terms.head(model, model.clv_terms),
    }
