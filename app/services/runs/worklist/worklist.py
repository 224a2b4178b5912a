"""Whom to call today and why: for an owner, a team or all; and what is to be said of a customer."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from app.days import AsOf, from_day
from app.deployment import Deployment
from app.errors import DatabaseUnavailable, FieldError, ValidationFailed
from app.lifecycle.expressions import ALWAYS
from app.lifecycle.presets.kinds import SNOOZED
from app.postgres.db import ReadSession
from app.postgres.sqlstates import is_missing_table
from app.schemas.common import personal
from app.services.common import as_of as as_ofs
from app.services.common import deployment_settings, interaction_kinds
from app.services.common.deployment_settings import Pointers
from app.services.customers import customers
from app.services.runs import query_rules
from app.services.runs.query_rules import PERSONAL, May
from app.services.runs.segments import definitions
from app.services.runs.worklist import answers, line_queries, rule_sets
from app.services.runs.worklist.line_queries import Asked
from app.services.runs.worklist.rule_sets import Rule, RuleSet

MOST: Final = 50_000
"""Lines of a rule beyond which a list is not filled up, where owners have their share already."""
PREVIEWED: Final = 20_000
"""Customers who are looked at for a preview; of more, one in so many."""
AHEAD: Final = 366
"""Days ahead for which a list may be asked."""


async def listed(
    session: ReadSession,
    deployment: Deployment,
    *,
    owner: str | None,
    team: str | None,
    on: str | None,
    limit: int,
    now: datetime,
    may: May,
) -> dict[str, Any]:
    """Return the lines of a day, the most pressing first."""
    try:
        pointers, asked, rules = await _prepare(session, deployment, on, now)
        owners = _owners(rules, owner, team)
        own, left_out = await _readable(session, pointers, rules.rules, may)
        done = Counter[str]()
        if owners is not None:
            done = await _done(session, asked, own, owners)
        ids, more = await _best(session, asked, own, owners, rules.lines_a_day, limit, done)
        found = await line_queries.told(session, asked, own, ids)
    except Exception as error:
        if is_missing_table(error):
            raise DatabaseUnavailable("The run was dropped meanwhile; ask again.") from None
        raise
    run, policy = await answers.words(session, deployment, pointers)
    shown = [
        answers.line(deployment, run, policy, asked, found[each]) for each in ids if each in found
    ]
    return {
        "date": from_day(asked.question.as_of.day),
        "rules_version": rules.version,
        "run_id": pointers.run_id,
        "lines_a_day": rules.lines_a_day,
        "done_today": None if owners is None else done.total(),
        "items": [item for item in shown if item["reasons"]],
        "more": more,
        "left_out": left_out,
        "masked": answers.masked(shown),
        "computed_at": now,
    }


async def of_customer(
    session: ReadSession, deployment: Deployment, customer_id: str, *, now: datetime, may: May
) -> dict[str, Any]:
    """Return what the list says of a customer, and which reasons have been seen to."""
    pointers, asked, rules = await _prepare(session, deployment, None, now)
    own, left_out = await _readable(session, pointers, rules.rules, may)
    found = await line_queries.told(session, asked, own, [customer_id])
    if customer_id not in found:
        raise customers.unknown(customer_id)
    run, policy = await answers.words(session, deployment, pointers)
    told = found[customer_id]
    line = answers.line(deployment, run, policy, asked, told)
    closed = [
        {**answers.why(deployment, asked, each), "closed_by": each.closed_by}
        for each in told.held if each.closed_by is not None
    ]  # fmt: skip
    return {
        **line,
        "date": from_day(asked.question.as_of.day),
        "closed": closed,
        "left_out": left_out,
        "masked": answers.masked([line]),
    }


async def preview(
    session: ReadSession, deployment: Deployment, version: int, *, secret: bytes, now: datetime
) -> dict[str, Any]:
    """Count what a version would make of today's list, against the rules in force."""
    pointers, asked, before = await _prepare(session, deployment, None, now)
    read = await query_rules.reader(session, pointers)
    rules = await rule_sets.get(session, read, version)
    of = await line_queries.one_in(session, PREVIEWED)
    by_rule, (lines, entering, leaving) = await line_queries.counted(
        session, asked, rules.rules, before.rules, of
    )
    return {
        "version": version,
        "one_in": of,
        "rules": [
            {"code": rule.code, "customers": customers_, "lines": open_,
             "value_to_save": deployment.money(worth)}
            for rule, (customers_, open_, worth) in zip(rules.rules, by_rule, strict=True)
        ],
        "lines": lines,
        "entering": entering,
        "leaving": leaving,
        "preview_token": rule_sets.token(version, secret, now),
    }  # fmt: skip


async def _prepare(
    session: ReadSession, deployment: Deployment, on: str | None, now: datetime
) -> tuple[Pointers, Asked, RuleSet]:
    pointers = await deployment_settings.pointers(session)
    declared = await interaction_kinds.declared(session, pointers.interaction_kinds)
    read = await query_rules.reader(session, pointers)
    rules = await rule_sets.in_force(session, read)
    as_of = _day(deployment, on, now)
    question = await query_rules.question(session, pointers, ALWAYS, (), as_of, lambda _: True)
    silent = [word for word, kind in declared.kinds.items() if not kind.contact]
    no_contact = sorted({*silent, SNOOZED})
    return pointers, Asked(question, deployment, no_contact), rules


def _day(deployment: Deployment, on: str | None, now: datetime) -> AsOf:
    """Return the instant of the list: now, or the end of a day ahead."""
    today = replace(deployment.as_of(now), is_now=True)
    if on is None:
        return today
    day = as_ofs.day(on, "query:date")
    if not today.day <= day <= today.day + AHEAD:
        detail = f"must be today or within {AHEAD} days: contacts since would change earlier lists"
        raise ValidationFailed(errors=[FieldError("query:date", "date", detail)])
    return today if day == today.day else AsOf(deployment.calendar.end_of(day), day, is_now=True)


def _owners(rules: RuleSet, owner: str | None, team: str | None) -> tuple[str, ...] | None:
    """Return of whose customers the list is asked; None for all."""
    if team is None:
        return None if owner is None else (owner,)
    if team not in rules.teams:
        known = ", ".join(sorted(rules.teams)) or "none"
        detail = f"there is no team {team!r} in the rules in force; known: {known}"
        raise ValidationFailed(errors=[FieldError("query:team", "unknown_team", detail)])
    owners = rules.teams[team]
    return owners if owner is None else tuple(each for each in owners if each == owner)


async def _readable(
    session: ReadSession, pointers: Pointers, rules: Sequence[Rule], may: May
) -> tuple[list[Rule], list[dict[str, str]]]:
    """Return the rules that a key may be told of, and the others by the scope that they take."""
    guarded = set(PERSONAL)
    if (await definitions.named(session, pointers.segments)).variables & PERSONAL:
        guarded.add(query_rules.SEGMENTS)
    own, left_out = [], []
    for rule in rules:
        if may(personal.READ_PII) or not {term.name for term in rule.terms} & guarded:
            own.append(rule)
        else:
            left_out.append({"code": rule.code, "missing_scope": personal.READ_PII})
    return own, left_out


async def _done(
    session: ReadSession, asked: Asked, rules: Sequence[Rule], owners: Sequence[str]
) -> Counter[str]:
    """Count the lines of each owner that a contact of the day has closed."""
    ids = await line_queries.contacted(session, asked, owners)
    found = await line_queries.told(session, asked, rules, ids) if ids else {}
    return Counter(
        told.profile["owner"]
        for told in found.values()
        if any(held.closed_by == "contact" for held in told.held)
    )


async def _best(
    session: ReadSession,
    asked: Asked,
    rules: Sequence[Rule],
    owners: Sequence[str] | None,
    lines_a_day: int,
    limit: int,
    done: Mapping[str, int],
) -> tuple[list[str], bool]:
    """Return the ids of the list in order, and whether there are more.

    Rules are asked rank by rank for as many as it takes: of a rule that was cut off, nothing that
    is worth less than its last line may come before more of it is known.
    """
    chosen: dict[str, None] = {}
    of_owner = Counter(done)
    left_behind = False
    for _, alike in groupby(sorted(rules, key=lambda rule: rule.rank), lambda rule: rule.rank):
        own, most, whole = list(alike), limit + 1, False
        while not whole and len(chosen) <= limit:
            lines: dict[str, tuple[Decimal, str | None]] = {}
            sure: tuple[Decimal, str] | None = None
            for rule in own:
                rows = await line_queries.best(session, asked, rule, most, owners)
                lines |= {each: (worth, owner) for worth, each, owner in rows}
                if len(rows) == most:
                    last = rows[-1][0], rows[-1][1]
                    sure = last if sure is None else max(sure, last)
            whole = sure is None or most > MOST
            for worth, each, owner in sorted(
                ((worth, each, owner) for each, (worth, owner) in lines.items()),
                key=lambda line: line[:2], reverse=True,
            ):  # fmt: skip
                if each in chosen or (sure is not None and (worth, each) < sure):
                    continue
                if owner is not None and of_owner[owner] >= lines_a_day:
                    left_behind = True
                    continue
                chosen[each] = None
                of_owner.update([owner] if owner is not None else [])
            most *= 4
        if len(chosen) > limit:
            break
    return list(chosen)[:limit], left_behind or len(chosen) > limit
