"""The tables, one family a file."""

from app.models.access import ApiKey, IdempotencyKey, Setting
from app.models.base import Base
from app.models.customer import Customer
from app.models.interaction import Interaction, InteractionDay, InteractionRevision
from app.models.operation import Operation, OperationPart
from app.models.rebuild import RebuildDifference
from app.models.scoring import Backtest, Model, Run, Score
from app.models.stage import Policy, PolicyActivation, StageOverride, StageTransition
from app.models.transaction import (
    PurchaseSummary,
    RefundAllocation,
    Transaction,
    TransactionRevision,
    UnallocatedRefund,
)

__all__ = [
    "ApiKey",
    "Backtest",
    "Base",
    "Customer",
    "IdempotencyKey",
    "Interaction",
    "InteractionDay",
    "InteractionRevision",
    "Model",
    "Operation",
    "OperationPart",
    "Policy",
    "PolicyActivation",
    "PurchaseSummary",
    "RebuildDifference",
    "RefundAllocation",
    "Run",
    "Score",
    "Setting",
    "StageOverride",
    "StageTransition",
    "Transaction",
    "TransactionRevision",
    "UnallocatedRefund",
]
