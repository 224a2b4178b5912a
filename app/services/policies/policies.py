"""Policies as they are stored, and which of them was in force when."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import select

from app.days import to_micros
from app.errors import NotFound
from app.lifecycle import documents, kinds
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.policy import Policy, Role
from app.lifecycle.summary_columns import NO_MORE
from app.lifecycle.variables import registry
from app.lifecycle.variables.definition import Term
from app.models import Policy as Stored
from app.models import PolicyActivation
from app.postgres.db import AnyRow, ReadSession
from app.services.common import deployment_settings

ALWAYS = -(2**63)
"""The instant from which the first policy is in force."""


@dataclass(frozen=True)
class PolicyTimeline:
    """The policies that were in force, in order, each from an instant on."""

    policies: tuple[Policy, ...]
    starts: tuple[int, ...]
    writers_until: int = NO_MORE
    """The last instant that somebody may have told of by the policy before the one in force."""

    @property
    def current(self) -> Policy:
        return self.policies[-1]

    def at(self, instant: int) -> Policy:
        """Return the policy in force at an instant."""
        place = sum(start <= instant for start in self.starts)
        return self.policies[max(place, 1) - 1]

    @cached_property
    def is_plain(self) -> bool:
        """Whether purchases alone decide, under every policy there was."""
        return all(policy.sources == {"purchases"} for policy in self.policies)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """Everything that has decided a stage under any policy there was."""
        return tuple(dict.fromkeys(term for policy in self.policies for term in policy.terms))

    @cached_property
    def kinds(self) -> frozenset[str] | None:
        """The kinds of interactions that any policy looks at; None for all of them."""
        return registry.kinds_of(self.terms)

    @cached_property
    def cells(self) -> frozenset[str]:
        """The cells of profiles that any policy looks at."""
        return frozenset(cell for term in self.terms for cell in term.cells)

    def called(self, stage: str, since: int, until: int) -> str:
        """Return what the stage of an instant is called at a later one, after renames between."""
        for policy, start in zip(self.policies, self.starts, strict=True):
            if since < start <= until:
                stage = policy.maps.get(stage, stage)
        return stage

    @cached_property
    def _roles(self) -> dict[Role, list[str]]:
        found: dict[Role, set[str]] = {"prospect": set(), "customer": set(), "churned": set()}
        for policy in self.policies:
            for stage in policy.described:
                found[stage.role].add(stage.code)
        return {role: sorted(codes) for role, codes in found.items()}

    def stages_of(self, role: Role) -> list[str]:
        """Return the stages of a role under any policy there was."""
        return self._roles[role]

    @cached_property
    def has_one_role_each(self) -> bool:
        """Whether each stage has one role under all policies there were."""
        codes = [code for of_role in self._roles.values() for code in of_role]
        return len(codes) == len(set(codes))

    def inactivity_limit_of(self, version: int) -> InactivityLimit | None:
        """Return the silence by which a version counts lives; None for one never in force."""
        return next(
            (policy.inactivity_limit for policy in self.policies if policy.version == version), None
        )

    def under(self, policy: Policy, instant: int) -> "PolicyTimeline":
        """Return what there was if it led to a policy at an instant, else that policy alone."""
        same = self.at(instant).version == policy.version
        return self if same else PolicyTimeline((policy,), (ALWAYS,))

    def before_last(self) -> "PolicyTimeline":
        """Return what there was before the last activation."""
        return PolicyTimeline(self.policies[:-1], self.starts[:-1])

    def followed_by(self, policy: Policy, start: int) -> "PolicyTimeline":
        return PolicyTimeline((*self.policies, policy), (*self.starts, start))


_timelines: dict[str, PolicyTimeline] = {}
_KEPT = 64


async def timeline(session: ReadSession, key: str | None = None) -> PolicyTimeline:
    """Return what was in force when, as the settings name it; read once for each activation."""
    if key is None:
        key = (await deployment_settings.pointers(session)).timeline
    if key not in _timelines:
        found = await _read(session)
        if len(_timelines) >= _KEPT:
            _timelines.pop(next(iter(_timelines)))
        _timelines[key] = found
    return _timelines[key]


async def _read(session: ReadSession) -> PolicyTimeline:
    rows = (
        await session.execute(
            select(
                PolicyActivation.activated_at,
                PolicyActivation.writers_until,
                Stored.version,
                Stored.document,
                Stored.interaction_kinds,
            )
            .join(Stored, Stored.version == PolicyActivation.version)
            .order_by(PolicyActivation.activation_id)
        )
    ).all()
    read: dict[int, Policy] = {}
    for row in rows:
        read.setdefault(row.version, restore(row))
    starts = (ALWAYS, *(to_micros(row.activated_at) for row in rows[1:]))
    until = rows[-1].writers_until
    writers_until = NO_MORE if until is None else to_micros(until)
    return PolicyTimeline(tuple(read[row.version] for row in rows), starts, writers_until)


async def active(session: ReadSession) -> Policy:
    """Return the policy in force."""
    return (await timeline(session)).current


async def get(session: ReadSession, version: int) -> Policy:
    """Return any stored version."""
    known = (await timeline(session)).policies
    for policy in known:
        if policy.version == version:
            return policy
    return restore(await stored(session, version))


def restore(row: AnyRow) -> Policy:
    """Read a stored version, with the copy of what it looks at."""
    copied = row.interaction_kinds
    return documents.restore(
        row.version, row.document, None if copied is None else kinds.read(copied)
    )


async def stored(session: ReadSession, version: int, *, keep: bool = False) -> AnyRow:
    """Return a version as it is stored; with `keep` nobody deletes it in the meantime."""
    statement = select(*Stored.__table__.columns).where(Stored.version == version)
    if keep:
        statement = statement.with_for_update(key_share=True, read=True)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise unknown(version)
    return row


def unknown(version: int) -> NotFound:
    return NotFound(f"There is no policy {version}.")


async def described_stages(session: ReadSession, version: int) -> Sequence[dict[str, Any]]:
    """Return the stages of a version as its document describes them, in order."""
    found: Sequence[dict[str, Any]] = (await stored(session, version)).document["stages"]
    return found
