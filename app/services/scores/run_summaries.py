"""What a run amounts to, counted once when it is published."""

from decimal import Decimal
from typing import ClassVar

from app.services.common.stored_documents import Section, StoredDocument


class GroupTotals(Section):
    customers: int
    revenue: Decimal


class StageTotals(GroupTotals):
    value_at_risk: Decimal | None


class RfmCell(Section):
    r: int
    fm: int
    customers: int


class RunSummary(StoredDocument):
    """A run by stage, by cell of R and FM, and by RFM group; sums are exact."""

    version: ClassVar[int] = 2

    stages: dict[str, StageTotals]
    cells: list[RfmCell]
    groups: dict[str, GroupTotals]

    @property
    def customers(self) -> int:
        return sum(each.customers for each in self.stages.values())
