"""Reports on ledger and facts, cell by cell against a count in plain Python."""

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from app.config import Settings
from app.demo import data
from app.deployment import Deployment
from app.lifecycle.presets.kinds import CORE
from app.postgres.db import Database
from app.services.runs.live_reports.catalogue import REPORTS
from app.worker import Worker
from tests import histories, slow_reports
from tests.database import Clock
from tests.kept import kept_scores, store_model
from tests.services.policy_changes import test_renames as renames
from tests.services.runs import test_runs as made
from tests.slow_reports import Asked, Contact, Departure, World
from tests.twin import Fact

CUSTOMERS = 50
SILENCES = (0, 1, 5, 20, 40, 100, 170, 190, 300, 500, 800)
Z = 1.959963984540054


@pytest.fixture
async def worker(own_database: Database, settings: Settings) -> Worker:
    async with made.write(own_database) as session:
        await store_model(session, "model_of_reports")
    return Worker(own_database, settings)


def plain(cell: Any) -> Any:
    """Return a cell as the slow reports have it; an interval is checked on the way."""
    if isinstance(cell, dict) and "amount" in cell:
        assert cell["currency"] == "EUR"
        return Decimal(cell["amount"])
    if isinstance(cell, dict):
        n, of = cell["n"], cell["of"]
        if not of:
            assert cell["share"] is cell["lower"] is cell["upper"] is None
            return n, of
        share = n / of
        assert cell["share"] == share
        middle = (share + Z * Z / (2 * of)) / (1 + Z * Z / of)
        half = Z * math.sqrt(share * (1 - share) / of + (Z / (2 * of)) ** 2) / (1 + Z * Z / of)
        assert cell["lower"] == pytest.approx(max(0, min(share, middle - half)), abs=1e-9)
        assert cell["upper"] == pytest.approx(min(1, max(share, middle + half)), abs=1e-9)
        return n, of
    return cell


def comparable(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Return rows in one order, numbers told alike."""

    def told(cell: Any) -> Any:
        if isinstance(cell, Decimal):
            return f"{cell:.4f}"
        return round(float(cell), 6) if isinstance(cell, int | float) else cell

    return sorted(str({name: told(row[name]) for name in sorted(row)}) for row in rows)


async def compare(client: httpx.AsyncClient, asked: Asked, name: str, as_of: str | None) -> Any:
    """Ask for a report, and hold each cell against the slow one."""
    query = {"from": asked.first.isoformat(), "to": asked.last.isoformat(), "by": asked.by}
    answer = await client.get(
        f"/v1/reports/{name}", params=query | ({"as_of": as_of} if as_of else {})
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()
    found = [{key: plain(cell) for key, cell in row.items()} for row in told["rows"]]
    expected = slow_reports.REPORTS[name](asked)
    assert comparable(found) == comparable(expected), (name, query, as_of)
    assert all(list(row) == [each["name"] for each in told["columns"]] for row in told["rows"])
    return told


def check_totals(told: dict[str, Any]) -> None:
    """Check that what is a sum of rows is one, where rows are of different customers."""
    called = {each["name"]: {word["code"] for word in each["words"]}
              for each in told["columns"] if each["type"] == "code"}  # fmt: skip
    for name, cell in (told["totals"] or {}).items():
        assert cell is None or name not in called or cell in called[name]
        column = next(each for each in told["columns"] if each["name"] == name)
        added = name in ("departures", "win_backs", "silences", "revenue", "first_year_revenue")
        if column["type"] in ("count", "money") and added and told["name"] != "return-curve":
            cells = [plain(row[name]) for row in told["rows"] if row[name] is not None]
            if told["by"] != "top_percent":
                assert plain(cell) == sum(cells), (told["name"], name)


CHANNELS, COUNTRIES = (None, "web", "fair", "referral"), (None, "DE", "FR")


def random_profiles(rng: random.Random, now: datetime, customers: list[str]) -> dict[str, Any]:
    """Return profiles of most customers, and of some prospects of whom nothing else is known."""
    found = {}
    for each in [*customers, *(f"p{n:02}" for n in range(20))]:
        told = {
            "name": each,
            "acquisition_channel": rng.choice(CHANNELS), "country": rng.choice(COUNTRIES),
            "owner": rng.choice((None, "ann", "bob")), "kind": rng.choice((None, "company")),
            "industry": rng.choice((None, "retail")), "source": rng.choice(("crm", "web")),
        }  # fmt: skip
        if rng.random() < 0.6:
            at = now - timedelta(days=rng.randrange(900), seconds=rng.randrange(86400))
            told["first_contact_at"] = at.isoformat()
        found[each] = told
    return found


def random_contacts(
    rng: random.Random, zone: Any, now: datetime, customers: list[str]
) -> list[Contact]:
    found = []
    for _ in range(160):
        day = (now - timedelta(days=rng.randrange(1, 500))).date()
        at = histories.instant_of(rng, zone, day)
        kind = rng.choice(("complaint", "complaint", "call", "demo", "my_own"))
        outcomes: list[str | None] = []
        if kind == "complaint":
            outcomes = list(rng.choice((
                (None,), ("solved",), (None, "solved"), ("not_solved", "solved"),
                (None, "solved", "not_solved"), (None, "solved", "not_solved", "solved"),
                (None, "solved", "solved"),
            )))  # fmt: skip
        told = tuple((outcome, at) for outcome in outcomes)
        found.append(Contact(rng.choice(customers), at, kind, rng.choice((None, "phone")),
                             rng.choice((None, "spring")), told))  # fmt: skip
    return found


async def post_contacts(
    client: httpx.AsyncClient, clock: Clock, contacts: list[Contact]
) -> list[Contact]:
    """Post revision after revision, an hour each; return them with the instants of telling."""
    now, told = clock.now, [[] for _ in contacts]
    for round_ in range(4):
        clock.now = now - timedelta(hours=(3 - round_))
        items = []
        for n, each in enumerate(contacts):
            if round_ and round_ >= len(each.told):
                continue
            outcome = each.told[round_][0] if each.told else None
            told[n].append((outcome, clock.now))
            items.append({"customer_id": each.customer, "interaction_id": f"i{n}",
                          "occurred_at": each.at.isoformat(), "kind": each.kind,
                          "channel": each.channel, "campaign": each.campaign,
                          "outcome": outcome, "revision": round_ + 1,
                          "attributes": {"round": round_}})  # fmt: skip
        answer = await client.post("/v1/interactions/bulk", json={"items": items})
        assert answer.json()["counts"]["rejected"] == 0, answer.text
    clock.now = now
    return [replace(each, told=tuple(own)) for each, own in zip(contacts, told, strict=True)]


async def post_departures(
    client: httpx.AsyncClient, rng: random.Random, now: datetime, customers: list[str]
) -> list[Departure]:
    found = []
    for n in range(30):
        reason = rng.choice(("price", "competitor", "relocation", "unknown"))
        other = rng.choice(("Elsewhere", "=Other")) if reason == "competitor" else None
        at = now - timedelta(days=rng.randrange(900), seconds=n)
        found.append(Departure(rng.choice(customers), at, reason, other))
        body = {"churn_record_id": f"d{n}", "occurred_at": at.isoformat(), "reason": reason,
                "competitor": other}  # fmt: skip
        path = f"/v1/customers/{found[-1].customer}/churn-records"
        answer = await client.post(path, json=body)
        assert answer.status_code == 201, answer.text
    return found


@pytest.mark.parametrize("seed", [1, 2])
async def test_each_report_says_what_a_count_of_the_facts_says(
    own_database: Database, own_client: httpx.AsyncClient, deployment: Deployment, clock: Clock,
    worker: Worker, seed: int,
) -> None:  # fmt: skip
    rng, zone = random.Random(seed), deployment.calendar.zone
    clock.now = now = datetime.now(zone)
    facts = {
        f"c{number:02}": own
        for number in range(CUSTOMERS)
        if (own := [
            fact for fact in histories.facts(
                rng, zone, now.date() - timedelta(days=rng.choice(SILENCES)), revise=True)
            if fact.at <= now
        ])
    }  # fmt: skip
    customers = sorted(facts)
    # Half of them come late: after a run has recorded what silence did.
    early = {each: own[: rng.randint(0, len(own))] for each, own in facts.items()}
    await made.post(own_database, deployment, early, now)
    await made.run(own_database, deployment, worker)
    late = {each: own[len(early[each]):] for each, own in facts.items()}  # fmt: skip
    await made.post(own_database, deployment, late, now)
    profiles = random_profiles(rng, now, customers[::2])
    items = [{"customer_id": each, **told} for each, told in profiles.items()]
    answer = await own_client.post("/v1/customers/bulk", json={"items": items})
    assert answer.json()["counts"]["rejected"] == 0, answer.text
    contacts = random_contacts(rng, zone, now, [*customers, "p01"])
    contacts = await post_contacts(own_client, clock, contacts)
    departures = await post_departures(own_client, rng, now, customers)
    await made.run(own_database, deployment, worker)
    maps = {"initial": "newcomer", "churned": "gone"}
    version = await renames.add(own_client, renames.renamed(**maps))
    _, renamed_at = await renames.put_in_force(own_client, worker, clock, version)
    run_id = await made.run(own_database, deployment, worker)
    async with made.read(own_database) as session:
        scores = await kept_scores(session, run_id)
    clock.now = datetime.now(zone) + timedelta(seconds=1)
    world = World(zone, facts, now, profiles, contacts, departures, [(renamed_at, maps)], CORE,
                  until=clock.now)  # fmt: skip
    today = clock.now.date()
    periods = [
        (today - timedelta(days=400), today, None),
        (today - timedelta(days=700), today - timedelta(days=200), None),
        (today - timedelta(days=365), today - timedelta(days=61), today - timedelta(days=61)),
    ]
    seen = set()
    for first, last, as_of in periods:
        at = clock.now if as_of is None else world.end(as_of)
        # Scores are of a later instant than some of what is asked for.
        own = Asked(world, first, last, at, "", scores if as_of is None else {})
        for name, report in REPORTS.items():
            for by in report.ways if last == today else report.ways[:2]:
                if as_of is not None and by in ("rfm_group", "value_tier"):
                    continue
                told = await compare(own_client, replace(own, by=by), name,
                                     None if as_of is None else as_of.isoformat())  # fmt: skip
                check_totals(told)
                seen |= {(name, by)} if told["rows"] else set()
                seen |= {row["change"] for row in told["rows"] if "change" in row}
    # What would hide a fault is not so here.
    assert seen >= {(name, by) for name, report in REPORTS.items() for by in report.ways}
    assert seen >= {"stayed", "moved", "renamed", "new"}


@pytest.fixture(scope="module")
def sample() -> dict[str, list[Fact]]:
    """Customers of CDNOW, each of whom first purchased early in 1997."""
    found: dict[str, list[Fact]] = {}
    for bought in data.read_log():
        at = datetime.fromisoformat(data.Calendar.unmoved().at_noon(bought.on))
        fact = Fact(("cdnow", f"row-{bought.number}"), at, Decimal(bought.amount))
        found.setdefault(f"cdnow-{bought.customer}", []).append(fact)
    return dict(list(found.items())[:350])


async def test_each_report_of_the_sample_is_what_a_count_of_it_says(
    own_database: Database, own_client: httpx.AsyncClient, deployment: Deployment, clock: Clock,
    worker: Worker, sample: dict[str, list[Fact]],
) -> None:  # fmt: skip
    clock.now = now = datetime.now(deployment.calendar.zone)
    await made.post(own_database, deployment, sample, now)
    await made.run(own_database, deployment, worker)
    last = date(1998, 6, 30)
    world = World(deployment.calendar.zone, sample, now, kinds=CORE)
    world.until = world.end(last)
    asked = Asked(world, date(1997, 1, 1), last, world.end(last), "")
    rows = 0
    for name, report in REPORTS.items():
        for by in dict.fromkeys((report.ways[0], report.ways[1])):
            if name == "value" and by == "rfm_group":
                continue
            told = await compare(own_client, replace(asked, by=by), name, last.isoformat())
            rows += len(told["rows"])
    assert rows > 150


async def test_who_begins_as_a_customer_is_one_and_a_change_of_policy_is_no_departure(
    own_client: httpx.AsyncClient, clock: Clock, worker: Worker
) -> None:
    clock.now = datetime.now(UTC)
    for each, days in (("left", 500), ("first", 10)):
        await renames.buy(own_client, each, clock.now - timedelta(days=days))
    document = renames.renamed()
    for stage in document["stages"]:
        stage["role"] = {"potential": "customer", "initial": "churned"}.get(
            stage["code"], stage["role"]
        )
    await renames.put_in_force(own_client, worker, clock, await renames.add(own_client, document))
    await own_client.put("/v1/customers/new", json={"country": "DE"})
    clock.now = datetime.now(UTC)
    today = {"from": clock.now.astimezone(ZoneInfo("Europe/Berlin")).date().isoformat()}
    for by, told in (("country", {"DE": (0, 1)}), ("reason", {})):
        query = {"by": by, **today}
        rows = (await own_client.get("/v1/reports/churn", params=query)).json()["rows"]
        found = {row[by]: plain(row["churned"]) for row in rows if row[by] == "DE"}
        assert found == told
        assert sum(row["departures"] for row in rows) == 0
    (month,) = (await own_client.get("/v1/reports/churn", params=today)).json()["rows"]
    assert (month["customers"], month["departures"]) == (1, 0)


async def test_who_is_put_in_a_further_stage_has_passed_those_before(
    own_client: httpx.AsyncClient, clock: Clock
) -> None:
    clock.now = datetime.now(UTC)
    await own_client.put("/v1/customers/one", json={})
    clock.now += timedelta(seconds=5)
    body = {"stage": "active", "reason": "a contract"}
    answer = await own_client.post("/v1/customers/one/stage/override", json=body)
    assert answer.status_code == 201, answer.text
    clock.now += timedelta(seconds=5)
    rows = (await own_client.get("/v1/reports/funnel")).json()["rows"]
    assert [(row["stage"], plain(row["converted"]), row["median_days"], row["open"])
            for row in rows] == [
        ("potential", (1, 1), 0, 0), ("initial", (1, 1), 0, 0), ("active", (0, 1), None, 1),
    ]  # fmt: skip


def test_every_report_has_a_slow_twin() -> None:
    assert REPORTS.keys() == slow_reports.REPORTS.keys()
