"""What a run amounts to: counted with each part of it, and added up when it is published."""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from app.lifecycle.dated import Floats
from app.money import to_amount
from app.postgres.binary_copy import Column
from app.scoring.rfm import rfm
from app.services.common.stored_documents import Section, StoredDocument
from app.services.scores.intervals import Sums

_CELLS = 10


class GroupTotals(Section):
    customers: int
    revenue: Decimal


class StageTotals(GroupTotals):
    """Runs of before value to save was told have none, nor those of before intervals any sums."""

    value_to_save: Decimal | None
    sums: Sums | None = None


class RfmCell(Section):
    r: int
    fm: int
    customers: int


class RunSummary(StoredDocument):
    """A run by stage, by cell of R and FM, and by RFM group; sums are exact."""

    version: ClassVar[int] = 4
    reads: ClassVar[tuple[int, ...]] = (3,)

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

    @property
    def sums(self) -> Sums | None:
        """What is expected of everybody; None in a run of before that was added up."""
        found = [each.sums for each in self.stages.values()]
        own = [each for each in found if each is not None]
        if len(own) < len(found):
            return None
        return reduce(_sum, own, Sums())

    @classmethod
    def of(
        cls, rows: Mapping[str, Column], expected: Mapping[str, Floats] | None = None
    ) -> "RunSummary":
        """Count rows of a run, given as the columns in which they are written.

        What is `expected` of each row are columns by the names of `Sums`; of nobody without them.
        """
        stages = _totals(rows["stage"], rows["revenue"], rows["value_to_save"])
        sums = _expected(rows["stage"], expected or {})
        groups = _totals(rows["rfm_group"], rows["revenue"]) if "rfm_group" in rows else {}
        return cls(
            stages={
                stage: StageTotals(
                    customers=n, revenue=revenue, value_to_save=to_save, sums=sums[stage]
                )
                for stage, (n, revenue, to_save) in stages.items()
            },
            cells=_cells(rows) if "r" in rows else [],
            groups={
                group: GroupTotals(customers=n, revenue=revenue)
                for group, (n, revenue) in groups.items()
            },
        )

    @classmethod
    def added_up(cls, parts: Iterable["RunSummary"]) -> "RunSummary":
        """Return what parts of a run amount to together."""
        stages: dict[str, StageTotals] = {}
        groups: dict[str, GroupTotals] = {}
        cells = Counter[tuple[int, int]]()
        for part in parts:
            for stage, own in part.stages.items():
                stages[stage] = _sum(stages[stage], own) if stage in stages else own
            for group, totals in part.groups.items():
                groups[group] = _sum(groups[group], totals) if group in groups else totals
            cells.update({(cell.r, cell.fm): cell.customers for cell in part.cells})
        counted = [RfmCell(r=r, fm=fm, customers=n) for (r, fm), n in sorted(cells.items())]
        return cls(stages=stages, cells=counted, groups=groups)


def _sum(one: Any, other: Any) -> Any:
    """Return totals of the same kind, each added to its like; what one lacks, both do."""
    added = {name: _plus(value, getattr(other, name)) for name, value in one}
    return one.model_copy(update=added)


def _plus(value: Any, other: Any) -> Any:
    if value is None or other is None:
        return None
    return _sum(value, other) if isinstance(value, Section) else value + other


def _expected(group: Column, expected: Mapping[str, Floats]) -> dict[str, Sums]:
    """Return by group the sums of what is expected of each row."""
    names, codes = np.asarray(group.values), np.asarray(group.codes)
    nothing = np.zeros(len(codes))
    sums = {
        name: np.bincount(codes, expected.get(name, nothing), len(names)).tolist()
        for name in Sums.model_fields
    }
    return {
        str(group): Sums(**{name: column[place] for name, column in sums.items()})
        for place, group in enumerate(names.tolist())
    }


def _totals(group: Column, *amounts: Column) -> dict[str, tuple[Any, ...]]:
    """Return how many rows each group has, and the exact sums of amounts of them."""
    names, codes = np.asarray(group.values), np.asarray(group.codes)
    there = codes >= 0
    counts = np.bincount(codes[there], minlength=len(names)).tolist()
    sums = [_exact(codes[there], np.asarray(each.values)[there], len(names)) for each in amounts]
    return {
        str(names[place]): (count, *(to_amount(each[place]) for each in sums))
        for place, count in enumerate(counts)
        if count
    }


def _exact(codes: Any, units: Any, size: int) -> list[int]:
    """Return sums of whole numbers of 64 bits, which may be larger than such."""
    units = units.astype(np.int64)
    high, low = units >> 32, units & 0xFFFFFFFF
    halves = (np.bincount(codes, each, size).tolist() for each in (high, low))
    return [(int(upper) << 32) + int(lower) for upper, lower in zip(*halves, strict=True)]


def _cells(rows: Mapping[str, Column]) -> list[RfmCell]:
    scored = ~np.asarray(rows["r"].null)
    r, f, m = (np.asarray(rows[name].values)[scored] for name in ("r", "f", "m"))
    # Both are 1 to 5, and one number says each cell: sorting pairs costs a hundred times as much.
    counts = np.bincount(_CELLS * r.astype(np.int64) + rfm.fm(f, m)).tolist()
    return [
        RfmCell(r=place // _CELLS, fm=place % _CELLS, customers=n)
        for place, n in enumerate(counts)
        if n
    ]
