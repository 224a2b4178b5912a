"""The worklist against the published run, against time, and its variables against plain Python."""

import random
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from tests.api.test_worklist import WORKLIST, buy, interact, lines, put, put_in_force
from tests.database import NOW
from tests.services.runs.test_query_scores import queried
from tests.services.scores import test_lists
from tests.services.scores.test_lists import listed

people, run_id, worker = test_lists.people, test_lists.run_id, test_lists.worker
"""Fixtures: a published run of everybody."""
SILENCE = ("overdue", "declining_frequency", "declining_amount")
TODAY = date(2026, 6, 1)
BERLIN = ZoneInfo("Europe/Berlin")
KNOWN = {"any": [{"variable": "last_satisfaction", "op": "known", "value": each}
                 for each in (True, False)]}  # fmt: skip
"""Holds of everybody, and has to be evaluated."""


async def test_who_is_on_the_list_for_silence_is_whom_the_run_would_have_called(
    own_client: httpx.AsyncClient, run_id: int
) -> None:
    risks = {item["customer_id"]: item for item in await listed(own_client, "/v1/churn-risks")}
    answer = (await own_client.get(WORKLIST, params={"limit": 500})).json()
    items = {item["customer_id"]: item for item in answer["items"]}
    silent = {
        each: [why["code"] for why in item["reasons"] if why["code"] in SILENCE]
        for each, item in items.items()
    }
    assert {each: found for each, found in silent.items() if found} == {
        each: item["call_reasons"] for each, item in risks.items()
    }
    assert len(risks) > 3
    assert answer["run_id"] == run_id
    for each, risk in risks.items():
        assert risk["rhythm"]["status"] not in ("on_time", "lost") or silent[each] != ["overdue"]
        assert items[each]["about"] == risk["sentence"]
        assert items[each]["next_actions"] == risk["next_actions"]
        assert items[each]["value_to_save"] == risk["value_to_save"]
    ranked = [item for item in answer["items"] if item["reasons"][0]["duty"] == "retention"]
    worth = [(float(item["value_to_save"]["amount"]), item["customer_id"]) for item in ranked]
    assert worth == sorted(worth, reverse=True)
    for limit in (1, 3, len(items)):
        page = (await own_client.get(WORKLIST, params={"limit": limit})).json()
        assert page["items"] == answer["items"][:limit]
        assert page["more"] == (limit < len(items))
    # With a reason of which the run knows nothing, it does not say whether to call.
    first = next(iter(risks))
    at = datetime.fromisoformat(answer["computed_at"])
    await interact(own_client, first, "complaint", NOW - at)
    about = (await own_client.get(f"/v1/customers/{first}/worklist")).json()["about"]
    assert "call" in risks[first]["sentence"]["en"]
    assert risks[first]["sentence"]["en"].startswith(about["en"])
    assert "call" not in about["en"]


async def test_what_the_run_said_of_silence_is_over_with_a_purchase_and_for_those_who_left(
    own_client: httpx.AsyncClient, run_id: int
) -> None:
    del run_id
    found = [each for each, reasons in (await lines(own_client, limit=500)).items()
             if reasons.keys() & set(SILENCE)]  # fmt: skip
    bought, left, called, other = found[:4]
    now = (await own_client.get(WORKLIST)).json()["computed_at"]
    body = {"customer_id": bought, "transaction_id": "since", "occurred_at": now,
            "amount": {"amount": "10.00"}}  # fmt: skip
    assert (await own_client.post("/v1/transactions", json=body)).status_code == 201
    gone = {"stage": "churned", "reason": "competitor"}
    answer = await own_client.post(f"/v1/customers/{left}/stage/override", json=gone)
    assert answer.status_code == 201, answer.text
    call = {"customer_id": called, "interaction_id": "call", "kind": "call", "occurred_at": now}
    assert (await own_client.post("/v1/interactions", json=call)).status_code == 201
    after = {each for each, reasons in (await lines(own_client, limit=500)).items()
             if reasons.keys() & set(SILENCE)}  # fmt: skip
    assert after == set(found) - {bought, left, called}
    assert other in after


async def test_a_line_appears_on_the_day_since_which_its_reason_is_there(
    client: httpx.AsyncClient,
) -> None:
    rng = random.Random(4)
    for number in range(12):
        each, ago = f"c{number}", timedelta(days=rng.randint(1, 40))
        await buy(client, each, ago)
        ends = TODAY + timedelta(days=rng.randint(20, 60))
        born = f"19{60 + number}-0{rng.randint(6, 7)}-{rng.randint(10, 28)}"
        await put(client, each, contract_ends_on=str(ends), birth_date=born)
        await interact(client, each, "mention", ago)
    whens: list[dict[str, Any]] = [
        {"variable": "days_since_last_purchase", "op": ">", "value": 45.5},
        {"variable": "days_since_last_purchase", "op": ">=", "value": 45},
        {"variable": "days_until_contract_end", "op": "<=", "value": 20},
        {"variable": "days_until_contract_end", "op": "<", "value": 20.5},
        {"variable": "days_until_birthday", "op": "<=", "value": 7},
        {"variable": "days_since_interaction", "kind": "mention", "op": ">", "value": 42},
        {"variable": "days_since_last_purchase", "op": ">",
         "value": {"variable": "inactivity_limit_days"}},
    ]  # fmt: skip
    whens.append({"all": [whens[0], whens[2]]})
    whens.append({"any": [whens[1], whens[3]]})
    rules = [
        {"code": f"r{place}", "duty": "care", "when": when, "name": {"en": "n", "zh": "n"},
         "sentence": {"en": "s", "zh": "s"}, "again_after_days": 3650}
        for place, when in enumerate(whens)
    ]  # fmt: skip
    await put_in_force(client, {"rules": rules})
    before = await lines(client)
    seen: dict[tuple[str, str], str] = {}
    for ahead in range(1, 60):
        day = str(TODAY + timedelta(days=ahead))
        for each, reasons in (await lines(client, date=day)).items():
            for code, why in reasons.items():
                if code not in before.get(each, {}):
                    first = seen.setdefault((each, code), day)
                    assert why["since"] == first, (each, code, day)
    assert {code for _, code in seen} >= {rule["code"] for rule in rules} - {"r6"}


async def test_birthdays_and_dissatisfaction_are_read_as_they_are_evaluated(
    client: httpx.AsyncClient,
) -> None:
    rng = random.Random(7)
    born = {"leap": date(1992, 2, 29), "today": date(1990, 6, 1), "future": date(2026, 7, 1)}
    born |= {f"c{n}": date(1980, 1, 1) + timedelta(days=rng.randrange(9_000)) for n in range(20)}
    low: dict[str, int | None] = {}
    for each, day in born.items():
        await put(client, each, birth_date=str(day) if each != "future" else None)
        low[each] = None
        for ago in sorted(rng.sample(range(1, 60), rng.randrange(3)), reverse=True):
            kind, score = rng.choice((("csat", 3), ("csat", 4), ("nps", 6), ("nps", 7)))
            await interact(client, each, kind, timedelta(days=ago), score=score)
            low[each] = ago if score in (3, 6) else None
    names = ["days_until_birthday", "days_since_low_satisfaction"]
    for when in (None, KNOWN):
        found = await queried(client, when=when, select=names)
        assert {
            item["customer_id"]: (item["values"][names[0]], item["values"][names[1]])
            for item in found
        } == {
            each: (None if each == "future" else _until(day), low[each])
            for each, day in born.items()
        }
    for name, value in ((names[0], 30), (names[1], 20)):
        rule = {"variable": name, "op": "<=", "value": value}
        both = [await queried(client, when=each) for each in (rule, {"all": [rule, KNOWN]})]
        assert both[0] == both[1] != []
    assert NOW.date() == TODAY


def _until(born: date) -> int:
    """Return the days until the next birthday; of a leap day that is March 1 in other years."""
    for year in (TODAY.year, TODAY.year + 1):
        try:
            day = born.replace(year=year)
        except ValueError:
            day = date(year, 3, 1)
        if day >= TODAY:
            return (day - TODAY).days
    raise AssertionError


async def test_complaints_are_open_as_somebody_would_reckon_who_reads_all_that_happened(
    client: httpx.AsyncClient,
) -> None:
    rng = random.Random(11)
    people = {f"c{n:02}": _happened(rng) for n in range(60)}
    items = [
        {"customer_id": each, "interaction_id": f"i{place}", "kind": kind,
         "occurred_at": at.isoformat(), **more}
        for each, own in people.items() for place, (at, kind, more) in enumerate(own)
    ]  # fmt: skip
    done = await client.post("/v1/interactions/bulk", json={"items": items, "mode": "atomic"})
    assert done.status_code == 200, done.text
    sizes = set()
    for ahead in (0, 1, 2, 5, 9, 30, 60):
        today = TODAY + timedelta(days=ahead)
        found = await lines(client, date=str(today), limit=500)
        shown = {each for each, reasons in found.items() if "open_complaint" in reasons}
        assert shown == {each for each, own in people.items() if _is_open(own, today)}, today
        sizes.add(len(shown))
    assert len(sizes) > 3


Event = tuple[datetime, str, dict[str, Any]]


def _happened(rng: random.Random) -> list[Event]:
    found: list[Event] = []
    for _ in range(rng.randrange(6)):
        at = NOW - timedelta(days=rng.choice((0, 1, 2, 40, 80, 88)), hours=rng.randrange(12))
        kind = rng.choice(("complaint", "complaint", "call", "mention", "snoozed"))
        more: dict[str, Any] = {}
        if kind == "complaint" and rng.random() < 0.4:
            more = {"outcome": "solved"}
        elif kind == "snoozed":
            until = TODAY + timedelta(days=rng.choice((-1, 0, 1, 5, 40)))
            more = {"attributes": {"until": str(until)}}
        if at not in {each for each, _, _ in found}:  # of one instant, ids would decide
            found.append((at, kind, more))
    return found


def _is_open(own: list[Event], today: date) -> bool:
    """Look for the last complaint that was not solved, and for what came after it."""

    def within(at: datetime) -> bool:
        return (today - at.astimezone(BERLIN).date()).days < 90

    unsolved = (at for at, kind, more in own if kind == "complaint" and "outcome" not in more)
    complaints = list(filter(within, unsolved))
    if not complaints:
        return False
    since = max(complaints)
    if any(at > since and kind in ("complaint", "call") and within(at) for at, kind, _ in own):
        return False
    snoozed = [(at, more["attributes"]["until"]) for at, kind, more in own
               if kind == "snoozed" and at > since]  # fmt: skip
    return not snoozed or max(snoozed)[1] <= str(today)
