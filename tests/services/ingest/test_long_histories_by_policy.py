"""Long histories under rules on money, windows, interactions, models: as all facts have it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.deployment import Deployment
from app.postgres.db import ReadSession, WriteSession
from app.schemas.common.types import format_instant
from app.services.customer_base import purchase_days, purchase_folds
from app.services.ingest import interactions, transactions
from app.services.ingest.voids import Voiding
from app.services.stages.told_by_days import DaysWritten
from tests.kept import MODEL, as_item, ingest, store_model
from tests.lifecycle import at_random, busy
from tests.services.stages.test_any_policy import ledger, post_profile, put_in_force
from tests.services.stages.test_going_on import check, post
from tests.slow_history import history
from tests.slow_policy import Interaction, fitted
from tests.twin import Fact, start_of

AMOUNTS = busy.AMOUNTS
Draw = Callable[[random.Random], dict[str, Any]]


@pytest.fixture(autouse=True)
def all_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchase_days, "LONG_HISTORY", 1)


@pytest.fixture
def by_days(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count who was told by days, and of how many of them more facts had to be read."""
    counts = {"known": 0, "more": 0}
    told_more = DaysWritten.told_more

    async def counting(self: DaysWritten, *args: Any) -> DaysWritten | None:
        found = await told_more(self, *args)
        counts["known" if found is None else "more"] += len(self.known)
        return found

    monkeypatch.setattr(DaysWritten, "told_more", counting)
    return counts


@pytest.mark.parametrize("refunds", [True, False])
@pytest.mark.parametrize("draw", [busy.by_days_alone, busy.on_money])
@pytest.mark.parametrize("seed", range(4))
async def test_what_is_told_late_revised_or_voided_ends_where_all_facts_lead(
    session: WriteSession, deployment: Deployment, by_days: dict[str, int], seed: int, draw: Draw,
    refunds: bool,
) -> None:  # fmt: skip
    rng = random.Random(seed)
    one, document = (
        busy.person(rng, deployment.calendar.zone, refunds=refunds),
        draw(random.Random(seed)),
    )
    now = busy.last_of(one) + timedelta(days=rng.choice((0, 1, 100)))
    await store_model(session, at_random.MODEL_ID)
    await put_in_force(session, 50, document)
    await post_profile(session, deployment, "c", one, now)
    facts: dict[tuple[str, str], Fact] = {}
    told: list[tuple[str, Any]] = [("purchase", fact) for fact in one.facts]
    told += [("interaction", (n, event)) for n, event in enumerate(one.interactions)]
    rng.shuffle(told)
    seen: dict[int, Interaction] = {}
    for kind, what in told:
        if kind == "purchase":
            facts[what.name] = what
            await ingest(session, deployment, [as_item("c", what)], now)
        else:
            seen[what[0]] = what[1]
            await post(session, deployment, "interaction", {
                "customer_id": "c", "interaction_id": f"i{what[0]}", "kind": what[1].kind,
                "occurred_at": format_instant(what[1].at),
            }, now)  # fmt: skip
        if rng.random() < 0.4:
            await change(session, deployment, rng, facts, seen, now)
        if rng.random() < 0.5:
            await check(session, deployment, ["c"])
    await check(session, deployment, ["c"])
    left = replace(one, facts=tuple(facts.values()), interactions=tuple(seen.values()))
    assert await ledger(session, "c") == history(left, [(document, None)], now, model=MODELLED)
    assert draw is busy.on_money or sum(by_days.values()) > 0


MODELLED = fitted(MODEL)


async def change(
    session: WriteSession, deployment: Deployment, rng: random.Random,
    facts: dict[tuple[str, str], Fact], seen: dict[int, Interaction], now: datetime,
) -> None:  # fmt: skip
    """Revise or void something that was told."""
    if seen and rng.random() < 0.3:
        number = rng.choice(sorted(seen))
        del seen[number]
        asked = Voiding(("c", "default", f"i{number}"), None, "tests", "wrong")
        await interactions.void(session, deployment, asked, now=now)
    elif facts:
        name = rng.choice(sorted(facts))
        if rng.random() < 0.3 and len(facts) > 1:
            del facts[name]
            asked = Voiding(("c", *name), None, "tests", "wrong")
            await transactions.void(session, deployment, asked, now=now)
        else:
            one = facts[name]
            facts[name] = replace(one, amount=rng.choice(AMOUNTS), revision=one.revision + 1)
            await ingest(session, deployment, [as_item("c", facts[name])], now)


RULE: dict[str, Any] = {"variable": "revenue", "op": ">=", "value": 1000}
VISITED: dict[str, Any] = {"variable": "interactions", "kind": "call", "op": ">=", "value": 1}
WINDOW: dict[str, Any] = {"variable": "revenue", "days": 90, "op": ">=", "value": 1000}


@pytest.mark.parametrize("rule", [RULE, VISITED, WINDOW], ids=["sum", "interactions", "window"])
async def test_sums_that_turn_no_rule_read_the_facts_of_one_day(
    session: WriteSession, deployment: Deployment, monkeypatch: pytest.MonkeyPatch,
    by_days: dict[str, int], rule: dict[str, Any],
) -> None:  # fmt: skip
    document = busy.on_money(random.Random(1)) | {
        "stages": [
            {"code": code, "name": {"en": code, "zh": code}} for code in ("potential", "first")
        ],
        "rules": [{"code": "so", "stage": "first", "when": rule},
                  {"code": "otherwise", "stage": "potential"}],
    }  # fmt: skip
    await store_model(session, at_random.MODEL_ID)
    await put_in_force(session, 50, document)
    start = start_of(deployment.calendar.zone, at_random.BASES[0])
    now = start + timedelta(days=60)
    for day in range(30):
        fact = Fact(("default", f"p{day}"), start + timedelta(days=day, hours=3), Decimal(5))
        await ingest(session, deployment, [as_item("c", fact)], now)

    read = purchase_folds._read  # the one place where all facts are read

    async def refuse(session: ReadSession, customer_ids: Sequence[str]) -> Any:
        assert not customer_ids, "all facts were read"
        return await read(session, customer_ids)

    with monkeypatch.context() as patched:
        patched.setattr(purchase_folds, "_read", refuse)
        late = Fact(("default", "late"), start + timedelta(days=9, hours=1), Decimal(5))
        await ingest(session, deployment, [as_item("c", late)], now)
        await post(session, deployment, "interaction", {
            "customer_id": "c", "interaction_id": "i", "kind": "complaint",
            "occurred_at": format_instant(start + timedelta(days=12)),
        }, now)  # fmt: skip
    assert by_days["known"] > 0
    await check(session, deployment, ["c"])
