"""Going on from where customers stand ends where the first fact leads, under any policies."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from app.deployment import Deployment
from app.lifecycle import kinds
from app.lifecycle.documents import parse
from app.lifecycle.presets.kinds import CORE
from app.lifecycle.summary_columns import NEVER
from app.models import Policy, PolicyActivation
from app.postgres.db import WriteSession
from app.schemas.common.types import format_instant
from app.schemas.customers import ProfilePatch
from app.schemas.ingest.interactions import InteractionIn
from app.services.common import deployment_settings
from app.services.ingest import interactions, profiles
from app.services.policies import policies
from app.services.stages import derivation, derived_state, resumption
from tests.depth import drawn
from tests.kept import as_item, ingest, store_model
from tests.lifecycle import at_random
from tests.services.stages.test_any_policy import ledger, patch_of, profile_of, put_in_force
from tests.slow_policy import Person
from tests.twin import Fact

PEOPLE = 3
Post = tuple[datetime, str, Any]


@pytest.fixture
def went_on(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the customers who went on from an instant at which there was something before."""
    counts: list[int] = []
    find = resumption.find

    async def counting(*args: Any, **more: Any) -> Any:
        going_on, standing = await find(*args, **more)
        counts.append(int(np.count_nonzero(going_on & (standing.since != NEVER))))
        return going_on, standing

    monkeypatch.setattr(resumption, "find", counting)
    return counts


def posts_of(rng: random.Random, people: dict[str, Person]) -> list[Post]:
    """Return what is told of people and when it happened, mostly in order."""
    posts: list[Post] = []
    for each, one in people.items():
        posts.append((one.begun_at, "profile", (each, one)))
        posts += [(fact.at, "purchase", as_item(each, fact)) for fact in one.facts]
        posts += [(said.since, "said", (each, said)) for said in one.said if said.since]
        posts += [
            (event.at, "interaction", {
                "customer_id": each, "interaction_id": f"i{number}", "kind": event.kind,
                "occurred_at": format_instant(event.at), "score": event.score,
            })
            for number, event in enumerate(one.interactions)
        ]  # fmt: skip
    posts.sort(key=lambda post: post[0])
    for _ in range(rng.choice((0, 1, 4))):
        late = posts.pop(rng.randrange(len(posts)))
        posts.insert(rng.randint(0, len(posts)), late)
    # Who is known by the profile is known first: it is put, not merged into what was said.
    return sorted(posts, key=lambda post: post[1] != "profile")


async def post(
    session: WriteSession, deployment: Deployment, kind: str, what: Any, now: datetime
) -> None:
    where: dict[str, Any] = {"if_match": None, "now": now, "by": "test"}
    if kind == "profile":
        await profiles.put(session, deployment, what[0], profile_of(what[1]), **where)
    elif kind == "said":
        await profiles.patch(session, deployment, what[0], patch_of(what[1]), **where)
    elif kind == "purchase":
        await ingest(session, deployment, [what], now)
    else:
        item = InteractionIn.model_validate(what)
        await interactions.ingest(session, deployment, [item], atomic=True, now=now)


async def activate(
    session: WriteSession, deployment: Deployment, document: dict[str, Any], number: int,
    ids: list[str], at: datetime, *, settled: bool,
) -> None:  # fmt: skip
    """Put another policy in force, and record for everybody what it changes."""
    copied = kinds.copy_of(CORE, CORE)
    session.add(Policy(version=number, document=document, interaction_kinds=copied, created_at=at))
    await session.flush()
    row = {"activation_id": number, "version": number, "activated_at": at, "writers_until": at}
    session.add(PolicyActivation(**row))
    await session.flush()
    put = deployment_settings.put
    await put(session, deployment_settings.ACTIVE_POLICY, number)
    await put(session, deployment_settings.POLICY_TIMELINE, deployment_settings.new_name())
    await put(session, deployment_settings.BEGINNING, parse(number, document).beginning)
    await derivation.advance(session, deployment, ids, at, invalid_from=at)
    if settled:
        await put(session, deployment_settings.SETTLED_POLICY, number)


async def check(session: WriteSession, deployment: Deployment, ids: list[str]) -> None:
    """Compare all that is kept with what follows from all facts."""
    timeline = await policies.timeline(session)
    kept = await derived_state.kept(session, deployment, timeline, ids)
    until = {customer_id: one.until for customer_id, one in kept.items()}
    found = await derived_state.derived(session, deployment, timeline, until)
    assert {each: one.document for each, one in kept.items()} == found


Draw = Callable[[random.Random], dict[str, Any]]


def plain(rng: random.Random) -> dict[str, Any]:
    """Return a policy by purchase days alone, which counts lives in its own way."""
    while True:
        document = at_random.policy(rng)[0]
        if parse(1, document).sources == {"purchases"}:
            return document


def any_policy(rng: random.Random) -> dict[str, Any]:
    return at_random.policy(rng)[0]


@pytest.mark.parametrize("draw", [any_policy, plain])
@pytest.mark.parametrize("seed", range(drawn(8, 100)))
async def test_it_ends_where_all_facts_lead(
    session: WriteSession, deployment: Deployment, went_on: list[int], seed: int, draw: Draw
) -> None:
    rng, zone = random.Random(seed), deployment.calendar.zone
    of_policies = random.Random(seed)  # of its own: another variable changes no fact
    people = {f"c{number}": at_random.person(rng, zone) for number in range(PEOPLE)}
    ids = list(people)
    posts = posts_of(rng, people)
    now = min(at for at, _, _ in posts) - timedelta(days=1)
    await store_model(session, at_random.MODEL_ID)
    await put_in_force(session, 50, draw(of_policies))
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, now.isoformat())
    changes = sorted(rng.sample(range(len(posts)), min(rng.choice((0, 1, 2)), len(posts))))
    for place, (at, kind, what) in enumerate(posts):
        ahead = 0 if kind == "said" else rng.choice((0, 0, 20))
        now = max(now, at - timedelta(hours=ahead))
        now += timedelta(seconds=rng.choice((0, 1, 100_000)))
        await post(session, deployment, kind, what, now)
        if place in changes:
            now += timedelta(hours=rng.choice((0, 1, 30)))
            known = [each for each in ids if any(post_of(each, p) for p in posts[: place + 1])]
            await activate(
                session, deployment, draw(of_policies), 51 + place, known, now,
                settled=rng.random() < 0.8,
            )  # fmt: skip
        await check(session, deployment, ids)
    # Refunds are told as purchases are, and nobody goes on from these alone.
    bought = [what for _, kind, what in posts if kind == "purchase" and what["kind"] == "purchase"]
    assert sum(went_on) > 0 or len(bought) < 4


@pytest.mark.parametrize("draw", [any_policy, plain])
@pytest.mark.parametrize("seed", range(drawn(6, 100)))
async def test_what_is_told_after_policies_have_changed_follows_those_of_its_time(
    session: WriteSession, deployment: Deployment, went_on: list[int], seed: int, draw: Draw
) -> None:
    """All is told in order once all policies were put in force: lives by each limit matter."""
    rng, zone = random.Random(seed), deployment.calendar.zone
    people = {f"c{number}": at_random.person(rng, zone) for number in range(PEOPLE)}
    posts = posts_of(rng, people)
    instants = sorted(at for at, _, _ in posts)
    await store_model(session, at_random.MODEL_ID)
    await put_in_force(session, 50, draw(rng))
    put, recorded = deployment_settings.put, deployment_settings.RECORDED_UNTIL
    await put(session, recorded, (instants[0] - timedelta(days=1)).isoformat())
    for number, at in enumerate(sorted(rng.sample(instants, min(2, len(instants))))):
        await activate(session, deployment, draw(rng), 51 + number, [], at, settled=True)
    now = instants[-1] + timedelta(days=rng.choice((1, 200)))
    for _, kind, what in posts:
        await post(session, deployment, kind, what, now)
        await check(session, deployment, list(people))


SEEN: dict[str, Any] = {
    "stages": [
        {"code": code, "name": {"en": code, "zh": code}, "role": "customer"}
        for code in ("plain", "gold", "angry", "ended")
    ],
    "inactivity_limit": {"floor_days": 10, "gap_multiple": 2, "gap_margin_days": 5},
    "rules": [
        {"code": "over", "stage": "ended",
         "when": {"variable": "days_until_contract_end", "op": "<", "value": 0}},
        {"code": "cross", "stage": "angry",
         "when": {"variable": "complaints_90_days", "op": ">=", "value": 1}},
        {"code": "often", "stage": "gold",
         "when": {"variable": "interactions", "kind": "visit", "op": ">=", "value": 3}},
        {"code": "otherwise", "stage": "plain"},
    ],
}  # fmt: skip


async def test_windows_counts_and_what_waited_are_seen_from_where_one_goes_on(
    session: WriteSession, deployment: Deployment, went_on: list[int]
) -> None:
    start = datetime(2025, 1, 1, 12, tzinfo=UTC)
    await put_in_force(session, 50, SEEN)
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, start.isoformat())

    async def tell(kind: str, day: float, told_on: float | None = None) -> None:
        at, now = (start + timedelta(days=each) for each in (day, told_on or day))
        await post(session, deployment, "interaction", {
            "customer_id": "c", "interaction_id": f"{day}", "kind": kind,
            "occurred_at": format_instant(at),
        }, now)  # fmt: skip
        await check(session, deployment, ["c"])

    bought = as_item("c", Fact(("default", "p"), start, Decimal(5)))
    await ingest(session, deployment, [bought], start)
    await tell("visit", 5)
    await tell("visit", 10)
    await tell("complaint", 20.8, told_on=20)
    await tell("visit", 25)
    await tell("visit", 150)
    assert went_on[-4:] == [1, 1, 1, 1]
    stages = [change.to_stage for change in await ledger(session, "c")]
    assert stages == ["angry", "gold"]
    # What is first said of a contract holds from the beginning: nobody goes on from after it.
    ends = {"contract_ends_on": "2025-04-01", "valid_from": None}
    await profiles.patch(
        session, deployment, "c", ProfilePatch.model_validate(ends), if_match=None,
        now=start + timedelta(days=160), by="test",
    )  # fmt: skip
    await check(session, deployment, ["c"])
    assert [change.to_stage for change in await ledger(session, "c")][-1] == "ended"


async def test_what_somebody_told_by_a_clock_that_is_ahead_is_relied_on_by_nobody_in_vain(
    session: WriteSession, deployment: Deployment, went_on: list[int]
) -> None:
    """The ledger goes as far as the latest told fact, also when clocks behind write of earlier.

    Whoever goes on from that fact later would miss what time alone changed before it.
    """
    start = datetime(2025, 1, 1, 12, tzinfo=UTC)
    await put_in_force(session, 50, SEEN)
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, start.isoformat())
    for kind, day in (("visit", 5), ("visit", 150), ("complaint", 20), ("visit", 160)):
        at = start + timedelta(days=day)  # which is what the clock of the writer says, too
        await post(session, deployment, "interaction", {
            "customer_id": "c", "interaction_id": f"{day}", "kind": kind,
            "occurred_at": format_instant(at),
        }, at)  # fmt: skip
    assert went_on[-1] == 1  # from day 150
    expected = [("angry", 20), ("plain", 110), ("gold", 160)]
    zone = deployment.calendar.zone
    found = [
        (each.to_stage, (each.at.astimezone(zone).date() - start.date()).days)
        for each in await ledger(session, "c")
    ]
    assert found == expected
    await check(session, deployment, ["c"])


def post_of(customer_id: str, told: Post) -> bool:
    what = told[2]
    return bool((what["customer_id"] if isinstance(what, dict) else what[0]) == customer_id)
