"""What a run amounts to, counted once when it is published."""

from decimal import Decimal

from app.services.common.stored_documents import Section, StoredDocument


class GroupTotals(Section):
    customers: int
    revenue: Decimal


class StageTotals(GroupTotals):
    value_at_risk: Decimal | None


class RfmCell(Section):
    r: int
    f: int
    customers: int


class RunSummary(StoredDocument):
    """A run by stage, by RFM cell and by RFM group; sums are exact."""

    stages: dict[str, StageTotals]
    cells: list[RfmCell]
    groups: dict[str, GroupTotals]

    @property
    def customers(self) -> int:
        return sum(each.customers for each in self.stages.values())
