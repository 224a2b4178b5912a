"""What a worker does of each kind of work: the tasks of its parts, and how it is completed."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from app.deployment import Deployment
from app.postgres.db import WriteSession
from app.services.ingest.imports import running, uploads
from app.services.models import backtests, model_store, refitting
from app.services.operations.parts import Part
from app.services.policy_changes import activations, previews, taking_effect
from app.services.rebuilds import rebuilds
from app.services.runs import aggregates, query_parts, runs
from app.services.runs.live_reports import long_reports
from app.services.runs.segments import updates

Task = Callable[[WriteSession, Deployment, Part, datetime], Awaitable[bool | None]]
"""Returns True if it has done what may be committed of the part, and there is more to do."""
Completion = Callable[[WriteSession, Deployment, Part, datetime], Awaitable[dict[str, Any] | None]]
"""Returns the result of the operation, or None if there are further parts to do."""

TASKS: dict[str, Task] = {
    model_store.FIT: refitting.fit_part,
    backtests.BACKTEST: backtests.test_part,
    runs.RUN: runs.plan_part,
    "transition": runs.transition_part,
    "score": runs.score_part,
    "index": runs.index_part,
    previews.PREVIEW: previews.plan_part,
    previews.COMPARE: previews.compare_part,
    activations.ACTIVATION: activations.plan_part,
    taking_effect.AWAIT: taking_effect.await_writers_part,
    taking_effect.APPLY: taking_effect.apply_part,
    rebuilds.REBUILD: rebuilds.plan_part,
    rebuilds.DERIVE: rebuilds.derive_part,
    uploads.IMPORT: running.step,
    query_parts.QUERY: query_parts.plan_part,
    query_parts.LOOK: query_parts.look_part,
    aggregates.AGGREGATE: aggregates.plan_part,
    aggregates.ADD_UP: aggregates.add_up_part,
    long_reports.REPORT: long_reports.make_part,
    updates.UPDATE: updates.plan_part,
    updates.KEEP: updates.keep_part,
}
COMPLETIONS: dict[str, Completion] = {
    model_store.FIT: refitting.fit_result,
    backtests.BACKTEST: backtests.result,
    runs.RUN: runs.complete,
    previews.PREVIEW: previews.result,
    activations.ACTIVATION: activations.apply_next_parts,
    rebuilds.REBUILD: rebuilds.result,
    uploads.IMPORT: running.result,
    query_parts.QUERY: query_parts.result,
    aggregates.AGGREGATE: aggregates.result,
    long_reports.REPORT: long_reports.result,
    updates.UPDATE: updates.result,
}
