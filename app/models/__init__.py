"""The tables, one family a file."""

from app.models.access import ApiKey, AuditEntry, IdempotencyKey, Setting
from app.models.base import Base
from app.models.churn_record import ChurnRecord, ChurnRecordRevision
from app.models.customer import Customer, CustomerSearch, ProfileChange
from app.models.imports import Import, ImportPiece, ImportRejection, Mapping, Source
from app.models.interaction import (
    Interaction,
    InteractionDay,
    InteractionKind,
    InteractionRevision,
)
from app.models.operation import Operation, OperationPart
from app.models.rebuild import RebuildDifference
from app.models.scoring import Backtest, Model, Run
from app.models.segment import CustomerSegments, Segment, SegmentPeriod, SegmentVersion
from app.models.stage import Policy, PolicyActivation, StageOverride, StageTransition
from app.models.transaction import (
    PurchaseDay,
    PurchaseSummary,
    RefundAllocation,
    Transaction,
    TransactionRevision,
    UnallocatedRefund,
)
from app.models.worklist import WorklistRuleSet

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Backtest",
    "Base",
    "ChurnRecord",
    "ChurnRecordRevision",
    "Customer",
    "CustomerSearch",
    "CustomerSegments",
    "IdempotencyKey",
    "Import",
    "ImportPiece",
    "ImportRejection",
    "Interaction",
    "InteractionDay",
    "InteractionKind",
    "InteractionRevision",
    "Mapping",
    "Model",
    "Operation",
    "OperationPart",
    "Policy",
    "PolicyActivation",
    "ProfileChange",
    "PurchaseDay",
    "PurchaseSummary",
    "RebuildDifference",
    "RefundAllocation",
    "Run",
    "Segment",
    "SegmentPeriod",
    "SegmentVersion",
    "Setting",
    "Source",
    "StageOverride",
    "StageTransition",
    "Transaction",
    "TransactionRevision",
    "UnallocatedRefund",
    "WorklistRuleSet",
]
