"""Long work that a caller follows."""

from typing import Any, Literal

from pydantic import Field

from app.schemas.common import Page
from app.schemas.types import Answer, Timestamp

State = Literal["pending", "running", "succeeded", "failed", "cancelled"]


class Progress(Answer):
    done: int
    total: int


class Operation(Answer):
    """Long work: poll it until `state` is succeeded, failed or cancelled."""

    id: str = Field(examples=["op_4f1d7c0a9be2"])
    kind: str = Field(examples=["scoring_run"])
    state: State
    progress: Progress
    result: dict[str, Any] | None = Field(examples=[{"run_id": 7}])
    error: dict[str, Any] | None
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None


class OperationPage(Page[Operation]):
    pass
