"""Mappings: kept by version, tried on a sample, proposed for one."""

import asyncio
from collections import Counter
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from app.deployment import Deployment
from app.errors import Conflict
from app.mappings.applying import LeftOut, Mapped, Mapper, Rejected, outcomes
from app.mappings.compiling import Context, Plan
from app.mappings.document import MappingDocument
from app.mappings.faults import InvalidMapping, UnreadableFile
from app.mappings.presets import registry
from app.mappings.proposing import propose_for
from app.mappings.reading import read
from app.models import Mapping as StoredMapping
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.ingest.mappings import MappingProposalRequest, MappingTest
from app.services.common.paging import PageRequest, Sort, fetch_responses
from app.services.ingest.imports import doors, orders, tallies

_BY_NAME = Sort((StoredMapping.name,))
_COLUMNS = list(StoredMapping.__table__.columns)
_SHOWN, _TRIED = 100, 10_000
_LAST = (
    select(StoredMapping.name, func.max(StoredMapping.version).label("version"))
    .group_by(StoredMapping.name)
    .subquery()
)


async def put(
    session: WriteSession, name: str, document: dict[str, Any], *, now: datetime, by: str
) -> tuple[dict[str, Any], bool]:
    """Store a mapping as its next version, unless it is the last one already."""
    content = _dumped(orders.parsed(document))
    for _ in range(3):
        last = await orders.last(session, name)
        if last is not None and last.document == content:
            return to_response(last), False
        version = 1 if last is None else last.version + 1
        values = {"name": name, "version": version, "document": content}
        inserted = (
            insert(StoredMapping)
            .values(**values, created_at=now, created_by=by)
            .on_conflict_do_nothing()  # somebody else was quicker
            .returning(*_COLUMNS)
        )
        row = (await session.execute(inserted)).one_or_none()
        if row is not None:
            return to_response(row), True
    raise Conflict("The mapping keeps changing; try again.")


def _dumped(document: MappingDocument) -> dict[str, Any]:
    return document.model_dump(mode="json", by_alias=True, exclude_none=True)


def to_response(row: AnyRow) -> dict[str, Any]:
    """Return a stored mapping as the API shows it."""
    return {column.key: getattr(row, column.key) for column in _COLUMNS}


async def describe(session: ReadSession, name: str, version: int | None) -> dict[str, Any]:
    """Return a version of a mapping, the last one if none is named."""
    return to_response(await orders.stored(session, name, version))


async def search(session: ReadSession, page: PageRequest) -> dict[str, Any]:
    """Return a page of mappings, each in its last version."""
    joined = (StoredMapping.name == _LAST.c.name) & (StoredMapping.version == _LAST.c.version)
    statement = select(*_COLUMNS, *_BY_NAME.columns).join(_LAST, joined)
    return await fetch_responses(
        session, statement, page, _BY_NAME, {"list": "mappings"}, to_response
    )


def presets() -> dict[str, Any]:
    """Return all presets as the API shows them."""
    items = [
        {
            "name": each.name,
            "title": each.title,
            "facts": list(each.facts),
            "parameters": [
                {
                    "name": one.name,
                    "type": one.type,
                    "question": one.question,
                    "required": one.required,
                    "assumed": one.default,
                    "choices": list(one.choices),
                }
                for one in each.parameters
            ],
            "needs": [list(names) for names in each.needs],
        }
        for _, each in sorted(registry.PRESETS.items())
    ]
    return {"items": items}


async def test(deployment: Deployment, asked: MappingTest) -> dict[str, Any]:
    """Return what a mapping makes of a sample."""
    return await asyncio.to_thread(_test, deployment, asked)


def _test(deployment: Deployment, asked: MappingTest) -> dict[str, Any]:
    head, form = asked.content(), orders.form_of(asked.file, "/file")
    if asked.document is not None:
        document = orders.with_form(orders.parsed(asked.document), form)
        if asked.time_zone is not None:
            times = document.times.model_copy(update={"zone": asked.time_zone})
            document = document.model_copy(update={"times": times})
    else:
        document = orders.built(asked.preset, asked.parameters, asked.time_zone, head, form)
    detected, plan = orders.plan_of(document, head, deployment)
    return {
        "layout": orders.told(detected, []),
        "document": _dumped(document),
        "unused": list(plan.unused),
        **_tried(plan, head),
    }


def _tried(plan: Plan, head: bytes) -> dict[str, Any]:
    """Read and map a sample; what the doors refuse by its shape alone is refused here."""
    facts: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    rejections: dict[str, Any] = {}
    warnings: dict[str, Any] = {}
    left_out: Counter[str] = Counter()
    rows = 0

    def refuse(line: int, problem: Any) -> None:
        tallies.count_problem(rejections, problem, line)
        rejected.append({"line": line, **problem._asdict()})

    try:
        # A small sample may unpack to more than anybody wants to see.
        sample = islice(read([head], plan.detected), _TRIED)
        for outcome in outcomes(Mapper(plan), sample):
            rows += len(outcome.rows)
            if isinstance(outcome, LeftOut):
                left_out[outcome.filter] += len(outcome.rows)
            elif isinstance(outcome, Rejected):
                refuse(outcome.rows[0].line, outcome.problem)
            else:
                faults = _taken(outcome, facts, warnings)
                if faults:
                    refuse(outcome.rows[0].line, faults[0])
    except UnreadableFile as error:
        raise orders.unreadable(error) from None
    return {
        "rows": rows,
        "facts": facts[:_SHOWN],
        "rejected": rejected[:_SHOWN],
        "rejections": list(rejections.values()),
        "warnings": list(warnings.values()),
        "left_out": dict(left_out),
    }


def _taken(outcome: Mapped, facts: list[dict[str, Any]], warnings: dict[str, Any]) -> list[Any]:
    """Keep the facts of an outcome that fit their doors; return what is wrong with the others."""
    faults = []
    for warning in outcome.warnings:
        tallies.count_problem(warnings, warning, outcome.rows[0].line)
    for fact in outcome.facts:
        fault = doors.fault_of(fact.kind, fact.item)
        if fault is not None:
            faults.append(fault)
        elif len(facts) < _SHOWN:
            facts.append({"kind": fact.kind, "item": fact.item})
    return faults


async def proposal(deployment: Deployment, asked: MappingProposalRequest) -> dict[str, Any]:
    """Return a mapping that seems to fit a file, with the questions that remain."""
    return await asyncio.to_thread(_proposal, deployment, asked)


def _proposal(deployment: Deployment, asked: MappingProposalRequest) -> dict[str, Any]:
    form = orders.form_of(asked.file, "/file")
    try:
        here = Context(deployment.currency, zone=deployment.calendar.zone.key)
        found, detected = propose_for(asked.content(), form, here, asked.parameters)
    except UnreadableFile as error:
        raise orders.unreadable(error) from None
    except InvalidMapping as invalid:
        raise orders.refused(invalid, "") from None
    document = found.document
    return {
        "preset": found.preset,
        "confidence": found.confidence,
        "others": [{"preset": name, "confidence": share} for name, share in found.others],
        "document": None if document is None else _dumped(document),
        "questions": [
            {
                "parameter": each.parameter,
                "text": each.text,
                "required": each.required,
                "assumed": each.assumed,
                "choices": list(each.choices),
            }
            for each in found.questions
        ],
        "unrecognised": list(found.unrecognised),
        "layout": orders.told(detected, []),
    }
