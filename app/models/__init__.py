"""The tables, one family a file."""

from app.models.access import ApiKey, IdempotencyKey, Setting
from app.models.base import Base
from app.models.customer import Customer
from app.models.operation import Operation, OperationPart
from app.models.scoring import Model, Run, Score
from app.models.stage import Policy, StageTransition
from app.models.transaction import PurchaseSummary, Transaction, TransactionRevision

__all__ = [
    "ApiKey",
    "Base",
    "Customer",
    "IdempotencyKey",
    "Model",
    "Operation",
    "OperationPart",
    "Policy",
    "PurchaseSummary",
    "Run",
    "Score",
    "Setting",
    "StageTransition",
    "Transaction",
    "TransactionRevision",
]
