"""What a run amounts to, counted once when it is published."""

from decimal import Decimal
from typing import ClassVar

from app.services.common.stored_documents import Section, StoredDocument


class GroupTotals(Section):
    customers: int
    revenue: Decimal


class StageTotals(GroupTotals):
    """Runs of before value to save was told have none."""

    value_to_save: Decimal | None


class RfmCell(Section):
    r: int
    fm: int
    customers: int


class RunSummary(StoredDocument):
    """A run by stage, by cell of R and FM, and by RFM group; sums are exact."""

    version: ClassVar[int] = 3

    stages: dict[str, StageTotals]
    cells: list[RfmCell]
    groups: dict[str, GroupTotals]

    @property
    def tells_value_to_save(self) -> bool:
        """Whether each row of the run says it, so that rows can be ordered by it."""
        return all(each.value_to_save is not None for each in self.stages.values())

    @property
    def customers(self) -> int:
        return sum(each.customers for each in self.stages.values())
