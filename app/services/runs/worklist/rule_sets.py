"""Versions of the rules of the worklist: made, read, put in force."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.errors import Conflict, FieldError, NotFound, PreviewExpired, ValidationFailed
from app.lifecycle.expressions import ALWAYS, Expression, terms
from app.lifecycle.variables.definition import Term
from app.models import WorklistRuleSet
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.worklist_rules import DUTIES, WorklistRulesIn
from app.services.common import deployment_settings, signing
from app.services.common.paging import PageRequest, Sort, fetch_responses, next_part
from app.services.common.stored_documents import opened, stamped
from app.services.runs import query_rules
from app.services.runs.query_rules import Reader
from app.services.runs.query_values import is_stored
from app.services.runs.segments import definitions
from app.services.runs.worklist.ready_rules import READY

MOST = 1_000
FRESH: Final = timedelta(hours=24)
"""How long a preview counts."""
_COLUMNS = list(WorklistRuleSet.__table__.columns)
_NEWEST = Sort((WorklistRuleSet.version,), descending=True)
_RANKS: Final[Mapping[str, int]] = {duty: min(place, 2) for place, duty in enumerate(DUTIES)}
"""Complaints, promises, and all others."""


@dataclass(frozen=True, eq=False)
class Rule:
    """What makes a line, read."""

    code: str
    duty: str
    name: Mapping[str, str]
    sentence: Mapping[str, str]
    action: Mapping[str, str] | None
    again_after_days: int
    when: Expression

    @property
    def rank(self) -> int:
        return _RANKS[self.duty]

    @property
    def terms(self) -> tuple[Term, ...]:
        return tuple(terms(self.when))


@dataclass(frozen=True, eq=False)
class RuleSet:
    """A version of the rules; 0 is the ready one."""

    version: int
    lines_a_day: int
    rules: tuple[Rule, ...]
    teams: Mapping[str, tuple[str, ...]]


def compiled(read: Reader, version: int, document: Mapping[str, Any]) -> RuleSet:
    """Return a set that can be asked; whatever is wrong with it is told with pointers."""
    rules = []
    for place, each in enumerate(document["rules"]):
        at = f"/rules/{place}/when"
        when = read.when(each["when"], at)
        if when == ALWAYS and not read.faults:
            read.fault(at, "missing", "is needed: a line needs a reason")
        for term in terms(when):
            if not is_stored(term):
                detail = f"{term.key} is stored nowhere: a list is made of what can be read at once"
                read.fault(at, "not_stored", detail)
        rules.append(Rule(**{name: each[name] for name in _PLAIN}, when=when))
    read.check()
    teams = {each["code"]: tuple(each["owners"]) for each in document["teams"]}
    return RuleSet(version, document["lines_a_day"], tuple(rules), teams)


_PLAIN = ("code", "duty", "name", "sentence", "action", "again_after_days")


async def in_force(session: ReadSession, read: Reader) -> RuleSet:
    """Return the rules by which the list is made."""
    row = await _active(session)
    if row is None:
        return compiled(read, 0, READY)
    return compiled(read, row.version, _document(row))


async def _active(session: ReadSession) -> AnyRow | None:
    statement = (
        select(*_COLUMNS)
        .where(WorklistRuleSet.activated_at.is_not(None))
        .order_by(WorklistRuleSet.activated_at.desc(), WorklistRuleSet.version.desc())
        .limit(1)
    )
    return (await session.execute(statement)).one_or_none()


async def find(session: ReadSession, version: int) -> AnyRow:
    statement = select(*_COLUMNS).where(WorklistRuleSet.version == version)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(f"There are no rules of the worklist of version {version}.")
    return row


async def get(session: ReadSession, read: Reader, version: int) -> RuleSet:
    """Return a version of the rules."""
    if version == 0:
        return compiled(read, 0, READY)
    row = await find(session, version)
    return compiled(read, row.version, _document(row))


def _document(row: AnyRow) -> dict[str, Any]:
    return opened(row.document, "WorklistRuleSet")


async def create(
    session: WriteSession, asked: WorklistRulesIn, *, now: datetime, by: str
) -> dict[str, Any]:
    """Store rules as the next version; the list is made by those in force until it is activated."""
    document = asked.model_dump(mode="json")
    pointers = await deployment_settings.pointers(session)
    compiled(await query_rules.reader(session, pointers), 0, document)
    last = await session.scalar(select(func.max(WorklistRuleSet.version))) or 0
    if last >= MOST:
        raise Conflict(f"There are {MOST} versions of the rules of the worklist, and no more.")
    values = {"version": last + 1, "document": stamped(document), "created_at": now}
    statement = insert(WorklistRuleSet).values(**values, created_by=by)
    made = await session.execute(
        statement.on_conflict_do_nothing().returning(WorklistRuleSet.version)
    )
    if made.one_or_none() is None:
        raise Conflict("Somebody else stored rules at the same time; try again.")
    return await describe(session, last + 1)


async def describe(session: ReadSession, version: int) -> dict[str, Any]:
    """Return a version as the API shows it."""
    active = await _active(session)
    in_force_version = 0 if active is None else active.version
    if version == 0:
        return _ready(in_force_version)
    return _shown(await find(session, version), in_force_version)


async def search(session: ReadSession, page: PageRequest) -> dict[str, Any]:
    """Return a page of versions, newest first; the ready set is on the last one."""
    active = await _active(session)
    version = 0 if active is None else active.version
    bound_to = {"list": "worklist_rules"}
    found = await fetch_responses(
        session,
        select(*_COLUMNS, *_NEWEST.columns),
        page,
        _NEWEST,
        bound_to,
        lambda row: _shown(row, version),
    )
    items = found["items"]
    if found["next_cursor"] is None and len(items) < page.limit:
        items.append(_ready(version))
    elif found["next_cursor"] is None:
        found["next_cursor"] = next_part(page, [items[-1]["version"]], bound_to)
    return found


def _ready(in_force_version: int) -> dict[str, Any]:
    return {
        "version": 0, "in_force": in_force_version == 0, **READY,
        "created_at": None, "created_by": None, "activated_at": None,
    }  # fmt: skip


def _shown(row: AnyRow, in_force_version: int) -> dict[str, Any]:
    return {
        "version": row.version,
        "in_force": row.version == in_force_version,
        **_document(row),
        "created_at": row.created_at,
        "created_by": row.created_by,
        "activated_at": row.activated_at,
    }


def token(version: int, secret: bytes, now: datetime) -> str:
    """Return the word that says that a version was previewed."""
    return signing.sign({"worklist": version, "at": now.isoformat()}, secret)


async def activate(
    session: WriteSession,
    version: int,
    preview_token: str,
    *,
    secret: bytes,
    now: datetime,
    by: str,
) -> dict[str, Any]:
    """Put a version in force that was previewed."""
    seen = signing.read(preview_token, secret)
    if seen is None or seen.get("worklist") != version:
        detail = "take it from the preview of this version"
        raise ValidationFailed(errors=[FieldError("/preview_token", "unknown", detail)])
    if now - datetime.fromisoformat(seen["at"]) > FRESH:
        raise PreviewExpired("The preview is more than 24 hours old; make another.")
    await definitions.change_alone(session)
    pointers = await deployment_settings.pointers(session)
    row = await find(session, version)
    try:  # what it names may have been retired since
        compiled(await query_rules.reader(session, pointers), version, _document(row))
    except ValidationFailed as error:
        fault = error.errors[0]
        detail = f"The rules cannot be read any more, {fault.pointer}: {fault.detail}"
        raise PreviewExpired(detail) from None
    statement = update(WorklistRuleSet).where(WorklistRuleSet.version == version)
    await session.execute(statement.values(activated_at=now, activated_by=by))
    return await describe(session, version)
