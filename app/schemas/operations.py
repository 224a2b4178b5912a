"""Long work that a caller follows: one shape for each kind of it."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from app.schemas.common.fields import (
    AsOfInstant,
    BacktestKey,
    CreatedAt,
    CustomerKey,
    Customers,
    LogLoss,
    ModelKey,
    PolicyVersion,
    RunKey,
    StageCode,
)
from app.schemas.common.shapes import Page, Problem
from app.schemas.common.types import Answer, Timestamp
from app.schemas.ingest.imports import ImportTotals
from app.schemas.models.clv import ClvBasis
from app.schemas.models.risk import RiskGuard
from app.schemas.policies.policies import PreviewCell
from app.schemas.problems import PreviewStaleProblem
from app.schemas.progress import Progress, Waiting
from app.schemas.queries import AggregateAnswer, QueryResult
from app.schemas.rebuilds import RebuildResult
from app.schemas.reports import Report
from app.schemas.segments import SegmentUpdateResult

State = Literal["pending", "running", "succeeded", "failed", "cancelled"]
_KIND = "what work it is"
_RESULT = "what came of it; null unless it succeeded"


class LostOverride(Answer):
    """An override that a change of policy ends: `maps` of the version could carry it over."""

    customer_id: CustomerKey
    stage: StageCode = Field(description="the stage that somebody set")


class LostOverrides(Answer):
    """Overrides for which a version has no stage, neither by `maps`, nor by code or role."""

    customers: int = Field(description="how many customers", examples=[1])
    items: list[LostOverride] = Field(description="the first 1,000 of them, by id")


class PreviewResult(Answer):
    """Whose stage would change under the version, and what is at stake."""

    policy_version: PolicyVersion
    active_policy_version: int = Field(
        description="the version in force as it was counted", examples=[1]
    )
    as_of: AsOfInstant
    customers: int = Field(description="all customers that were counted")
    transitions: int = Field(description="customers among them whose stage would change")
    renamed: int = Field(
        0, description="customers who would stay in a stage that the version calls otherwise"
    )
    lost_overrides: LostOverrides = Field(
        LostOverrides(customers=0, items=[]),
        description="overrides that would end, since the version has no stage for them",
    )
    matrix: list[PreviewCell] = Field(
        description="customers by stage now and then: changes first, then renamed, the largest "
        "first"
    )
    token: str = Field(
        description="what `POST /v1/policies/{version}/activate` takes",
        examples=["eyJvIjoib3BfNGYxZCJ9.c2lnbmF0dXJl"],
    )
    token_expires_at: Timestamp = Field(description="until when it is taken")


class ActivationResult(Answer):
    """Since when the version is in force, and whose stage changed by it."""

    policy_version: PolicyVersion
    activated_at: Timestamp = Field(description="since when the version is in force")
    transitions: int = Field(description="customers whose stage the new policy changed")
    matrix: list[PreviewCell] = Field(
        description="customers by stage before and after, as counted just before"
    )


class FitComparison(Answer):
    """Whether a model fitted of its own accord took the place of the one in force, and why."""

    activated: bool = Field(description="whether it is the one in force now")
    reason: str = Field(
        description="no_active_model, too_little_to_compare, not_worse, worse or "
        "loses_to_base_rate",
        examples=["not_worse"],
    )
    held_out_days: int | None = Field(
        None, description="days at the end of the history on which they were compared"
    )
    customers: int | None = Field(None, description="customers they were compared on")
    than: str | None = Field(
        None,
        description="id of the model in force until then",
        examples=["model_5f0c2a9d1b7e4c63"],
    )
    log_loss: LogLoss | None = None
    log_loss_of_active: LogLoss | None = Field(
        None, description="log loss of the model in force until then"
    )
    log_loss_of_base_rate: float | None = Field(
        None, description="log loss of the base rate, as it was told before those days"
    )
    standard_error: float | None = Field(
        None, description="standard error of the difference of the two models"
    )
    guard: RiskGuard | None = Field(
        None, description="of the new model: what serves its churn risk in place of what, and why"
    )


class RunResult(Answer):
    """A run of everybody, which lists and reports read unless theirs is of a later instant."""

    run_id: RunKey
    model_id: ModelKey
    customers: Customers
    published: bool = Field(
        description="whether lists and reports now read it; false where they read one of a later "
        "instant: then it is read by its id"
    )
    refit: str | None = Field(
        None,
        description="why another model was fitted: new_facts or drifted, beside this run; "
        "horizon_changed, before it; null if none was",
        examples=["new_facts"],
    )
    comparison: FitComparison | None = Field(
        None, description="how one fitted before this run compares; null if none was"
    )


class FitResult(Answer):
    """The model that was fitted."""

    model_id: ModelKey
    refit: str | None = Field(
        None,
        description="why it was fitted of its own accord: new_facts, drifted or horizon_changed; "
        "else null",
        examples=["drifted"],
    )
    comparison: FitComparison | None = Field(
        None, description="of a model that was fitted of its own accord; else null"
    )
    fallback_clv_basis: ClvBasis | None = Field(
        None,
        description="what the lifetime value of a model that was fitted of its own accord is of, "
        "where it could not stay as it was: revenue, since no purchase carries a margin any more; "
        "else null",
    )


class BacktestResult(Answer):
    """Where to read the back-test."""

    backtest_id: BacktestKey
    status: Literal["ok", "insufficient_history"] = Field(
        description="whether there was enough history to test on"
    )


class _LongWork(Answer):
    """Poll it until `state` is succeeded, failed or cancelled."""

    id: str = Field(description="id of the operation", examples=["op_4f1d7c0a9be25d18"])
    state: State = Field(description="where the work stands")
    progress: Progress = Field(description="how far it has come")
    waiting: Waiting | None = Field(
        None, description="why it does not come further; null where it does, or has ended"
    )
    error: Problem | None = Field(description="why it failed; else null")
    created_at: CreatedAt
    started_at: Timestamp | None = Field(description="when work on it began; null before")
    finished_at: Timestamp | None = Field(description="when it ended; null before")


class PolicyPreviewOperation(_LongWork):
    """Counts whose stage would change under another version of the policy."""

    kind: Literal["policy_preview"] = Field(description=_KIND)
    result: PreviewResult | None = Field(description=_RESULT)


class PolicyActivationOperation(_LongWork):
    """Puts a version of the policy in force."""

    kind: Literal["policy_activation"] = Field(description=_KIND)
    result: ActivationResult | None = Field(description=_RESULT)
    error: PreviewStaleProblem | Problem | None = Field(
        description="why it failed, a PreviewStaleProblem where the preview no longer holds; else "
        "null",
        union_mode="left_to_right",
    )


class ScoringRunOperation(_LongWork):
    """Scores everybody."""

    kind: Literal["scoring_run"] = Field(description=_KIND)
    result: RunResult | None = Field(description=_RESULT)


class ModelFitOperation(_LongWork):
    """Fits a model."""

    kind: Literal["model_fit"] = Field(description=_KIND)
    result: FitResult | None = Field(description=_RESULT)


class BacktestOperation(_LongWork):
    """Tests churn risk on the past."""

    kind: Literal["backtest"] = Field(description=_KIND)
    result: BacktestResult | None = Field(description=_RESULT)


class RebuildOperation(_LongWork):
    """Derives anew, from the facts, whatever is kept of customers, and compares."""

    kind: Literal["rebuild"] = Field(description=_KIND)
    result: RebuildResult | None = Field(description=_RESULT)


class ImportOperation(_LongWork):
    """Reads a file that was sent, row by row."""

    kind: Literal["import"] = Field(description=_KIND)
    result: ImportTotals | None = Field(description=_RESULT)


class CustomerQueryOperation(_LongWork):
    """Finds for whom a rule holds that is evaluated for everybody."""

    kind: Literal["customer_query"] = Field(description=_KIND)
    result: QueryResult | None = Field(description=_RESULT)


class CustomerAggregateOperation(_LongWork):
    """Adds customers up in groups by what is evaluated for everybody."""

    kind: Literal["customer_aggregate"] = Field(description=_KIND)
    result: AggregateAnswer | None = Field(description=_RESULT)


class ReportOperation(_LongWork):
    """Makes a report that takes longer than a request may."""

    kind: Literal["report"] = Field(description=_KIND)
    result: Report | None = Field(description=_RESULT)


class SegmentUpdateOperation(_LongWork):
    """Brings up to date in which segments everybody is."""

    kind: Literal["segment_update"] = Field(description=_KIND)
    result: SegmentUpdateResult | None = Field(description=_RESULT)


AnyOperation = Annotated[
    PolicyPreviewOperation
    | PolicyActivationOperation
    | ScoringRunOperation
    | ModelFitOperation
    | BacktestOperation
    | RebuildOperation
    | ImportOperation
    | CustomerQueryOperation
    | CustomerAggregateOperation
    | ReportOperation
    | SegmentUpdateOperation,
    Field(discriminator="kind"),
]


class Operation(RootModel[AnyOperation]):
    """Long work: poll it until `state` is succeeded, failed or cancelled."""


class OperationPage(Page[AnyOperation]):
    """A page of operations."""
