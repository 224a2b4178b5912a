"""The segments there are, with their rules: kept in memory until the settings name others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import and_, select

from app.errors import NotFound
from app.lifecycle.reading_faults import no_segment
from app.models import Segment, SegmentVersion
from app.postgres.db import ReadSession


@dataclass(frozen=True)
class Definition:
    """A segment in force: its version, and what that says."""

    code: str
    version: int
    document: Mapping[str, Any]

    @property
    def parent(self) -> str | None:
        parent: str | None = self.document.get("parent")
        return parent

    @property
    def rule(self) -> dict[str, Any]:
        """The rule as it is read: inside that of the parent, if there is one."""
        own: dict[str, Any] = self.document["rule"]
        return own if self.parent is None else {"all": [{"segment": self.parent}, own]}


@dataclass(frozen=True)
class Definitions:
    """All segments in force, by their codes."""

    by_code: Mapping[str, Definition] = field(default_factory=dict)

    @cached_property
    def rules(self) -> dict[str, Any]:
        return {code: each.rule for code, each in self.by_code.items()}

    @cached_property
    def variables(self) -> frozenset[str]:
        """The names of all variables that their rules look at."""
        return frozenset(_variables([each.document["rule"] for each in self.by_code.values()]))

    def require(self, code: str) -> Definition:
        """Return a segment in force, or raise NotFound."""
        if code not in self.by_code:
            said = no_segment(code, self.by_code)
            raise NotFound(f"{said[0].upper()}{said[1:]}.")
        return self.by_code[code]


def _variables(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("variable"), str):
            yield part["variable"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _variables(each)


NONE = Definitions()
_kept: dict[str, Definitions] = {}
_KEPT = 64
_IN_FORCE = (
    select(SegmentVersion.code, SegmentVersion.version, SegmentVersion.document)
    .join(
        Segment,
        and_(Segment.code == SegmentVersion.code, Segment.version == SegmentVersion.version),
    )
    .where(Segment.retired_at.is_(None))
    .order_by(SegmentVersion.code)
)


async def named(session: ReadSession, name: str | None) -> Definitions:
    """Return the segments that the settings name; one statement, unless they are known."""
    if name is None:
        return NONE
    if name not in _kept:
        found = await in_force(session)
        if len(_kept) >= _KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[name] = found
    return _kept[name]


async def in_force(session: ReadSession) -> Definitions:
    """Read the segments in force."""
    rows = (await session.execute(_IN_FORCE)).all()
    return Definitions({row.code: Definition(*row) for row in rows})
