"""Problems that tell more than others: what to branch on besides the code."""

from typing import Literal

from pydantic import Field, RootModel

from app.schemas.common import Problem
from app.schemas.policies import PreviewCell
from app.schemas.types import Answer


class MissingScopeProblem(Problem):
    """The key lacks a scope."""

    code: Literal["missing_scope"]
    missing_scope: str = Field(examples=["scores:read"])


class RefusedBy(Answer):
    """What refused a move by hand."""

    policy_version: int = Field(examples=[1])
    rule: str = Field(description="its place in the document", examples=["moves/active"])


class InvalidTransitionProblem(Problem):
    """The policy in force allows no such move by hand."""

    code: Literal["invalid_transition"]
    current_stage: str = Field(description="where the customer is", examples=["active"])
    allowed: list[str] = Field(
        description="where the customer may be moved", examples=[["loyal", "churned"]]
    )
    refused_by: RefusedBy


class OperationRunningProblem(Problem):
    """Another operation of this kind was asked something else and has not ended."""

    code: Literal["operation_running"]
    operation_id: str | None = Field(
        None, description="to follow it", examples=["op_4f1d7c0a9be25d18"]
    )


class PreviewStaleProblem(Problem):
    """Why an activation failed: more customers than `max_drift` moved between its two counts."""

    code: Literal["preview_stale"]
    matrix: list[PreviewCell] = Field(description="who would move now")
    previewed: list[PreviewCell] = Field(description="who would have moved, as the preview counted")


class ConflictProblem(
    RootModel[InvalidTransitionProblem | OperationRunningProblem | PreviewStaleProblem | Problem]
):
    """What is stored stands against it; some codes tell more."""
