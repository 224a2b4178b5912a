"""Segments: declaring one, in another version, retiring it, and showing what there is."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.errors import Conflict, FieldError, NotFound, ValidationFailed
from app.lifecycle.expressions import Expression, comparisons, terms, words
from app.lifecycle.kinds import Kinds
from app.lifecycle.policy import Policy
from app.lifecycle.variables.definition import Variable
from app.models import Segment, SegmentVersion
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.segments import SegmentIn
from app.services.common import deployment_settings, etags, interaction_kinds
from app.services.common.paging import PageRequest, Sort, fetch, fetch_responses
from app.services.policies import policies
from app.services.runs import query_rules
from app.services.runs.query_rules import Reader
from app.services.runs.segments import definitions
from app.services.runs.segments.definitions import Definition, Definitions
from app.services.runs.worklist import rule_sets

MOST = 200
_BY_CODE = Sort((Segment.code,))
_NEWEST = Sort((SegmentVersion.version,), descending=True)
_WHOLE = select(
    Segment.code,
    Segment.version,
    Segment.retired_at,
    Segment.created_at,
    Segment.updated_at,
    Segment.last_used_at,
    SegmentVersion.document,
    SegmentVersion.created_by,
).join(
    SegmentVersion,
    (SegmentVersion.code == Segment.code) & (SegmentVersion.version == Segment.version),
)


async def put(
    session: WriteSession,
    code: str,
    asked: SegmentIn,
    *,
    if_match: str | None,
    now: datetime,
    by: str,
) -> tuple[dict[str, Any], bool]:
    """Declare a segment to be exactly this; return it, and whether it is new.

    What is said again as it is makes no version.
    """
    await definitions.change_alone(session)
    document = asked.model_dump(exclude_none=True)
    before = await _find(session, code)
    is_new = before is None or before.retired_at is not None
    differs = is_new or (before is not None and before.document != document)
    version = 1 if before is None else before.version + 1
    if differs:
        await check(session, Definition(code, version, document), is_new=is_new)
    etags.check(if_match, None if before is None else before.version, f"the segment {code!r}")
    if differs:
        await _write(session, code, version, document, now, by)
    return await describe(session, code), before is None


async def _write(
    session: WriteSession,
    code: str,
    version: int,
    document: Mapping[str, Any],
    now: datetime,
    by: str,
) -> None:
    await session.execute(
        insert(SegmentVersion).values(
            code=code, version=version, document=document, created_at=now, created_by=by
        )
    )
    row = upsert(Segment).values(code=code, version=version, created_at=now, updated_at=now)
    await session.execute(
        row.on_conflict_do_update(
            index_elements=[Segment.code],
            set_={"version": version, "updated_at": now, "retired_at": None},
        )
    )
    await _name_anew(session)


async def _name_anew(session: WriteSession) -> None:
    name = deployment_settings.new_name()
    await deployment_settings.put(session, deployment_settings.SEGMENTS, name)


async def retire(session: WriteSession, code: str, *, now: datetime) -> None:
    """Take a segment out of force that no other one names, nor a rule of the worklist."""
    await definitions.change_alone(session)
    known = await definitions.in_force(session)
    known.require(code)
    kinds = await _kinds(session)
    rules = {other: rule for other, rule in known.rules.items() if other != code}
    for other, rule in rules.items():
        read = _reader(kinds, rules, other)
        read.when(rule, "/rule")
        if not read.is_read:
            raise Conflict(f"The segment {other!r} names {code!r}: change it first.")
    if await _spoilt_worklist(session, kinds, known.rules, rules) is not None:
        raise Conflict(f"A rule of the worklist in force names {code!r}: change it first.")
    await session.execute(update(Segment).where(Segment.code == code).values(retired_at=now))
    await _name_anew(session)


async def _kinds(session: ReadSession) -> Kinds:
    return (await interaction_kinds.declared(session)).kinds


def _no_kept(variable: Variable) -> bool:
    return variable.source != "segments"


class _Reader(Reader):
    """Reads rules of segments, which may not look at what follows from them."""

    allows = staticmethod(_no_kept)
    not_allowed = "is what follows from segments: name one, as {segment: code}"


def _reader(kinds: Kinds, rules: Mapping[str, Any], within: str) -> Reader:
    read = _Reader(kinds)
    read.segments, read.within = rules, [within]
    return read


async def _spoilt_worklist(
    session: ReadSession, kinds: Kinds, before: Mapping[str, Any], after: Mapping[str, Any]
) -> FieldError | None:
    """Return why the rules of the worklist in force, which can be read, could be no more."""
    faults = []
    for rules in (after, before):
        read = Reader(kinds)
        read.segments = rules
        try:
            await rule_sets.in_force(session, read)
        except ValidationFailed as error:
            faults.append(error.errors[0])
        else:
            break
    return faults[0] if len(faults) == 1 else None


async def check(session: ReadSession, asked: Definition, *, is_new: bool = False) -> None:
    """Refuse a segment with a faulty rule, inside itself, or that would spoil what names it."""
    known = (await definitions.in_force(session)).by_code
    if is_new and len(known) >= MOST:
        raise Conflict(f"There are {MOST} segments, as many as are kept. Retire some.")
    kinds = await _kinds(session)
    after = Definitions({**known, asked.code: asked})
    read = _reader(kinds, after.rules, asked.code)
    if asked.parent is not None:
        read.when({"segment": asked.parent}, "")
        read.faults[:] = [fault._replace(pointer="/parent") for fault in read.faults]
    read.when(asked.document["rule"], "/rule")
    read.check()
    for code, rule in after.rules.items():
        other = _reader(kinds, after.rules, code)
        other.when(rule, "/rule")
        if not other.is_read:
            detail = f"the segment {code!r} could not be read any more: {other.faults[0].detail}"
            raise ValidationFailed(errors=[FieldError("/rule", "spoils_segment", detail)])
    spoilt = await _spoilt_worklist(session, kinds, Definitions(known).rules, after.rules)
    if spoilt is not None:
        detail = f"{spoilt.pointer} of the worklist could not be read any more: {spoilt.detail}"
        raise ValidationFailed(errors=[FieldError("/rule", "spoils_worklist", detail)])


async def _find(session: ReadSession, code: str) -> AnyRow | None:
    return (await session.execute(_WHOLE.where(Segment.code == code))).one_or_none()


async def describe(session: ReadSession, code: str) -> dict[str, Any]:
    """Return a segment as it is in force, or as it was when it was retired."""
    row = await _find(session, code)
    if row is None:
        (await definitions.in_force(session)).require(code)
        raise NotFound(f"There is no segment {code!r}.")
    return (await _shows(session))(row)


async def search(session: ReadSession, page: PageRequest) -> dict[str, Any]:
    """Return a page of segments in force, by their codes."""
    statement = _WHOLE.where(Segment.retired_at.is_(None)).add_columns(*_BY_CODE.columns)
    shows = await _shows(session)
    return await fetch_responses(session, statement, page, _BY_CODE, {"list": "segments"}, shows)


async def versions(session: ReadSession, code: str, page: PageRequest) -> dict[str, Any]:
    """Return a page of the versions of a segment, newest first."""
    columns = SegmentVersion.version, SegmentVersion.document, SegmentVersion.created_at
    statement = select(*columns, SegmentVersion.created_by, *_NEWEST.columns).where(
        SegmentVersion.code == code
    )
    bound_to = {"list": "segment_versions", "code": code}
    rows, cursor = await fetch(session, statement, page, _NEWEST, bound_to)
    if not rows and page.cursor is None:
        raise NotFound(f"There is no segment {code!r}.")
    return {"items": [_version(row) for row in rows], "next_cursor": cursor}


def _version(row: AnyRow) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in ("version", "created_at", "created_by")}
    return {**told, "document": row.document}


async def _shows(session: ReadSession) -> Callable[[AnyRow], dict[str, Any]]:
    pointers = await deployment_settings.pointers(session)
    known = await definitions.named(session, pointers.segments)
    kept = await deployment_settings.get(session, deployment_settings.SEGMENTS_KEPT) or {}
    policy = (await policies.timeline(session, pointers.timeline)).current
    return partial(_shown, await query_rules.reader(session, pointers), policy, known, kept)


def _shown(
    read: Reader, policy: Policy, known: Definitions, kept: Mapping[str, Any], row: AnyRow
) -> dict[str, Any]:
    retired = row.retired_at is not None
    rule: Expression | None = None
    if not retired and row.code in known.by_code:
        fresh = Reader(read.kinds)
        fresh.segments = read.segments
        rule = fresh.when({"segment": row.code}, "/rule")
    looks = [] if rule is None else list(comparisons(rule))
    reads = partial(query_rules.can_be_read, policy)
    document = row.document
    is_kept = kept.get("versions", {}).get(row.code) == row.version
    return {
        **{name: getattr(row, name) for name in ("code", "version", "created_at", "updated_at")},
        **{name: document.get(name) for name in ("name", "rule", "parent", "owner", "purpose")},
        "words": None if rule is None else {each: words(rule, each) for each in ("en", "zh")},
        "changed_by": row.created_by,
        "retired_at": row.retired_at,
        "last_used_at": row.last_used_at,
        "kept_on_write": rule is not None and all(map(reads, terms(rule))),
        "changes_with_time": any(each.changes_with_time for each in looks),
        "kept_until": kept["as_of"] if is_kept and not retired else None,
    }
