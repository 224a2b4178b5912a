"""Every variable of the registry over HTTP, and the recorded stage as a variable."""

import random
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from app.deployment import Deployment
from app.lifecycle.documents import parse
from app.lifecycle.evidence import shown
from app.lifecycle.variables import scores, segments
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.registry import VARIABLES
from app.postgres.db import WriteSession
from app.schemas.common.types import format_instant
from app.services.customer_base import populations
from app.services.models import model_variables
from app.services.policies import policies
from app.services.stages import rule_records
from tests.database import NOW, Clock
from tests.kept import as_item, store_model
from tests.lifecycle import at_random
from tests.lifecycle.test_variables import INACTIVITY, asked_of, check_turning
from tests.services.stages.test_any_policy import (
    MODELLED,
    patch_of,
    post_all,
    profile_of,
    put_in_force,
)
from tests.slow_history import beginning, history
from tests.slow_policy import Person, Slow

CUSTOMERS = 3


async def post(client: httpx.AsyncClient, each: str, one: Person) -> None:
    profile = profile_of(one).model_dump(mode="json")
    assert (await client.put(f"/v1/customers/{each}", json=profile)).status_code == 201
    for said in one.said:
        change = patch_of(said).model_dump(mode="json", exclude_unset=True)
        assert (await client.patch(f"/v1/customers/{each}", json=change)).status_code == 200
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("transactions", as_item(each, fact)) for fact in one.facts
    ]
    bodies += [
        ("interactions", {"customer_id": each, "interaction_id": f"i{number}", "kind": event.kind,
                          "occurred_at": format_instant(event.at), "score": event.score})
        for number, event in enumerate(one.interactions)
    ]  # fmt: skip
    for kind in ("transactions", "interactions"):
        items = [body for name, body in bodies if name == kind]
        if items:
            body = {"items": items, "mode": "atomic"}
            done = await client.post(f"/v1/{kind}/bulk", json=body)
            assert done.status_code == 200, done.text


async def test_a_rule_on_any_variable_decides_over_http(
    client: httpx.AsyncClient, session: WriteSession, deployment: Deployment, clock: Clock
) -> None:
    """A rule on each variable, of three customers, now and at another instant."""
    rng, zone = random.Random(8), deployment.calendar.zone
    await store_model(session, at_random.MODEL_ID)
    people = {f"c{number}": at_random.person(rng, zone) for number in range(CUSTOMERS)}
    for each, one in people.items():
        await post(client, each, one)
    listed = {row["name"]: row for row in (await client.get("/v1/variables")).json()["items"]}
    assert listed.keys() == VARIABLES.keys()
    for row in at_random.ROWS:
        document = at_random.asking(rng, row)
        made = await client.post("/v1/policies", json=document)
        if made.status_code == 422:  # what never holds is refused, and what always does
            codes = {error["code"] for error in made.json()["errors"]}
            assert codes == {"unreachable_rule", "unreachable_stage"}, (document, made.text)
            continue
        version = made.json()["version"]
        params: dict[str, Any] = {"policy_version": version}
        why = await client.get("/v1/customers/c0/stage/explanation", params=params)
        (told,) = why.json()["rules"][0]["comparisons"]
        value = Slow(people["c0"], document, MODELLED).value(document["rules"][0]["when"], NOW)
        assert told["value"] == (pytest.approx(value) if isinstance(value, float) else value)
        for each, one in people.items():
            for at in (NOW, at_random.moment(rng, one)):
                if not one.begun_at <= at <= NOW:
                    continue
                params = {"policy_version": version, "as_of": format_instant(at)}
                answer = await client.get(f"/v1/customers/{each}/stage", params=params)
                slow = Slow(one, document, MODELLED).decide(at)
                assert (answer.json()["stage"], answer.json()["rule"]) == slow, (row.name, each, at)


async def test_a_policy_of_stages_may_not_look_at_the_stage(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/variables")).json()["items"]
    refused = [row["name"] for row in listed if not row["in_stage_policies"]]
    of_runs = [row.name for row in (*scores.ROWS, *segments.ROWS)]
    of_lists = ["days_since_low_satisfaction", "days_until_birthday"]
    assert refused == [*of_lists, "stage", "days_in_stage", *of_runs]
    for name, value in (("stage", "active"), ("days_in_stage", 3)):
        document = at_random.asking(random.Random(1), VARIABLES["lives"])
        document["rules"][0]["when"] = {"variable": name, "op": "==", "value": value}
        answer = await client.post("/v1/policies", json=document)
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["pointer"], error["code"]) == (
            422, "/rules/0/when/variable", "not_allowed",
        )  # fmt: skip


async def test_a_policy_of_stages_may_name_no_segment(client: httpx.AsyncClient) -> None:
    document = at_random.asking(random.Random(1), VARIABLES["lives"])
    document["rules"][0]["when"] = {"segment": "large"}
    answer = await client.post("/v1/policies", json=document)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"], error["code"]) == (
        422, "/rules/0/when/segment", "not_allowed",
    )  # fmt: skip


async def test_what_is_read_for_any_variable_is_what_the_slow_evaluator_sees(
    session: WriteSession, deployment: Deployment
) -> None:
    """Every variable with every choice of parameters, of several customers read at once."""
    rng, zone = random.Random(11), deployment.calendar.zone
    asked = [term for row in at_random.ROWS for term in asked_of(row)]
    terms = {at_random.read(term): term for term in asked}
    base = at_random.BASES[1]
    people = {f"c{number}": at_random.person(rng, zone, base) for number in range(10)}
    await store_model(session, at_random.MODEL_ID)
    document = {**at_random.policy(rng)[0], "inactivity_limit": INACTIVITY}
    policy = parse(1, document)
    await post_all(session, deployment, rng, people, NOW)
    slow = {each: Slow(one, document, MODELLED) for each, one in people.items()}
    for at in [NOW, *(at_random.moment(rng, one) for one in people.values())]:
        as_of = deployment.as_of(at)
        found = await populations.read(session, policy.inactivity_limit, as_of)
        read = await rule_records.at_instant(
            session, deployment, policy, found, as_of, tuple(terms)
        )
        values = read.values(terms, read.owner, read.day)
        for term, given in terms.items():
            for each, value in zip(found.customer_ids, shown(term, values[term]), strict=True):
                expected = slow[each].value(given, at)
                if isinstance(expected, float):
                    expected = pytest.approx(expected, rel=1e-9)
                assert value == expected, (given, each, at)


async def test_what_a_model_says_turns_as_the_registry_says(
    session: WriteSession, deployment: Deployment
) -> None:
    """Day by day for two years after the last fact, of a stored model."""
    rng, zone = random.Random(2), deployment.calendar.zone
    people = {f"c{number}": at_random.person(rng, zone) for number in range(12)}
    await store_model(session, at_random.MODEL_ID)
    await post_all(session, deployment, rng, people, NOW)
    computed = await model_variables.of(session, at_random.MODEL_ID)
    as_of = deployment.as_of(NOW)
    silence = (await policies.timeline(session)).current.inactivity_limit
    found = (await populations.read(session, silence, as_of)).buyers()
    columns, money = found.columns, found.money()
    for row in (each for each in at_random.ROWS if "model" in each.needs):
        for one in range(len(found)):
            days = int(columns.last_day[one]) + np.arange(730)
            rows = np.full(len(days), one)
            known = computed(frozenset((row.name,)), columns.take(rows), money.take(rows), days)
            check_turning(Term.of(row), known[row.name])


async def test_the_recorded_stage_and_the_days_in_it(
    session: WriteSession, deployment: Deployment
) -> None:
    rng, zone = random.Random(3), deployment.calendar.zone
    stage, days = Term.of(VARIABLES["stage"]), Term.of(VARIABLES["days_in_stage"])
    document = at_random.policy(rng)[0]
    base = at_random.BASES[0]
    people = {f"c{number}": at_random.person(rng, zone, base) for number in range(4)}
    now = max(e.at for one in people.values() for e in (*one.facts, *one.interactions))
    await store_model(session, at_random.MODEL_ID)
    await put_in_force(session, 99, document)
    await post_all(session, deployment, rng, people, now)
    ledgers = {
        each: history(one, [(document, None)], now, model=MODELLED) for each, one in people.items()
    }
    policy = (await policies.timeline(session)).current
    moments = [now, *(min(now, at_random.moment(rng, one)) for one in people.values())]
    for at in (*moments, *(change.at for changes in ledgers.values() for change in changes)):
        as_of = deployment.as_of(at)
        found = await populations.read(session, policy.inactivity_limit, as_of)
        read = await rule_records.at_instant(
            session, deployment, policy, found, as_of, (stage, days)
        )
        values = read.values((stage, days), read.owner, read.day)
        for row, each in enumerate(found.customer_ids):
            one = people[each]
            changes = ledgers[each]
            past = [change for change in changes if change.at <= at]
            first_seen = min([one.begun_at, *(e.at for e in (*one.facts, *one.interactions))])
            if at < first_seen:
                assert values[stage][row] is None
                continue
            before = changes[0].from_stage if changes else beginning(document, zone, at)
            since = past[-1].at if past else first_seen
            assert values[stage][row] == (past[-1].to_stage if past else before)
            assert values[days][row] == (one.day(at) - one.day(since)) / timedelta(days=1)
