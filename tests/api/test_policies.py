"""Policies: written, shown, and refused with a pointer to what is wrong."""

import copy
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from app.lifecycle.presets import PRESETS
from app.models import Policy
from app.postgres.db import WriteSession
from app.schemas.policies.policies import POLICY_EXAMPLE
from tests.database import NOW

SILENT = {"variable": "days_since_last_purchase", "op": ">", "value": 90}

PURCHASE = {
    "customer_id": "c1",
    "transaction_id": "t1",
    "occurred_at": "2026-05-31T12:00:00Z",
    "amount": {"amount": "9.00"},
}


def document(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(POLICY_EXAMPLE), **changes}


def with_rule(when: Any) -> dict[str, Any]:
    """Return a policy of which the rule in the middle is this."""
    found = document()
    found["rules"][1]["when"] = when
    return found


def nested(depth: int) -> dict[str, Any]:
    when: dict[str, Any] = SILENT
    for _ in range(depth - 1):
        when = {"not": when}
    return when


async def test_the_ready_policies_are_there(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/policies")).json()["items"]
    assert [each["preset"] for each in listed[::-1]] == list(PRESETS)
    assert [each["version"] for each in listed if each["active"]] == [1]
    for each in listed:
        shown = await client.get(f"/v1/policies/{each['version']}")
        assert shown.json()["document"] == PRESETS[each["preset"]]
        assert shown.headers["etag"] == '"1"'


async def test_a_policy_is_stored_and_its_rules_are_said_in_words(
    client: httpx.AsyncClient,
) -> None:
    made = await client.post("/v1/policies", json=document())
    assert made.status_code == 201
    body = made.json()
    assert made.headers["location"] == f"/v1/policies/{body['version']}"
    assert (body["active"], body["activated_at"]) == (False, None)
    assert body["document"] == POLICY_EXAMPLE
    assert body["rules"][1]["words"] == {
        "en": "the time since the last purchase is above"
        " the inactivity that the current life allows",
        "zh": "最近一次购买至今的时间大于本期允许的沉默时间",
    }
    assert body["rules"][2]["words"]["en"] == "always"
    assert (await client.get(made.headers["location"])).json() == body
    again = await client.post("/v1/policies", json=body["document"])
    assert again.json()["version"] == body["version"] + 1


async def test_every_variable_is_described(client: httpx.AsyncClient) -> None:
    body = (await client.get("/v1/variables")).json()
    names = {each["name"] for each in body["items"]}
    assert {
        "days_since_last_purchase",
        "frequency_trend",
        "r",
        "churn_probability",
        "interactions",
    } <= names
    assert all(each["meaning"]["en"] and each["meaning"]["zh"] for each in body["items"])
    ranges = {each["name"]: (each["minimum"], each["maximum"]) for each in body["items"]}
    assert ranges["churn_probability"] == (0, 1)
    assert ranges["r"] == (1, 5)
    assert ranges["days_until_contract_end"] == (None, None)
    titles = {each["name"]: each["title"] for each in body["items"]}
    assert titles["value_to_save"] == {"en": "Value to save", "zh": "可挽回价值"}
    assert titles["interactions"]["en"] == "Number of interactions"
    words = {each["name"]: {w["code"]: w["name"] for w in each["words"]} for each in body["items"]}
    assert words["stage"]["active"] == {"en": "Active", "zh": "活跃客户"}
    for each in body["items"]:
        listed = each["values"] or each["levels"]
        assert set(words[each["name"]]) >= set(listed or ()), each["name"]
    values = {each["name"]: each["values"] for each in body["items"]}
    assert (values["kind"], values["city"]) == (["person", "company"], None)


async def test_a_policy_stays_readable_when_more_is_checked(
    client: httpx.AsyncClient, session: WriteSession
) -> None:
    stored = with_rule({"variable": "days_since_last_purchase", "op": ">=", "value": -1})
    values = {"version": 99, "document": stored, "created_at": NOW}
    await session.execute(insert(Policy).values(values))
    shown = await client.get("/v1/policies/99")
    assert shown.status_code == 200, shown.text
    assert (await client.get("/v1/policies/99")).json()["document"] == stored
    again = await client.post("/v1/policies", json=stored)
    assert again.json()["errors"][0]["pointer"] == "/rules/1/when/value"


def duplicate(place: str) -> dict[str, Any]:
    found = document()
    found[place][1]["code"] = found[place][0]["code"]
    return found


def without_default() -> dict[str, Any]:
    found = document()
    found["rules"][2]["when"] = {"variable": "purchase_days", "op": ">=", "value": 1}
    return found


def two_defaults() -> dict[str, Any]:
    found = document()
    del found["rules"][1]["when"]
    return found


def unreachable() -> dict[str, Any]:
    found = document()
    found["rules"][1]["stage"] = "active"
    return found


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown variable": (
        with_rule({"any": [SILENT, {**SILENT, "variable": "moon_phase"}]}),
        "/rules/1/when/any/1/variable",
        "unknown_variable",
    ),
    "text for a number": (
        with_rule({**SILENT, "value": "long"}),
        "/rules/1/when/value",
        "type_mismatch",
    ),
    "number for a text": (
        with_rule({"variable": "country", "op": "==", "value": 49}),
        "/rules/1/when/value",
        "type_mismatch",
    ),
    "order of texts": (
        with_rule({"variable": "country", "op": "<", "value": "DE"}),
        "/rules/1/when/op",
        "type_mismatch",
    ),
    "unknown operator": (
        with_rule({**SILENT, "op": "~"}),
        "/rules/1/when/op",
        "unknown_operator",
    ),
    "further field": (with_rule({**SILENT, "x": 1}), "/rules/1/when/x", "extra_forbidden"),
    "nothing to compare with": (
        with_rule({"variable": "days_since_last_purchase", "op": ">"}),
        "/rules/1/when/value",
        "missing",
    ),
    "no expression": (
        with_rule(["days_since_last_purchase", ">", 3]),
        "/rules/1/when",
        "expression",
    ),
    "model variable without a model": (
        with_rule({"variable": "r", "op": "<=", "value": 1}),
        "/model_id",
        "missing",
    ),
    "no value so large": (
        with_rule({"variable": "churn_probability", "op": ">", "value": 80}),
        "/rules/1/when/value",
        "out_of_range",
    ),
    "no value so small": (
        with_rule({"not": {"variable": "days_since_last_purchase", "op": "!=", "value": -1}}),
        "/rules/1/when/not/value",
        "out_of_range",
    ),
    "beyond the range": (
        with_rule({"variable": "r", "op": ">", "value": 5}),
        "/rules/1/when/value",
        "never_holds",
    ),
    "all of the range": (
        with_rule({"variable": "purchase_days", "op": ">=", "value": 0}),
        "/rules/1/when/value",
        "always_holds",
    ),
    "no such kind": (
        with_rule({"variable": "kind", "op": "in", "value": ["person", "firm"]}),
        "/rules/1/when/value/1",
        "type_mismatch",
    ),
    "a long text": (
        with_rule({"variable": "city", "op": "in", "value": ["x", "x" * 501]}),
        "/rules/1/when/value/1",
        "too_long",
    ),
    "a transition allowed twice": (
        document(transitions={"potential": ["active", "churned", "active"]}),
        "/transitions/potential/2",
        "duplicate_code",
    ),
    "unknown model": (document(model_id="model_0"), "/model_id", "unknown_model"),
    "unreachable stage": (unreachable(), "/stages/2", "unreachable_stage"),
    "unreachable rule": (
        with_rule({"variable": "purchase_days", "op": "<", "value": 0}),
        "/rules/1",
        "unreachable_rule",
    ),
    "no default": (without_default(), "/rules/2/when", "missing_default"),
    "two defaults": (two_defaults(), "/rules/1", "overlapping_default"),
    "stages of one code": (duplicate("stages"), "/stages/1/code", "duplicate_code"),
    "rules of one code": (duplicate("rules"), "/rules/1/code", "duplicate_code"),
    "transitions to nowhere": (
        document(transitions={"potential": ["moon"]}),
        "/transitions/potential/0",
        "unknown_stage",
    ),
    "ten thousand nodes": (
        with_rule({"all": [SILENT] * 10_000}),
        "/rules/1/when/all/498",
        "too_many_nodes",
    ),
    "fifty levels": (with_rule(nested(50)), "/rules/1/when" + "/not" * 20, "too_deep"),
    "no stages": (document(stages=[]), "/stages", "too_short"),
    "a rule for no stage": (
        document(rules=[{"code": "all", "stage": "moon"}]),
        "/rules/0/stage",
        "unknown_stage",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_faulty_policy_is_refused_where_it_is_wrong(
    client: httpx.AsyncClient, case: str
) -> None:
    body, pointer, code = REFUSED[case]
    answer = await client.post("/v1/policies", json=body)
    assert answer.status_code == 422
    assert (pointer, code) in [(each["pointer"], each["code"]) for each in answer.json()["errors"]]


async def test_a_number_of_any_length_is_judged(client: httpx.AsyncClient) -> None:
    large = {"variable": "attribute", "name": "a", "op": ">", "value": 3}
    version = (await client.post("/v1/policies", json=with_rule(large))).json()["version"]
    for attribute, holds in ((10**400, True), (-(10**400), False), (4, True)):
        await client.put("/v1/customers/c1", json={"attributes": {"a": attribute}})
        await client.post("/v1/transactions", json=PURCHASE)
        asked = {"policy_version": version}
        stage = await client.get("/v1/customers/c1/stage", params=asked)
        assert stage.json()["stage"] == ("churned" if holds else "active")
        told = await client.get("/v1/customers/c1/stage/explanation", params=asked)
        assert told.json()["rules"][1]["holds"] is holds


async def test_a_policy_that_is_not_there(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/policies/99")).status_code == 404
    assert (await client.post("/v1/policies/99/preview")).status_code == 404
    assert (await client.post("/v1/policies/99/activate", json={"token": "x"})).status_code == 404


async def test_an_activation_needs_the_token_of_a_preview(client: httpx.AsyncClient) -> None:
    missing = await client.post("/v1/policies/2/activate", json={})
    assert [each["pointer"] for each in missing.json()["errors"]] == ["/token"]
    forged = await client.post("/v1/policies/2/activate", json={"token": "forged"})
    assert [each["code"] for each in forged.json()["errors"]] == ["invalid_token"]
    stale = await client.post(
        "/v1/policies/2/activate", json={"token": "forged"}, headers={"If-Match": '"7"'}
    )
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_version")
