"""Problems that tell more than others: what to branch on besides the code."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.errors import PreviewStale
from app.schemas.common.fields import PolicyVersion
from app.schemas.common.shapes import Problem
from app.schemas.common.types import Answer
from app.schemas.policies.policies import PREVIEW_CELL_EXAMPLE, PreviewCell

PREVIEW_STALE_EXAMPLE: dict[str, Any] = PreviewStale(
    "A cell differs by up to 1 customers from the preview; max_drift allows 0. Nothing was "
    "activated.",
    matrix=[PREVIEW_CELL_EXAMPLE],
    previewed=[{**PREVIEW_CELL_EXAMPLE, "customers": 11}],
).problem(instance="/v1/operations/op_4f1d7c0a9be25d18", request_id="op_4f1d7c0a9be25d18")


class MissingScopeProblem(Problem):
    """The key lacks a scope."""

    code: Literal["missing_scope"] = Field(description="code of the kind, to branch on")
    missing_scope: str = Field(description="the scope that the key needs", examples=["scores:read"])


class RefusedBy(Answer):
    """What refused an override."""

    policy_version: PolicyVersion
    rule: str = Field(description="its place in the document", examples=["transitions/active"])


class InvalidTransitionProblem(Problem):
    """The policy in force allows no such override."""

    code: Literal["invalid_transition"] = Field(description="code of the kind, to branch on")
    current_stage: str = Field(description="where the customer is", examples=["active"])
    allowed: list[str] = Field(
        description="the stages that an override may set", examples=[["loyal", "churned"]]
    )
    refused_by: RefusedBy = Field(description="what in the policy refused it")


class OperationRunningProblem(Problem):
    """Another operation of this kind was asked something else and has not ended."""

    code: Literal["operation_running"] = Field(description="code of the kind, to branch on")
    operation_id: str | None = Field(
        None, description="to follow it", examples=["op_4f1d7c0a9be25d18"]
    )


class PreviewStaleProblem(Problem):
    """Why an activation failed: by more than `max_drift` customers, a cell is another one now."""

    model_config = ConfigDict(json_schema_extra={"examples": [PREVIEW_STALE_EXAMPLE]})

    code: Literal["preview_stale"] = Field(description="code of the kind, to branch on")
    matrix: list[PreviewCell] = Field(description="whose stage would change now")
    previewed: list[PreviewCell] = Field(
        description="whose stage would have changed, as the preview counted"
    )
