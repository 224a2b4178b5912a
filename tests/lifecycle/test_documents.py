"""Reading policies: every fault with a pointer to it, and no fault where there is none."""

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.lifecycle.documents import InvalidPolicy, parse
from app.lifecycle.expressions import words
from app.lifecycle.presets import PRESETS
from app.lifecycle.reading import MAX_DEPTH, MAX_NODES
from app.lifecycle.variables.definition import Variable
from app.lifecycle.variables.parameters import PARAMETERS
from app.lifecycle.variables.registry import VARIABLES
from tests.lifecycle import at_random
from tests.slow_policy import compared, holds

INACTIVITY = {"floor_days": 30, "gap_multiple": 2, "gap_margin_days": 10}
Document = dict[str, Any]


def compare(variable: str, op: str, value: Any, **parameters: Any) -> Document:
    return {"variable": variable, **parameters, "op": op, "value": value}


def stage(code: str, **more: Any) -> Document:
    return {"code": code, "name": {"en": code, "zh": code}, **more}


def document(*whens: Any, **more: Any) -> Document:
    """Return a policy whose rules lead to stage `a` each, and by default to `b`."""
    rules = [{"code": f"r{n}", "stage": "a", "when": when} for n, when in enumerate(whens)]
    rules.append({"code": "default", "stage": "b"})
    found = {"stages": [stage("a"), stage("b")], "inactivity_limit": INACTIVITY, "rules": rules}
    return {**found, **more}


def faults(given_: Document) -> set[tuple[str, str]]:
    try:
        parse(1, given_)
    except InvalidPolicy as error:
        refused = error
    else:
        return set()
    assert all(fault.detail for fault in refused.faults)
    assert all(fault.pointer in str(refused) for fault in refused.faults)
    return {(fault.pointer, fault.code) for fault in refused.faults}


OFTEN = compare("purchase_days", ">=", 3)


@pytest.mark.parametrize(
    ("when", "below", "code"),
    [
        (compare("shoe_size", "<", 1), "/variable", "unknown_variable"),
        (compare(["a"], "<", 1), "/variable", "unknown_variable"),  # type: ignore[arg-type]
        (compare("purchase_days", "<", "1"), "/value", "type_mismatch"),
        (compare("purchase_days", "==", True), "/value", "type_mismatch"),
        (compare("purchase_days", "<", None), "/value", "type_mismatch"),
        (compare("purchase_days", "<", [1]), "/value", "type_mismatch"),
        (compare("purchase_days", "<", float("nan")), "/value", "type_mismatch"),
        (compare("purchase_days", "<", 10**400), "/value", "type_mismatch"),
        (compare("purchase_days", "known", 1), "/value", "type_mismatch"),
        (compare("purchase_days", "in", ["1"]), "/op", "type_mismatch"),
        (compare("country", "==", 1), "/value", "type_mismatch"),
        (compare("country", "<", "CN"), "/op", "type_mismatch"),
        (compare("country", "in", "CN"), "/value", "type_mismatch"),
        (compare("country", "in", []), "/value", "type_mismatch"),
        (compare("country", "in", ["CN", 1]), "/value/1", "type_mismatch"),
        (compare("country", "==", {"variable": "city"}), "/value", "type_mismatch"),
        (compare("attribute", "<", "a", name="x"), "/op", "type_mismatch"),
        (compare("attribute", ">=", True, name="x"), "/op", "type_mismatch"),
        (compare("attribute", "==", "x"), "/name", "missing"),
        (compare("attribute", "==", "x", name=""), "/name", "type_mismatch"),
        (compare("value_tier", "==", "huge"), "/value", "type_mismatch"),
        (compare("value_tier", "in", ["low", "huge"]), "/value/1", "type_mismatch"),
        (compare("value_tier", "<", 1), "/value", "type_mismatch"),
        (compare("purchase_days", "=", 1), "/op", "unknown_operator"),
        (compare("purchase_days", ["<"], 1), "/op", "unknown_operator"),  # type: ignore[arg-type]
        (compare("purchase_days", "<", {"variable": "nothing"}), "/value/variable",
         "unknown_variable"),
        (compare("purchase_days", "<", {"kind": "x"}), "/value/variable", "missing"),
        (compare("purchase_days", "==", {"variable": "lives"}), "/value", "type_mismatch"),
        (compare("purchase_days", "<", {"variable": "lives", "x": 1}), "/value/x",
         "extra_forbidden"),
        (compare("purchase_days", "<", {"variable": "days_since_last_purchase"}), "/value",
         "moving_variable"),
        (compare("days_since_last_purchase", "<", {"variable": "days_until_contract_end"}),
         "/value", "moving_variable"),
        (compare("tenure_days", "<", {"variable": "interactions", "days": 3}), "/value",
         "moving_variable"),
        (compare("interactions", ">", 1, kind="No kind"), "/kind", "type_mismatch"),
        (compare("interactions", ">", 1, days=0), "/days", "type_mismatch"),
        (compare("interactions", ">", 1, days=3651), "/days", "type_mismatch"),
        (compare("interactions", ">", 1, days=True), "/days", "type_mismatch"),
        (compare("interactions", ">", 1, days=1.5), "/days", "type_mismatch"),
        (compare("lives", "<", 1, days=3), "/days", "extra_forbidden"),
        (compare("purchase_days", "<", 1, kind="call"), "/kind", "extra_forbidden"),
        (compare("purchase_days", "<", 1, category=""), "/category", "type_mismatch"),
        (compare("revenue", "<", 1, channel=3), "/channel", "type_mismatch"),
        (compare("revenue", "<", 1, product="x" * 201), "/product", "type_mismatch"),
        (compare("complaints_90_days", "<", 1, days=30), "/days", "extra_forbidden"),
        (compare("purchase_days", "<", {"variable": "purchase_days", "days": 30}), "/value",
         "moving_variable"),
        (compare("country", "contains", "CN"), "/op", "type_mismatch"),
        (compare("attribute", "contains", 3, name="x"), "/value", "type_mismatch"),
        (compare("attribute", "contains", ["a"], name="x"), "/value", "type_mismatch"),
        (compare("stage", "==", "a"), "/variable", "not_allowed"),
        (compare("days_in_stage", ">", 3), "/variable", "not_allowed"),
        (compare("purchase_days", "<", {"variable": "days_in_stage"}), "/value/variable",
         "not_allowed"),
        ({**OFTEN, "a/b~c": 1}, "/a~1b~0c", "extra_forbidden"),
        ({"variable": "lives", "value": 1}, "/op", "missing"),
        ({"variable": "lives", "op": "<"}, "/value", "missing"),
        ({"all": []}, "/all", "expression"),
        ({"any": OFTEN}, "/any", "expression"),
        ({"not": [OFTEN]}, "/not", "expression"),
        ({"all": [OFTEN], "any": [OFTEN]}, "", "expression"),
        ({"xor": [OFTEN]}, "", "expression"),
        ({}, "", "expression"),
        (True, "", "expression"),
        ([OFTEN], "", "expression"),
    ],
)  # fmt: skip
def test_a_fault_in_an_expression_is_pointed_at(when: Any, below: str, code: str) -> None:
    assert (f"/rules/0/when{below}", code) in faults(document(when))
    deep = {"any": [OFTEN, {"not": {"all": [when]}}]}
    assert (f"/rules/1/when/any/1/not/all/0{below}", code) in faults(document(OFTEN, deep))
    option = {"code": "act", "name": {"en": "a", "zh": "a"}, "when": when}
    for options in ("actions", "sub_stages"):
        stages = [stage("a"), stage("b", **{options: [option]})]
        found = faults(document(OFTEN, stages=stages))
        assert found == {(f"/stages/1/{options}/0/when{below}", code)}


def test_all_faults_are_told_at_once() -> None:
    found = faults(
        document(compare("x", "<", 1), {"all": []}, transitions={"c": [], "a": ["a", "d"]})
    )
    assert found == {
        ("/rules/0/when/variable", "unknown_variable"),
        ("/rules/1/when/all", "expression"),
        ("/transitions/c", "unknown_stage"),
        ("/transitions/a/0", "no_transition"),
        ("/transitions/a/1", "unknown_stage"),
    }


def test_codes_are_unique_and_stages_known() -> None:
    action = {"code": "act", "name": {"en": "a", "zh": "a"}}
    stages = [stage("a", actions=[action, action]), stage("b"), stage("b")]
    found = document(OFTEN, stages=stages)
    found["rules"][0] |= {"code": "default", "stage": "c"}
    assert faults(found) == {
        ("/stages/0/actions/1/code", "duplicate_code"),
        ("/stages/2/code", "duplicate_code"),
        ("/rules/1/code", "duplicate_code"),
        ("/rules/0/stage", "unknown_stage"),
    }


def test_one_rule_and_only_the_last_is_the_default() -> None:
    assert faults(document(None)) == {("/rules/0", "overlapping_default")}
    found = document(OFTEN)
    assert faults({**found, "rules": found["rules"][:1]}) == {("/rules/0/when", "missing_default")}


BELOW, ABOVE = (
    compare("days_since_last_purchase", "<", 10),
    compare("days_since_last_purchase", ">=", 10),
)


@pytest.mark.parametrize(
    ("whens", "rule"),
    [
        ((OFTEN, OFTEN), 1),
        ((OFTEN, compare("purchase_days", ">", 5)), 1),
        ((OFTEN, {"all": [compare("purchase_days", ">", 2), BELOW]}), 1),
        ((BELOW, compare("days_since_last_purchase", "==", 3)), 1),
        (({"all": [compare("lives", "<", 1), compare("lives", ">", 2)]},), 0),
        (({"all": [compare("lives", ">", 1), compare("lives", "<", 2)]},), 0),
        ((compare("purchase_days", "<", 0),), 0),
        ((compare("purchase_days", "known", value=False),), 0),
        ((compare("country", "in", ["CN", "DE"]), compare("country", "==", "DE")), 1),
        (({"all": [compare("country", "==", "CN"), compare("country", "!=", "CN")]},), 0),
        ((BELOW, ABOVE, compare("days_since_last_purchase", "known", value=True)), 2),
        ((compare("lives", ">=", 1), compare("lives", "<", 1)), 2),
        (({"all": [compare("purchase_days", ">", {"variable": "lives"}),
                   compare("lives", ">", 3), compare("purchase_days", "<=", 3)]},), 0),
        ((compare("attribute", "==", "x", name="y"),
          {"all": [compare("attribute", "==", "x", name="y"), BELOW]}), 1),
        (({"all": [compare("attribute", "contains", "x", name="y"),
                   compare("attribute", "==", "x", name="y")]},), 0),
        ((compare("attribute", "contains", "x", name="y"),
          {"all": [compare("attribute", "contains", "z", name="y"),
                   compare("attribute", "contains", "x", name="y")]}), 1),
    ],
)  # fmt: skip
def test_a_rule_that_never_decides_is_pointed_at(whens: tuple[Document, ...], rule: int) -> None:
    assert (f"/rules/{rule}", "unreachable_rule") in faults(document(*whens))


def test_a_stage_that_no_rule_leads_to_is_pointed_at() -> None:
    stages = [stage("a"), stage("b"), stage("c")]
    assert faults(document(OFTEN, stages=stages)) == {("/stages/2", "unreachable_stage")}
    found = document(OFTEN, OFTEN, stages=stages)
    found["rules"][1]["stage"] = "c"
    assert faults(found) == {
        ("/rules/1", "unreachable_rule"),
        ("/stages/2", "unreachable_stage"),
    }


@pytest.mark.parametrize(
    ("when", "code"),
    [
        (compare("churn_probability", ">", 80), "out_of_range"),
        (compare("churn_probability", "<", 80), "out_of_range"),
        (compare("days_since_last_purchase", "!=", -1), "out_of_range"),
        (compare("mean_gap_days", "<", -1), "out_of_range"),
        (compare("last_satisfaction", ">=", 1.01), "out_of_range"),
        (compare("r", ">", 5), "never_holds"),
        (compare("days_since_last_purchase", "<", 0), "never_holds"),
        (compare("value_tier", "<", "low"), "never_holds"),
        (compare("value_tier", ">", "high"), "never_holds"),
        (compare("lives", ">=", 0), "always_holds"),
        (compare("kind", "==", "firm"), "type_mismatch"),
        (compare("kind", "!=", "firm"), "type_mismatch"),
        (compare("country", "==", "Germany"), "type_mismatch"),
    ],
)  # fmt: skip
def test_a_comparison_outside_of_what_there_is_is_pointed_at(when: Document, code: str) -> None:
    assert ("/rules/0/when/value", code) in faults(document(when, model_id="m"))
    among = {"any": [OFTEN, {"all": [when, OFTEN]}]}
    place = "/rules/0/when/any/1/all/0/value"
    assert faults(document(among, model_id="m")) == {(place, code)}


@pytest.mark.parametrize(
    "when",
    [
        compare("days_since_last_purchase", ">=", 0),  # tells those who purchased
        compare("r", ">=", 1),
        compare("churn_probability", "<=", 1),
        compare("value_tier", ">=", "low"),
        compare("revenue", "<=", 0),
        compare("days_until_contract_end", "<", 0),
        compare("mean_gap_days", ">", 0),
        {"not": compare("kind", "in", ["person", "company"])},  # of whom it is not known
        {"all": [compare("m", ">", 4), compare("f", "<", {"variable": "m"})]},
        {"all": [compare("churn_probability", ">", 0.99), compare("churn_probability", "<", 1)]},
    ],
)  # fmt: skip
def test_a_comparison_within_the_range_is_not_refused(when: Document) -> None:
    assert not faults(document(when, model_id="m"))


@pytest.mark.parametrize(
    "when",
    [
        {"all": [compare("r", ">", 4), compare("r", "!=", 5)]},
        compare("m", "==", 2.5),
        {"all": [compare("f", "<", {"variable": "m"}), compare("f", ">=", 5)]},
        {"all": [compare("kind", "known", value=True), compare("kind", "!=", "person"),
                 compare("kind", "!=", "company")]},
        {"all": [compare("days_since_last_purchase", "<=", 0),
                 compare("days_since_last_purchase", "!=", 0)]},
    ],
)  # fmt: skip
def test_a_rule_that_no_value_reaches_is_pointed_at(when: Document) -> None:
    assert ("/rules/0", "unreachable_rule") in faults(document(when, model_id="m"))


@pytest.mark.parametrize(
    "whens",
    [
        (BELOW, ABOVE),  # of whom nothing is known remains
        ({"all": [compare("lives", ">", 1), compare("lives", "<", 3)]},),
        (compare("attribute", "!=", "x", name="y"), compare("attribute", "==", "x", name="y")),
        (compare("attribute", "==", True, name="y"), compare("attribute", "==", 1, name="y")),
        (compare("age_years", "<", 18), compare("age_years", "known", value=True)),
        (compare("age_years", "known", value=True),),
        (compare("days_since_last_purchase", ">", 10.1),
         compare("days_since_last_purchase", ">", 10)),
        ({"all": [compare("attribute", "contains", "x", name="y"),
                  compare("attribute", "contains", "z", name="y")]},
         compare("attribute", "contains", "x", name="y"),
         compare("attribute", "known", value=True, name="y")),
        # As many values must fit between two bounds as there are variables.
        ({"all": [compare("lives", ">", 10),
                  compare("lives", "<", {"variable": "life_purchase_days"}),
                  compare("life_purchase_days", "<", {"variable": "purchase_days"}),
                  compare("purchase_days", "<", 20)]},),
        ({"all": [compare("mean_gap_days", ">", 10),
                  compare("mean_gap_days", "<", {"variable": "purchase_days"}),
                  compare("purchase_days", "<", {"variable": "inactivity_limit_days"}),
                  compare("inactivity_limit_days", "<", 11.5)]},),
    ],
)  # fmt: skip
def test_a_rule_that_may_decide_is_not_refused(whens: tuple[Document, ...]) -> None:
    assert not faults(document(*whens))


def test_variables_of_a_model_need_one() -> None:
    given_ = document(compare("r", "<", 3))
    assert faults(given_) == {("/model_id", "missing")}
    assert not faults({**given_, "model_id": "m"})
    option = {"code": "act", "name": {"en": "a", "zh": "a"}, "when": compare("r", "<", 3)}
    stages = [stage("a", actions=[option]), stage("b")]
    assert faults(document(OFTEN, stages=stages)) == {("/model_id", "missing")}


def nested(depth: int) -> Document:
    when = OFTEN
    for _ in range(depth - 1):
        when = {"not": when}
    return when


def test_expressions_are_neither_too_deep_nor_too_many() -> None:
    place = "/rules/0/when" + "/not" * MAX_DEPTH
    assert not faults(document(nested(MAX_DEPTH)))
    assert (place, "too_deep") in faults(document(nested(50)))
    assert (place, "too_deep") in faults(document(nested(900)))
    many = [compare("purchase_days", ">=", n) for n in range(10_000)]
    assert (f"/rules/0/when/any/{MAX_NODES - 1}", "too_many_nodes") in faults(
        document({"any": many})
    )
    assert not faults(document({"any": many[1:MAX_NODES]}))
    spread = document(*([{"not": compare("lives", ">", 9)}] * 251))
    assert ("/rules/250/when", "too_many_nodes") in faults(spread)


def test_what_would_take_long_to_prove_is_let_pass() -> None:
    texts = [
        "source",
        "acquisition_channel",
        "region",
        "city",
        "gender",
        "occupation",
        "industry",
        "owner",
    ]
    same = {"all": [compare(name, "==", "x") for name in texts]}
    assert ("/rules/1", "unreachable_rule") in faults(document(*[same] * 40))
    kinds = [{"variable": "interactions", "kind": f"k{n}"} for n in range(240)]
    chain = [{**one, "op": "<", "value": other} for one, other in pairwise(kinds)]
    assert not faults(document({"any": chain}))


def numbers_near(rng: random.Random, row: Variable) -> float | None:
    """Return a value that a variable may have, seen alone."""
    if not row.always_known and rng.random() < 0.15:
        return None
    value = at_random.constant(rng, row)
    near = value + rng.choice((-1.3, -0.4, -0.01, 0, 0, 0.02, 0.3, 1.6)) * rng.random()
    if row.whole:
        near = round(near)
    least = near if row.minimum is None else max(near, row.minimum)
    return least if row.maximum is None else min(least, row.maximum)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_no_rule_that_decides_for_somebody_is_refused(seed: int) -> None:
    rng = random.Random(seed)
    found = at_random.document(rng)
    used = [term for rule in found["rules"] for term in compared(rule.get("when"))]
    decided: set[str] = set()
    for _ in range(120):
        known = {key_of(term): value_near(rng, term) for term in used}
        for rule in found["rules"]:
            if holds(rule.get("when"), lambda term, known=known: known[key_of(term)]):
                decided.add(rule["code"])
                break
    rules = [rule for rule in found["rules"] if rule["code"] in decided]
    if "default" in decided:
        entered = {rule["stage"] for rule in rules}
        stages = [each for each in found["stages"] if each["code"] in entered]
        parse(1, {**found, "rules": rules, "stages": stages})


def key_of(term: Document) -> tuple[Any, ...]:
    if term["variable"] == "complaints_90_days":
        return key_of({"variable": "interactions", "kind": "complaint", "days": 90})
    return tuple(term.get(key) for key in ("variable", *PARAMETERS))


def value_near(rng: random.Random, term: Document) -> Any:
    if term["variable"] == "attribute":
        lists = [], ["gold"], ["beta", "gold"], ["other"]
        return rng.choice((True, False, "yes", "no", "perhaps", 2, 3, 3.2, 4, None, *lists))
    row = at_random.read(term).variable
    if row.type == "number":
        return numbers_near(rng, row)
    if row.choices:
        return rng.choice((None, *row.choices))
    return rng.choice((None, "CN", "DE", "person", "ann", "somebody"))


def test_absent_moves_allow_all_others() -> None:
    assert parse(1, document(OFTEN)).transitions == {"a": ("b",), "b": ("a",)}
    assert parse(1, document(OFTEN, transitions={"a": []})).transitions == {"a": ()}


def test_a_role_follows_from_the_code_unless_it_is_given() -> None:
    codes = ["potential", "churned", "other", "gone"]
    found = document(OFTEN, stages=[stage(code) for code in codes])
    found["stages"][3]["role"] = "churned"
    found["rules"] = [
        {"code": f"r{n}", "stage": code, "when": compare("lives", "==", n)}
        for n, code in enumerate(codes)
    ] + [{"code": "default", "stage": "other"}]
    roles = [each.role for each in parse(1, found).described]
    assert roles == ["prospect", "churned", "customer", "churned"]


@pytest.mark.parametrize(
    ("when", "en", "zh"),
    [
        (
            compare("days_since_last_purchase", ">", {"variable": "inactivity_limit_days"}),
            "the time since the last purchase is above the inactivity that the current life allows",
            "最近一次购买至今的时间大于本期允许的沉默时间",
        ),
        (
            {"all": [compare("interactions", ">=", 2, kind="complaint", days=30),
                     {"any": [compare("country", "in", ["CN", "DE"]),
                              compare("attribute", "==", True, name="vip")]}]},
            (
                "the number of interactions of kind complaint in the last 30 days is at least 2 and"
                " (the country is one of CN, DE or the attribute 'vip' is true)"
            ),
            "近30天「complaint」类互动次数至少为2且（国家属于CN、DE或自定义属性「vip」为true）",
        ),
        (
            {"not": compare("owner", "known", value=True)},
            "not (the owner is known)",
            "并非（负责人已知）",
        ),
        (compare("owner", "known", value=False), "the owner is not known", "负责人未知"),
        (
            compare("frequency_trend", "<", 0.8),
            "the ratio of recent to overall purchase frequency is below 0.8",
            "近期与总体购买频率之比小于0.8",
        ),
        (
            {"any": [compare("lives", ">=", 5), compare("days_since_last_purchase", "<=", 1)]},
            (
                "the number of lives is at least 5"
                " or the time since the last purchase is at most 1 day"
            ),
            "生命周期次数至少为5或最近一次购买至今的时间不超过1天",
        ),
        (
            compare("days_until_contract_end", "<", 0),
            "the time until the contract ends is below 0 days",
            "距合同到期的时间小于0天",
        ),
        (
            compare("revenue", ">", 1234567.5),
            "the revenue is above 1234567.5",
            "累计收入大于1234567.5",
        ),
        (
            compare("revenue", ">", 5, category="tea", channel="web", days=90),
            "the revenue in category 'tea' through channel 'web' in the last 90 days is above 5",
            "近90天类目「tea」渠道「web」收入大于5",
        ),
        (
            compare("purchase_days", "<", 2, days=1, product="p1"),
            "the number of purchase days of product 'p1' in the last 1 day is below 2",
            "近1天产品「p1」购买天数小于2",
        ),
        (
            compare("complaints_90_days", ">", 0),
            "the number of interactions of kind complaint in the last 90 days is above 0",
            "近90天「complaint」类互动次数大于0",
        ),
        (
            compare("attribute", "contains", "gold", name="tags"),
            "the attribute 'tags' contains gold",
            "自定义属性「tags」包含gold",
        ),
        (compare("age_years", ">=", 18), "the age is at least 18 years", "年龄至少为18岁"),
    ],
)  # fmt: skip
def test_rules_are_said_in_words(when: Document, en: str, zh: str) -> None:
    policy = parse(1, document(when))
    said = [words(rule.when, language) for rule in policy.rules for language in ("en", "zh")]
    assert said == [en, zh, "always", "其余情况"]


def test_every_variable_is_called_by_a_subject_that_sentences_can_begin_with() -> None:
    for row in VARIABLES.values():
        for each in (row, row.narrowed) if row.narrowed else (row,):
            en, zh = each.subject
            assert en.startswith("the "), each.name
            assert not {":", ",", "("} & set(en + zh), each.name
            assert all(name in en and name in zh for name in map("{{{}}}".format, each.parameters))


def test_presets_have_no_faults() -> None:
    assert not any(faults(preset) for preset in PRESETS.values())
