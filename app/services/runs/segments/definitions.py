"""The segments there are, with their rules: kept in memory until the settings name others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import and_, select, text

from app.errors import NotFound
from app.lifecycle.reading_faults import no_segment
from app.models import Segment, SegmentVersion
from app.postgres.db import ReadSession, WriteSession
from app.services.common import deployment_settings


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
        rules = [each.document["rule"] for each in self.by_code.values()]
        return frozenset(named_in(rules, "variable"))

    def require(self, code: str) -> Definition:
        """Return a segment in force, or raise NotFound."""
        if code not in self.by_code:
            said = no_segment(code, self.by_code)
            raise NotFound(f"{said[0].upper()}{said[1:]}.")
        return self.by_code[code]


def named_in(part: Any, key: str) -> Iterator[str]:
    """Give what rules name by a key, however deep: a `variable`, a `segment`."""
    if isinstance(part, dict):
        if isinstance(part.get(key), str):
            yield part[key]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from named_in(each, key)


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
_ALONE = text(
    "INSERT INTO settings (key, value) VALUES (:key, 'null')"
    " ON CONFLICT (key) DO UPDATE SET value = settings.value"
)


async def change_alone(session: WriteSession) -> None:
    """Let nobody else change segments, or what names them, before this transaction has ended.

    Of two changes, each of which is fine, both may lead in a circle, or to a name of nothing.
    """
    await session.execute(_ALONE, {"key": deployment_settings.SEGMENTS})


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
