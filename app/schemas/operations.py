"""Long work that a caller follows."""

from typing import Any, Literal

from pydantic import Field

from app.schemas.common import Page, Problem
from app.schemas.policies import PreviewCell
from app.schemas.problems import PreviewStaleProblem
from app.schemas.types import Answer, Timestamp

State = Literal["pending", "running", "succeeded", "failed", "cancelled"]


class Progress(Answer):
    done: int
    total: int


class PreviewResult(Answer):
    """Of `policy_preview`: who would move under the version, and what is at stake."""

    policy_version: int = Field(examples=[2])
    active_policy_version: int = Field(description="in force as it was counted", examples=[1])
    as_of: Timestamp
    customers: int = Field(description="all that were counted")
    moving: int = Field(description="those of them who would move")
    matrix: list[PreviewCell] = Field(
        description="moves first, the largest first; then those who would stay"
    )
    token: str = Field(
        description="what `POST /v1/policies/{version}/activate` takes",
        examples=["eyJvIjoib3BfNGYxZCJ9.c2lnbmF0dXJl"],
    )
    token_expires_at: Timestamp


class ActivationResult(Answer):
    """Of `policy_activation`: since when the version is in force, and who moved by it."""

    policy_version: int = Field(examples=[2])
    activated_at: Timestamp
    moved: int = Field(description="customers whose stage the new policy changed")
    matrix: list[PreviewCell] = Field(description="as counted just before")


class RunResult(Answer):
    """Of `scoring_run`: the run that lists and reports now read."""

    run_id: int = Field(examples=[7])
    model_id: str = Field(examples=["model_5f0c2a9d1b7e4c63"])
    customers: int


class FitComparison(Answer):
    """Whether a model fitted of its own accord took the place of the one in force, and why."""

    activated: bool
    reason: str = Field(
        description="no_active_model, too_little_to_compare, not_worse or worse",
        examples=["not_worse"],
    )
    held_out_days: int | None = None
    customers: int | None = Field(None, description="who were compared on")
    than: str | None = Field(None, description="the model in force until then")
    log_loss: float | None = None
    log_loss_of_active: float | None = None
    standard_error: float | None = Field(None, description="of the difference of the two")


class FitResult(Answer):
    """Of `model_fit`: the model that was fitted."""

    model_id: str = Field(examples=["model_5f0c2a9d1b7e4c63"])
    refit: str | None = Field(
        None, description="why it was fitted of its own accord", examples=["drifted"]
    )
    comparison: FitComparison | None = Field(
        None, description="of a model that was fitted of its own accord"
    )


class BacktestResult(Answer):
    """Of `backtest`: where to read it."""

    backtest_id: str = Field(examples=["backtest_5f0c2a9d1b7e4c63"])
    status: str = Field(description="ok or insufficient_history", examples=["ok"])


Result = PreviewResult | ActivationResult | RunResult | FitResult | BacktestResult


def _one_of(schema: dict[str, Any]) -> None:
    # A union is any of its members to pydantic; of these, no two fit one answer.
    schema["oneOf"] = schema.pop("anyOf")


class Operation(Answer):
    """Long work: poll it until `state` is succeeded, failed or cancelled."""

    id: str = Field(examples=["op_4f1d7c0a9be2"])
    kind: str = Field(
        description="`policy_preview`, `policy_activation`, `scoring_run`, `model_fit` or "
        "`backtest`",
        examples=["scoring_run"],
    )
    state: State
    progress: Progress
    result: Result | None = Field(
        description="by `kind`: PreviewResult, ActivationResult, RunResult, FitResult or "
        "BacktestResult; null unless it succeeded",
        examples=[{"run_id": 7, "model_id": "model_5f0c2a9d1b7e4c63", "customers": 1200}],
        json_schema_extra=_one_of,
    )
    error: PreviewStaleProblem | Problem | None = Field(
        description="why it failed; of a `policy_activation` that found customers elsewhere than "
        "the preview did, a PreviewStaleProblem",
        union_mode="left_to_right",
    )
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None


class OperationPage(Page[Operation]):
    pass
