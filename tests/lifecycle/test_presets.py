"""The ready policies: whole, in both languages, and deciding as they say."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from app.lifecycle.dated import Interactions
from app.lifecycle.documents import parse
from app.lifecycle.evaluator import evaluate
from app.lifecycle.expressions import Expression, terms
from app.lifecycle.facts import NO_PURCHASES, State
from app.lifecycle.policy import Option, Policy
from app.lifecycle.presets import CHURN_REASONS, PRESETS
from app.lifecycle.records import Columns, Profiles, Records, Span

NAMES = list(PRESETS)
TODAY = 20_000
each_preset = pytest.mark.parametrize("name", NAMES)


def policy_of(name: str) -> Policy:
    return parse(1, PRESETS[name])


def history(days: int, *, tenure: int, silent: int, life_days: int | None = None) -> State:
    if not days:
        return NO_PURCHASES
    first, last = TODAY - tenure, TODAY - silent
    return State(days, first, last, first, days if life_days is None else life_days, 1)


def interactions(facts: list[tuple[str, int]]) -> Interactions:
    """Return those of one customer, given as kind and days ago."""
    day = np.array(sorted(TODAY - ago for _, ago in facts), dtype=np.int64)
    kinds = [kind for kind, _ in sorted(facts, key=lambda fact: -fact[1])]
    return Interactions(
        owner=np.zeros(len(facts), dtype=np.int64),
        at=day,
        day=day,
        kind=np.array(kinds, dtype=object),
        count=np.ones(len(facts), dtype=np.int64),
        score=np.full(len(facts), np.nan),
    )


def records(
    policy: Policy, state: State, *facts: tuple[str, int], contract_ends_in: float = np.nan
) -> Records:
    return Records(
        inactivity_limit=policy.inactivity_limit,
        owner=np.array([0]),
        at=np.array([TODAY]),
        day=np.array([TODAY]),
        span=Span.on(np.array([TODAY])),
        columns=Columns.of([state]),
        interactions=interactions(list(facts)),
        profiles=Profiles.constant({"contract_ends_on": np.array([TODAY + contract_ends_in])}, 1),
    )


def decide(name: str, state: State, *facts: tuple[str, int], **profile: float) -> tuple[str, str]:
    policy = policy_of(name)
    of_one = records(policy, state, *facts, **profile)
    stage, rule = evaluate(policy, of_one, np.array([0]), np.array([TODAY]))
    return policy.stages[stage[0]], policy.rules[rule[0]].code


def holds(when: Expression, known: Records) -> bool:
    values = known.values(tuple(terms(when)), np.array([0]), np.array([TODAY]))
    return bool(when.holds(values, 1)[0])


def options(policy: Policy) -> Iterator[Option]:
    for stage in policy.described:
        yield from stage.actions
        yield from stage.sub_stages


def texts(part: Any) -> Iterator[dict[str, str]]:
    """Yield every text meant for people."""
    if isinstance(part, dict):
        if part.keys() & {"en", "zh"}:
            yield part
        for below in part.values():
            yield from texts(below)
    elif isinstance(part, (list, tuple)):
        for below in part:
            yield from texts(below)


def in_chinese(said: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in said)


def test_the_default_comes_first():
    assert NAMES == [
        "five_stages", "four_stages", "four_phases", "retail", "b2b", "annual", "contractual",
    ]  # fmt: skip


@each_preset
def test_it_is_a_policy_without_faults_whose_stages_are_all_entered(name: str):
    policy = policy_of(name)
    assert {rule.stage for rule in policy.rules} == set(policy.stages)
    assert "when" not in PRESETS[name]["rules"][-1]
    assert all("when" in rule for rule in PRESETS[name]["rules"][:-1])
    assert policy.model_id is None
    roles = [stage.role for stage in policy.described]
    assert (roles[0], roles[-1]) == ("prospect", "churned")
    assert set(roles[1:-1]) == {"customer"}


@each_preset
def test_everything_is_said_in_both_languages(name: str):
    document = PRESETS[name]
    for part in (document, *document["stages"]):
        assert part["name"]
        assert part["description" if part is document else "definition"]
    said = list(texts(document))
    assert len(said) > 40
    for each in said:
        assert set(each) == {"en", "zh"}
        assert each["en"].isascii()
        assert each["en"].strip() == each["en"] != ""
        assert in_chinese(each["zh"])
    assert all(stage["goals"] for stage in document["stages"])


@each_preset
def test_codes_are_unique(name: str):
    document = PRESETS[name]
    for given in (document["stages"], document["rules"]):
        assert len({each["code"] for each in given}) == len(given)
    for stage in document["stages"]:
        for given in (stage["actions"], stage.get("sub_stages", [])):
            assert len({each["code"] for each in given}) == len(given)
        assert 4 <= len(stage["actions"]) <= 8


def test_a_code_names_one_action_everywhere():
    said = [
        (action["code"], str(action))
        for document in PRESETS.values()
        for stage in document["stages"]
        for action in stage["actions"]
    ]
    assert len({code for code, _ in said}) == len(set(said))


@each_preset
def test_moves_lead_from_every_stage_to_other_stages(name: str):
    policy = policy_of(name)
    assert set(policy.transitions) == set(policy.stages)
    for before, after in policy.transitions.items():
        assert set(after) <= set(policy.stages) - {before}
        assert after
        assert len(set(after)) == len(after)


@each_preset
def test_nothing_needs_a_model(name: str):
    policy = policy_of(name)
    assert "model" not in policy.sources
    used = [term for option in options(policy) for term in terms(option.when)]
    assert used
    assert "model" not in {term.variable.source for term in used}


def test_no_stage_of_a_document_is_that_of_another():
    stages = [id(stage) for document in PRESETS.values() for stage in document["stages"]]
    assert len(set(stages)) == len(stages)


def test_the_five_stages_use_the_variables_in_their_order():
    assert [term.key for term in policy_of("five_stages").terms] == [
        "purchase_days", "days_since_last_purchase", "inactivity_limit_days",
        "life_purchase_days", "tenure_days",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "decided"),
    [
        (NO_PURCHASES, ("potential", "never_purchased")),
        (history(1, tenure=180, silent=180), ("initial", "first_purchase")),
        (history(1, tenure=181, silent=181), ("churned", "silent_too_long")),
        (history(2, tenure=10, silent=0), ("active", "repeat_purchase")),
        (history(5, tenure=179, silent=0), ("active", "repeat_purchase")),
        (history(5, tenure=180, silent=0), ("loyal", "frequent_and_long_standing")),
        (history(5, tenure=900, silent=0, life_days=1), ("active", "repeat_purchase")),
        # Purchases 150 days apart allow 450 days of silence.
        (history(3, tenure=750, silent=450), ("active", "repeat_purchase")),
        (history(3, tenure=751, silent=451), ("churned", "silent_too_long")),
    ],
)
def test_the_five_stages_decide_by_purchases_and_silence(state: State, decided: tuple[str, str]):
    assert decide("five_stages", state) == decided


@pytest.mark.parametrize(
    ("name", "state", "stage"),
    [
        ("four_stages", history(3, tenure=89, silent=0), "new"),
        ("four_stages", history(3, tenure=90, silent=0), "mature"),
        ("four_stages", history(1, tenure=181, silent=181), "churned"),
        ("four_phases", NO_PURCHASES, "acquisition"),
        ("four_phases", history(3, tenure=179, silent=0), "development"),
        ("four_phases", history(3, tenure=180, silent=0), "retention"),
        ("four_phases", history(1, tenure=181, silent=181), "departure"),
        ("retail", history(5, tenure=180, silent=0), "loyal"),
        ("b2b", history(1, tenure=91, silent=91), "churned"),
        ("b2b", history(5, tenure=365, silent=0), "active"),
        ("b2b", history(6, tenure=365, silent=0), "loyal"),
        ("annual", history(1, tenure=540, silent=540), "initial"),
        ("annual", history(3, tenure=730, silent=0), "loyal"),
    ],
)
def test_the_others_decide_by_their_own_bounds(name: str, state: State, stage: str):
    assert decide(name, state)[0] == stage


@pytest.mark.parametrize(
    ("days", "facts", "ends_in", "rule"),
    [
        (1, [], np.nan, "first_purchase"),  # silent for years, and no contract known
        (1, [], -1, "contract_ended"),
        (1, [], 0, "first_purchase"),  # the last day of the contract
        (1, [("cancelled", 400)], np.nan, "cancelled"),
        (1, [("cancelled", 400)], 30, "cancelled"),  # whenever the contract ends
        (1, [("cancelled", 2_500)], 30, "cancelled"),  # on the day of the last purchase
        (1, [("cancelled", 2_501)], 30, "first_purchase"),  # purchased on a later day
        (3, [("cancelled", 2_501)], -1, "contract_ended"),
        (3, [("cancelled", 2_501)], 30, "frequent_and_long_standing"),
        (1, [("cancelled", 400), ("contract_renewed", 401)], 30, "cancelled"),
        (1, [("cancelled", 400), ("contract_renewed", 400)], 30, "first_purchase"),
        (1, [("cancelled", 400), ("contract_renewed", 399)], 30, "first_purchase"),
        (1, [("cancelled", 400), ("contract_renewed", 400), ("cancelled", 399)], 30, "cancelled"),
        (0, [], np.nan, "never_purchased"),
        (0, [("cancelled", 400)], np.nan, "cancelled"),
        (0, [("cancelled", 400), ("contract_renewed", 10)], 9, "never_purchased"),
        (0, [("cancelled", 400)], -1, "contract_ended"),
    ],
)
def test_contracts_end_by_events_and_never_by_silence(
    days: int, facts: list[tuple[str, int]], ends_in: float, rule: str
):
    state = history(days, tenure=3_000, silent=2_500)
    assert decide("contractual", state, *facts, contract_ends_in=ends_in)[1] == rule


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ([], None),
        ([("call", 3)], "contacted"),
        ([("demo", 9), ("call", 3)], "trial"),
        ([("trial", 9)], "trial"),
        ([("quote", 8), ("trial", 9)], "quoted"),
        ([("decision", 1), ("quote", 8)], "decided"),
        ([("decision", 365)], "decided"),
        ([("decision", 366)], "dormant"),
    ],
)
def test_prospects_are_followed_in_their_decision(facts: list[tuple[str, int]], found: str | None):
    policy = policy_of("five_stages")
    known = records(policy, NO_PURCHASES, *facts)
    held = [each.code for each in policy.stage("potential").sub_stages if holds(each.when, known)]
    assert next(iter(held), None) == found


def test_reasons_to_leave_are_internal_external_or_unknown():
    assert len({reason["code"] for reason in CHURN_REASONS}) == len(CHURN_REASONS)
    branches = {reason["code"]: reason["branch"] for reason in CHURN_REASONS}
    assert set(branches.values()) == {"internal", "external", "unknown"}
    assert [code for code, branch in branches.items() if branch == "unknown"] == ["unknown"]
    assert branches["price"] == "internal"
    assert branches["competitor"] == "external"
    assert all(in_chinese(said["zh"]) and said["en"] for said in texts(CHURN_REASONS))
