"""What is counted of everybody, in reports and previews, against a count of the raw facts."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.deployment import Deployment
from app.postgres.db import Database
from app.scoring.rfm import rfm
from app.services.policy_changes import previews
from app.worker import Worker
from tests import histories, openapi
from tests.database import Clock
from tests.kept import MODEL, store_model
from tests.services.policy_changes import test_policy_changes as changes
from tests.services.runs import test_runs as made
from tests.slow_policy import Person, Slow
from tests.twin import Fact, Twin
from tests.twin_scores import scores

CUSTOMERS = 150
SAMPLES = 5
People = Mapping[str, list[Fact]]


@pytest.fixture(params=[1, 2])
def people(request: pytest.FixtureRequest, deployment: Deployment, clock: Clock) -> People:
    """Customers of all stages and RFM groups; some never purchased, one has a refund alone."""
    clock.now = datetime.now(deployment.calendar.zone)
    rng, zone = random.Random(request.param), deployment.calendar.zone
    today = clock.now.date()
    found = {
        f"c{number:03}": [
            fact
            for fact in histories.facts(rng, zone, today - timedelta(days=rng.choice(SILENCES)))
            if fact.at <= clock.now
        ]
        for number in range(CUSTOMERS)
    }
    found["owing"] = [Fact(("default", "r"), clock.now - timedelta(days=9), Decimal(7), "refund")]
    return {each: facts for each, facts in found.items() if facts}


SILENCES = (0, 1, 1, 5, 20, 40, 100, 170, 190, 300, 500, 800)


@pytest.fixture
async def worker(
    own_database: Database, deployment: Deployment, settings: Settings, clock: Clock, people: People
) -> Worker:
    """A worker on a database with all facts, and with a model that was fitted to none of them."""
    await made.post(own_database, deployment, dict(people), clock.now)
    async with made.write(own_database) as session:
        await store_model(session, "model_of_reports")
    return Worker(own_database, settings)


def decimal(shown: Any) -> Decimal:
    """Return an amount of money in an answer."""
    assert shown["currency"] == "EUR"
    return Decimal(shown["amount"])


def near(amounts: list[float]) -> Any:
    """Return a sum of computed amounts, each of which was rounded to cents."""
    return pytest.approx(sum(amounts), abs=0.005 * len(amounts) + 1e-6)


def assert_totals(told: dict[str, Any], cards: list[dict[str, Any]]) -> None:
    """Hold what is told of many to the sums over their cards, and within its intervals."""
    purchases, value = told["expected_purchases"], told["clv"]
    expected = sum(card["expected_purchases"] for card in cards)
    assert purchases["value"] == pytest.approx(expected, rel=1e-9)
    assert float(decimal(value["value"])) == near([card["clv"] for card in cards])
    low, high = (float(decimal(value["interval"][end])) for end in ("low", "high"))
    assert 0 <= low <= float(decimal(value["value"])) <= high
    low, high = (purchases["interval"][end] for end in ("low", "high"))
    assert 0 <= low <= high
    if expected > 1:
        assert low < expected < high < 3 * expected + 5


async def test_reports_say_what_a_count_of_the_facts_says(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    people: People,
) -> None:
    # Of the newest run alone, beside the scores of another.
    await made.run(own_database, deployment, worker, as_of="2026-01-31")
    run_id = await made.run(own_database, deployment, worker)
    stages = (await own_client.get("/v1/reports/stages")).json()
    rfm_report = (await own_client.get("/v1/reports/rfm")).json()
    at = datetime.fromisoformat(stages["as_of"])
    twins = {each: Twin(own, deployment.calendar.zone) for each, own in people.items()}
    revenue = {each: twin.summary(at)["revenue"] for each, twin in twins.items()}
    cards = {each: scores(twin, MODEL, at) for each, twin in twins.items() if twin.at(at)[0]}
    for report in (stages, rfm_report):
        assert (report["run_id"], report["model_id"]) == (run_id, "model_of_reports")
        assert (report["policy_version"], report["as_of"]) == (1, stages["as_of"])

    # By stage: each once, in the order of the policy.
    assert [each["stage"] for each in stages["stages"]] == [
        "potential", "initial", "active", "loyal", "churned",
    ]  # fmt: skip
    for counted in stages["stages"]:
        own = [each for each, twin in twins.items() if twin.stage(at) == counted["stage"]]
        assert counted["customers"] == len(own) > 0, counted["stage"]
        assert decimal(counted["revenue"]) == sum(revenue[each] for each in own)
        lost = [cards[each]["value_to_save"] for each in own if each in cards]
        assert float(decimal(counted["value_to_save"])) == near(lost)
        assert_totals(counted["totals"], [cards[each] for each in own if each in cards])
    assert_totals(stages["totals"], list(cards.values()))

    # By R and the mean of F and M, and by the groups that these make.
    cells = Counter((card["r"], (card["f"] + card["m"]) // 2) for card in cards.values())
    grid = [[cells[r, fm] for fm in (1, 2, 3, 4, 5)] for r in (1, 2, 3, 4, 5)]
    assert rfm_report["grid"] == grid
    cuts = rfm_report["cuts"]
    assert {"r": [-cut for cut in cuts["r"][::-1]], "f": cuts["f"],
            "m": [float(decimal(cut)) for cut in cuts["m"]]} == MODEL.cuts  # fmt: skip
    assert rfm_report["rfm_few_classes"] == []
    assert [each["group"] for each in rfm_report["groups"]] == list(rfm.GROUPS)
    for counted in rfm_report["groups"]:
        own = [each for each, card in cards.items() if card["rfm_group"] == counted["group"]]
        assert counted["customers"] == len(own)
        assert decimal(counted["revenue"]) == sum(revenue[each] for each in own)

    # What would hide a fault is not so here.
    assert grid != [list(column) for column in zip(*grid, strict=True)]
    groups = [each for each in rfm_report["groups"] if decimal(each["revenue"]) > 0]
    assert len(groups) >= len(rfm.GROUPS) - 2
    assert revenue["owing"] == 0


def test_every_report_is_held_against_the_facts_here() -> None:
    offered = {path for path in openapi.committed()["paths"] if path.startswith("/v1/reports/")}
    offered.discard("/v1/reports/{name}")  # each of these has a twin in tests/slow_reports
    asked = re.findall(r'own_client[.]get\("(/v1/reports/\w+)"\)', Path(__file__).read_text())
    assert offered <= set(asked)


async def test_before_the_first_run_reports_are_empty(own_client: httpx.AsyncClient) -> None:
    stages = (await own_client.get("/v1/reports/stages")).json()
    rfm_report = (await own_client.get("/v1/reports/rfm")).json()
    for report in (stages, rfm_report):
        about = {key: report[key] for key in ("run_id", "model_id", "policy_version", "as_of")}
        assert set(about.values()) == {None}
    for counted in (*stages["stages"], *rfm_report["groups"]):
        assert (counted["customers"], decimal(counted["revenue"])) == (0, 0)
    assert len(stages["stages"]) == 5
    assert rfm_report["grid"] == [[0] * 5] * 5
    assert rfm_report["cuts"] is None


@pytest.mark.parametrize("version", [2, 3, 6])
async def test_a_preview_says_what_a_count_of_the_facts_says(
    own_client: httpx.AsyncClient,
    clock: Clock,
    deployment: Deployment,
    worker: Worker,
    people: People,
    version: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(previews, "COMPARE_PART", 41)
    document = (await own_client.get(f"/v1/policies/{version}")).json()["document"]
    seen = await changes.preview(own_client, worker, version)
    at = datetime.fromisoformat(seen["as_of"])
    zone = deployment.calendar.zone
    cells: dict[tuple[str, str], list[tuple[Decimal, str, float]]] = defaultdict(list)
    for each, own in people.items():
        twin = Twin(own, zone)
        after, _ = Slow(Person(zone, clock.now, tuple(own)), document).decide(at)
        value = scores(twin, MODEL, at)["clv"] if twin.at(at)[0] else 0.0
        cells[twin.stage(at), after].append((twin.summary(at)["revenue"], each, value))
    assert seen["customers"] == len(people)
    assert seen["transitions"] == sum(len(cell) for (a, b), cell in cells.items() if a != b)
    assert {(cell["from"], cell["to"]) for cell in seen["matrix"]} == set(cells)
    for cell in seen["matrix"]:
        own_cell = sorted(cells[cell["from"], cell["to"]], reverse=True)
        assert cell["customers"] == len(own_cell)
        assert decimal(cell["revenue"]) == sum(revenue for revenue, _, _ in own_cell)
        assert float(decimal(cell["clv"])) == pytest.approx(
            sum(value for *_, value in own_cell), abs=0.006
        )
        assert cell["samples"] == [each for _, each, _ in own_cell[:SAMPLES]]
    moving = [cell["from"] != cell["to"] for cell in seen["matrix"]]
    assert moving == sorted(moving, reverse=True)
    assert len(cells) > 3
