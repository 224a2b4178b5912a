"""What lists, reports and previews must say, counted customer by customer."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from app.deployment import Deployment
from app.postgres.db import ReadSession
from app.schemas.scores.lists import ChurnRiskPage
from app.services.common import deployment_settings as stored_settings
from app.services.common.paging import PageRequest
from app.services.runs import reports
from app.services.scores import churn_risks, lists
from app.services.scores.run_selects import Asked
from tests.simulation.customers import Customers, Life
from tests.simulation.scoring import Scorer
from tests.simulation.world import World
from tests.slow_history import called, carried
from tests.slow_policy import Document
from tests.twin_scores import flat

Matrix = dict[tuple[str, str], tuple[int, Decimal]]
"""By stages from and to: how many customers, and what they have brought."""


def told(matrix: Sequence[Mapping[str, Any]]) -> Matrix:
    """Return a matrix as the service tells it."""
    return {
        (cell["from"], cell["to"]): (cell["customers"], Decimal(cell["revenue"]["amount"]))
        for cell in matrix
    }


def matrix(customers: Customers, version: int, document: Document, now: datetime) -> Matrix:
    """Return who is where, and where another policy from now on would put them."""
    after = Customers(customers.zone, customers.timeline.followed_by(version, document, now))
    after.told = customers.told
    found: Matrix = {}
    for each in customers:
        life = customers.life(each)
        cell = life.stage(now), after.life(each).stage(now)
        count, revenue = found.get(cell, (0, Decimal()))
        found[cell] = count + 1, revenue + life.twin.summary(now)["revenue"]
    return found


def totals(matrix: Matrix, document: Document) -> dict[str, int]:
    """Return how many customers there are, how many change stage, and how many are renamed."""
    moved = [n for (before, after), (n, _) in matrix.items() if called(document, before) != after]
    other = [n for (before, after), (n, _) in matrix.items() if before != after]
    everybody = [n for n, _ in matrix.values()]
    return {
        "customers": sum(everybody),
        "transitions": sum(moved),
        "renamed": sum(other) - sum(moved),
    }


def lost(customers: Customers, version: int, document: Document, now: datetime) -> dict[str, str]:
    """Return whose override ends if another policy comes into force now, and what it had set."""
    before = customers.timeline.current.document
    found = {}
    for each in customers:
        snapshot = customers.life(each).standing(now)
        if snapshot is not None and carried(before, document, snapshot) is None:
            found[each] = snapshot.stage
    return found


@dataclass(frozen=True)
class Run:
    """What a run said of everybody when it was published."""

    run_id: int
    as_of: datetime
    policy_version: int
    document: Document
    scorer: Scorer | None
    rows: dict[str, dict[str, Any]]
    told: dict[str, Any]
    """What had been told of the facts of each."""

    @classmethod
    def of(
        cls, customers: Customers, scorer: Scorer | None, result: Mapping[str, Any], at: datetime
    ) -> "Run":
        in_force = customers.timeline.at(at)
        rows = {each: _row(customers.life(each), scorer, at) for each in customers}
        told = {each: _told(customers, each) for each in customers}
        return cls(result["run_id"], at, in_force.version, in_force.document, scorer, rows, told)

    def check(self, world: World, customers: Customers) -> None:
        world.ask(_check_scores, world.here, self, world.now)
        world.ask(_check_risks, world.here, self, customers, world.now)
        world.ask(_check_reports, world.here, self)


def _told(customers: Customers, customer_id: str) -> Any:
    """Return all that has been told of the facts of a customer, whether it counts or not."""
    told = customers.told[customer_id]
    return deepcopy((told.facts, told.interactions, told.voided, told.voided_interactions))


def _known(customers: Customers, customer_id: str, told: Any, at: datetime) -> Any:
    """Return the facts up to an instant that count, of what has been told."""
    facts, interactions, voided, voided_interactions = told
    own = replace(
        customers.told[customer_id], facts=facts, interactions=interactions, voided=voided,
        voided_interactions=voided_interactions,
    ).person(customers.zone)  # fmt: skip
    return [each for each in (*own.facts, *own.interactions) if each.at <= at]


def _row(life: Life, scorer: Scorer | None, at: datetime) -> dict[str, Any]:
    """Return what is said of one customer; of a buyer all that the twin scores."""
    summary = life.twin.summary(at)
    row = {
        "stage": life.stage(at),
        "revenue": summary["revenue"],
        "purchase_days": summary["purchase_days"],
        "first_purchase_on": summary["first_purchase_on"],
        "last_purchase_on": summary["last_purchase_on"],
        "status": "never_purchased",
    }
    if not summary["purchase_days"]:
        row["value_to_save"] = 0.0
    elif scorer is not None:
        row |= scorer.expected(life, at)
        row["status"] = "insufficient_history" if scorer.status == "fallback" else "ok"
    return row


OF_CARDS_ALONE = ("x", "t_x", "T", "purchases", "age", "inactivity", "days_since_last_purchase")
MONEY = ("revenue", "clv", "value_to_save")


async def _page(session: ReadSession) -> PageRequest:
    secret = await stored_settings.get(session, stored_settings.CURSOR_SECRET)
    return PageRequest(100, None, None, bytes.fromhex(secret))


def _assert_head(run: Run, answer: Mapping[str, Any], policy: str) -> None:
    assert (answer["run_id"], answer["as_of"]) == (run.run_id, run.as_of)
    assert answer[policy] == run.policy_version


async def _check_scores(session: ReadSession, here: Deployment, run: Run, now: datetime) -> None:
    answer = await lists.search(session, here, await _page(session), Asked({}, None, None))
    _assert_head(run, answer, "stage_policy_version")
    assert [item["customer_id"] for item in answer["items"]] == sorted(run.rows)
    for item in answer["items"]:
        _assert_row(item, run.rows[item["customer_id"]])


def _assert_row(item: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    shown = flat(dict(item))
    for name, value in row.items():
        if name in OF_CARDS_ALONE or name not in shown:
            continue
        found = shown[name]
        if name in MONEY:
            assert float(found["amount"]) == pytest.approx(float(value), abs=0.00501), name
        elif isinstance(value, float):
            assert found == pytest.approx(value, rel=1e-9, abs=1e-9), name
        else:
            assert found == value, name


async def _check_risks(
    session: ReadSession, here: Deployment, run: Run, customers: Customers, now: datetime
) -> None:
    listed = {}
    for include in (None, "lost", "all"):
        asked = Asked({}, None, None)
        page = await churn_risks.search(session, here, await _page(session), asked, include=include)
        answer = ChurnRiskPage.model_validate_json(page).model_dump()
        _assert_head(run, answer, "stage_policy_version")
        listed[include] = {item["customer_id"] for item in answer["items"]}
    assert listed["all"] == {each for each, row in run.rows.items() if "p_alive" in row}
    lost = {each["customer_id"] for each in answer["items"] if each["rhythm"]["status"] == "lost"}
    to_call = {each["customer_id"] for each in answer["items"] if each["call_reasons"]}
    assert (listed[None], listed["lost"]) == (to_call, to_call | lost)
    assert not to_call & lost
    worth = [item["value_to_save"]["amount"] for item in answer["items"]]
    assert worth == sorted(worth, reverse=True)
    for item in answer["items"]:
        _assert_row(item, run.rows[item["customer_id"]])
        _assert_calls(item, run, customers.life(item["customer_id"]))
        _assert_reasons(item, run)
        _assert_changed(item, run, customers)


def _assert_calls(item: Mapping[str, Any], run: Run, life: Life) -> None:
    """Check that who is overdue is called, but for those of whom somebody said that they left."""
    gone = life.pinned(run.as_of) is not None and life.has_left(run.as_of)
    overdue = item["rhythm"]["status"] == "overdue" and not gone
    assert ("overdue" in item["call_reasons"]) == overdue


def _assert_reasons(item: Mapping[str, Any], run: Run) -> None:
    """Check that reasons are those that the run found."""
    assert run.scorer is not None
    if not run.scorer.is_plain:
        return
    told = {each["code"]: each["contribution"] for each in item["reasons"]}
    row = run.rows[item["customer_id"]]
    assert told == pytest.approx(
        {name: row[name] for name in ("purchases", "age", "inactivity")}, rel=1e-9, abs=1e-9
    )


def _assert_changed(item: Mapping[str, Any], run: Run, customers: Customers) -> None:
    """Check that it says so where the facts are others, and not where none were told since."""
    each = item["customer_id"]
    before, now = run.told[each], _told(customers, each)
    if before == now:
        assert not item["facts_changed"]
    elif _known(customers, each, before, run.as_of) != _known(customers, each, now, run.as_of):
        assert item["facts_changed"]


async def _check_reports(session: ReadSession, here: Deployment, run: Run) -> None:
    answer = await reports.stages(session, here)
    _assert_head(run, answer, "policy_version")
    rows = list(run.rows.values())
    known = ["revenue"]
    if run.scorer is None or run.scorer.is_plain:
        known.append("value_to_save")
    assert [each["stage"] for each in answer["stages"]] == [
        each["code"] for each in run.document["stages"]
    ]
    for each in answer["stages"]:
        own = [row for row in rows if row["stage"] == each["stage"]]
        assert each["customers"] == len(own)
        _assert_sums(each, own, known)
    grid = await reports.rfm_grid(session, here)
    _assert_head(run, grid, "policy_version")
    scored = [row for row in rows if "r" in row]
    cells = Counter((row["r"], (row["f"] + row["m"]) // 2) for row in scored)
    assert grid["grid"] == [[cells[r, fm] for fm in range(1, 6)] for r in range(1, 6)]
    for each in grid["groups"]:
        own = [row for row in scored if row["rfm_group"] == each["group"]]
        assert each["customers"] == len(own)
        _assert_sums(each, own, ("revenue",))


def _assert_sums(
    found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> None:
    for name in names:
        expected = sum(float(row[name]) for row in rows)
        amount = float(found[name]["amount"])
        assert amount == pytest.approx(expected, abs=0.00501 * (1 + len(rows)))
