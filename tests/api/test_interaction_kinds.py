"""Kinds of interactions over HTTP: what is declared, and what follows from it."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.lifecycle.presets.kinds import CORE_KINDS
from app.postgres.db import Database
from app.schemas.ingest.interactions import CORE_KINDS as WORDS
from app.schemas.interaction_kinds import EXAMPLE
from tests.database import NOW

KINDS = "/v1/interaction-kinds"
BARE = {"name": None, "phase": "none", "contact": True, "scale": None, "outcomes": []}
FIVE = {"min": 1, "max": 5, "good_from": 4}


async def put(client: httpx.AsyncClient, kind: str, **content: Any) -> httpx.Response:
    headers = content.pop("headers", {})
    answer = await client.put(f"{KINDS}/{kind}", json=content, headers=headers)
    assert answer.status_code in (200, 201, 412, 422), answer.text
    return answer


async def tell(client: httpx.AsyncClient, number: int, kind: str, **more: Any) -> httpx.Response:
    at = (NOW - timedelta(days=9) + timedelta(hours=number)).isoformat()
    item = {"customer_id": "c1", "interaction_id": f"i{number}", "occurred_at": at, "kind": kind}
    return await client.post("/v1/interactions", json=item | more)


def policy(when: dict[str, Any]) -> dict[str, Any]:
    stages = [{"code": code, "name": {"en": code, "zh": code}, "role": "customer"}
              for code in ("yes", "no")]  # fmt: skip
    return {
        "name": {"en": "asks", "zh": "问"},
        "stages": stages,
        "inactivity_limit": {"floor_days": 90, "gap_multiple": 2, "gap_margin_days": 5},
        "rules": [{"code": "so", "stage": "yes", "when": when}, {"code": "else", "stage": "no"}],
    }


async def store(client: httpx.AsyncClient, when: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post("/v1/policies", json=policy(when))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def explained(client: httpx.AsyncClient, version: int) -> Any:
    path = "/v1/customers/c1/stage/explanation"
    answer = await client.get(path, params={"policy_version": version})
    return answer.json()["rules"][0]["comparisons"][0]["value"]


SATISFACTION = {"variable": "last_satisfaction", "op": ">=", "value": 0.5}
SATISFIED = {"variable": "satisfied", "op": "==", "value": True}


async def test_the_core_kinds_are_there_from_the_beginning(client: httpx.AsyncClient) -> None:
    assert set(WORDS) == set(CORE_KINDS)
    listed = (await client.get(KINDS, params={"limit": 500})).json()["items"]
    assert [each["kind"] for each in listed] == sorted(CORE_KINDS)
    for each in listed:
        assert {name: each[name] for name in BARE} == CORE_KINDS[each["kind"]]
        assert (await client.get(f"{KINDS}/{each['kind']}")).json() == each
    first = (await client.get(KINDS, params={"limit": 20})).json()
    rest = (await client.get(KINDS, params={"limit": 20, "cursor": first["next_cursor"]})).json()
    assert first["items"] + rest["items"] == listed


async def test_a_kind_is_declared_and_declared_otherwise(client: httpx.AsyncClient) -> None:
    made = await put(client, "delivery", **EXAMPLE)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.headers["location"] == f"{KINDS}/delivery"
    shown = EXAMPLE | {"kind": "delivery", "updated_at": "2026-06-01T12:00:00Z"}
    assert made.json() == shown
    again = await put(client, "delivery", **EXAMPLE)
    assert (again.status_code, again.headers["etag"]) == (200, '"1"')
    bare = await put(client, "delivery")
    assert (bare.status_code, bare.headers["etag"]) == (200, '"2"')
    assert bare.json() == shown | BARE
    read = await client.get(f"{KINDS}/delivery")
    assert (read.json(), read.headers["etag"]) == (bare.json(), '"2"')


async def test_if_match_names_the_version_that_is_changed(client: httpx.AsyncClient) -> None:
    for kind in ("call", "delivery"):
        refused = await put(client, kind, phase="sale", headers={"If-Match": '"7"'})
        assert (refused.status_code, refused.json()["code"]) == (412, "stale_version")
    assert (await put(client, "call", phase="sale", headers={"If-Match": '"1"'})).json()[
        "phase"
    ] == "sale"


async def test_a_kind_that_is_not_declared_is_not_found_and_the_nearest_is_named(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get(f"{KINDS}/complant")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "No kind 'complant' is declared. Is 'complaint' meant?"
    far = (await client.get(f"{KINDS}/zzzzzz")).json()
    assert far["detail"] == "No kind 'zzzzzz' is declared."


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ({"phase": "later"}, "/phase"),
        ({"contact": 1}, "/contact"),
        ({"scale": {"min": 1, "max": 5}}, "/scale/good_from"),
        ({"scale": {"min": 5, "max": 5, "good_from": 5}}, "/scale"),
        ({"scale": {"min": 1, "max": 5, "good_from": 6}}, "/scale"),
        ({"scale": {"min": 1, "max": 5, "good_from": 1}}, "/scale"),
        ({"scale": {"min": -1, "max": 5, "good_from": 4}}, "/scale/min"),
        ({"scale": {"min": 0, "max": 101, "good_from": 4}}, "/scale/max"),
        ({"outcomes": [""]}, "/outcomes/0"),
        ({"outcomes": ["a"] * 51}, "/outcomes"),
        ({"outcomes": ["a", "b", "a"]}, "/outcomes"),
        ({"name": {"en": "x"}}, "/name/zh"),
        ({"surprise": 1}, "/surprise"),
    ],
    ids=str,
)
async def test_bad_input_points_to_its_field(
    client: httpx.AsyncClient, content: dict[str, Any], pointer: str
) -> None:
    answer = await put(client, "call", **content)
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert (await client.get(f"{KINDS}/call")).headers["etag"] == '"1"'


async def test_a_kind_is_declared_in_any_spelling(client: httpx.AsyncClient) -> None:
    for word in ("a" * 65, "9a"):
        answer = await put(client, word)
        assert [each["pointer"] for each in answer.json()["errors"]] == ["path:kind"]
    for word, kind in (("Order Completed", "order_completed"), ("投诉", "投诉")):
        assert (await put(client, word)).json()["kind"] == kind
        assert (await tell(client, 1, word, customer_id=kind)).json()["warnings"] == (
            [] if word == kind else [{"code": "kind_normalised", "pointer": "/kind",
                                      "detail": "Kept as `order_completed`."}]
        )  # fmt: skip


async def test_an_undeclared_kind_is_stored_with_a_warning_until_it_is_declared(
    client: httpx.AsyncClient,
) -> None:
    first = await tell(client, 1, "complant", outcome="solved", score=99)
    assert first.status_code == 201
    (warning,) = first.json()["warnings"]
    assert (warning["code"], warning["pointer"]) == ("undeclared_kind", "/kind")
    assert warning["detail"].endswith("Is complaint meant?")
    await put(client, "complant")
    assert (await tell(client, 2, "complant")).json()["warnings"] == []


async def test_an_outcome_that_a_kind_does_not_have_is_stored_with_a_warning(
    client: httpx.AsyncClient,
) -> None:
    good = (await tell(client, 1, "quote", outcome="accepted")).json()
    assert (good["interaction"]["outcome"], good["warnings"]) == ("accepted", [])
    other = (await tell(client, 2, "quote", outcome="eaten")).json()
    assert (other["interaction"]["outcome"], len(other["warnings"])) == ("eaten", 1)
    assert other["warnings"][0]["detail"].endswith("it has accepted, declined.")
    await put(client, "quote", outcomes=["eaten"])
    assert (await tell(client, 3, "quote", outcome="eaten")).json()["warnings"] == []


@pytest.mark.parametrize(
    ("kind", "worst", "best"), [("csat", 1, 5), ("nps", 0, 10), ("ces", 1, 7), ("survey", 0, 10)]
)
async def test_a_score_outside_the_scale_of_its_kind_is_refused(
    client: httpx.AsyncClient, kind: str, worst: float, best: float
) -> None:
    for number, score in enumerate((worst, best, (worst + best) / 3)):
        answer = await tell(client, number, kind, score=score)
        assert (answer.status_code, answer.json()["warnings"]) == (201, [])
    for score in (worst - 0.1, best + 0.1):
        if score < 0:
            continue
        refused = await tell(client, 9, kind, score=score)
        (fault,) = refused.json()["errors"]
        assert (refused.status_code, fault["pointer"], fault["code"]) == (
            422, "/score", "out_of_scale",
        )  # fmt: skip
        assert fault["detail"] == f"the kind {kind} has a scale of {worst} to {best}"
    items = (await client.get("/v1/customers/c1/interactions")).json()["items"]
    assert len(items) == 3


async def test_what_is_declared_is_known_to_another_process_at_once(
    own_client: httpx.AsyncClient, own_database: Database
) -> None:
    """The copy in memory goes by a name in the settings, whoever has changed it."""
    assert (await tell(own_client, 1, "csat", score=5)).status_code == 201
    async with own_database.writes() as session, session.begin():
        connection = await session.connection()
        await connection.exec_driver_sql(
            "UPDATE interaction_kinds SET scale = NULL WHERE kind = 'csat'"
        )
        await connection.exec_driver_sql(
            "UPDATE settings SET value = '\"other\"' WHERE key = 'interaction_kinds'"
        )
    told = (await tell(own_client, 2, "csat", score=50)).json()
    assert [each["code"] for each in told["warnings"]] == ["score_without_scale"]


async def test_a_two_of_five_and_a_six_of_ten_leave_somebody_dissatisfied(
    client: httpx.AsyncClient,
) -> None:
    """Answers compare on the scales of their kinds, whichever comes last."""
    asked = {"as_of": (NOW - timedelta(days=9) + timedelta(hours=2)).isoformat()}
    buy = {"customer_id": "c1", "amount": {"amount": "5"}}
    for day in ("18", "20"):
        bought = {"transaction_id": day, "occurred_at": f"2026-05-{day}T12:00:00Z"}
        await client.post("/v1/transactions", json=buy | bought)
    await tell(client, 1, "csat", score=2)
    await tell(client, 3, "nps", score=6)
    for params in (asked, {}):
        stage = (await client.get("/v1/customers/c1/stage", params=params)).json()
        assert "improve_satisfaction" in [each["code"] for each in stage["next_actions"]], params
    await tell(client, 4, "csat", score=4)
    stage = (await client.get("/v1/customers/c1/stage")).json()
    assert "improve_satisfaction" not in [each["code"] for each in stage["next_actions"]]


async def test_satisfaction_is_where_an_answer_lies_on_the_scale_of_its_kind(
    client: httpx.AsyncClient,
) -> None:
    any_kind = (await store(client, SATISFACTION))["version"]
    good = (await store(client, SATISFIED))["version"]
    of_csat = (await store(client, {**SATISFACTION, "kind": "csat"}))["version"]
    answers = [("csat", 2, 0.25, False), ("nps", 6, 0.6, False), ("nps", 7, 0.7, True),
               ("ces", 4, 0.5, False), ("csat", 5, 1.0, True), ("survey", 5, 0.5, True),
               ("survey", 0, 0.0, False)]  # fmt: skip
    await tell(client, 30, "call", score=9)  # no answer of a survey
    assert [await explained(client, each) for each in (any_kind, good)] == [None, None]
    last = None
    for number, (kind, score, share, is_good) in enumerate(answers):
        assert (await tell(client, number, kind, score=score)).status_code == 201
        last = share if kind == "csat" else last
        assert await explained(client, any_kind) == share
        assert await explained(client, good) is is_good
        assert await explained(client, of_csat) == last


async def test_a_later_change_of_a_kind_moves_nobody(client: httpx.AsyncClient) -> None:
    """A version of the policy holds a copy of what it looks at; a new one, what is declared now."""
    await tell(client, 1, "csat", score=2)
    before = await store(client, SATISFACTION)
    assert before["interaction_kinds"]["csat"] == {
        "phase": "aftersale", "contact": True, "scale": FIVE,
    }  # fmt: skip
    assert set(before["interaction_kinds"]) == {"survey", "nps", "csat", "ces"}
    await put(client, "csat", scale={"min": 0, "max": 2, "good_from": 2})
    await put(client, "nps")
    after = await store(client, SATISFACTION)
    assert set(after["interaction_kinds"]) == {"survey", "csat", "ces"}
    assert await explained(client, before["version"]) == 0.25
    assert await explained(client, after["version"]) == 1.0
    shown = (await client.get(f"/v1/policies/{before['version']}")).json()
    assert shown["interaction_kinds"] == before["interaction_kinds"]


async def test_rules_count_the_interactions_of_a_phase(client: httpx.AsyncClient) -> None:
    presale = {"variable": "interactions", "phase": "presale", "op": ">=", "value": 2}
    before = await store(client, presale)
    words = before["rules"][0]["words"]
    assert words["en"] == "the number of interactions of phase presale is at least 2"
    assert set(before["interaction_kinds"]) == {"demo", "trial", "quote", "consult"}
    for number, kind in enumerate(("demo", "quote", "call", "complaint")):
        await tell(client, number, kind)
    await put(client, "call", phase="presale")
    after = await store(client, presale)
    assert [await explained(client, each["version"]) for each in (before, after)] == [2, 3]
    none = await store(client, {"variable": "purchase_days", "op": ">=", "value": 1})
    assert none["interaction_kinds"] == {}


@pytest.mark.parametrize(
    ("when", "pointer", "code"),
    [
        ({**SATISFACTION, "kind": "call"}, "/rules/0/when/kind", "no_scale"),
        ({**SATISFACTION, "kind": "complant"}, "/rules/0/when/kind", "no_scale"),
        ({**SATISFACTION, "value": 3}, "/rules/0/when/value", "out_of_range"),
        ({**SATISFIED, "value": 1}, "/rules/0/when/value", "type_mismatch"),
        ({**SATISFIED, "op": "in", "value": ["a"]}, "/rules/0/when/op", "type_mismatch"),
        ({**SATISFIED, "op": ">="}, "/rules/0/when/op", "type_mismatch"),
        ({"variable": "interactions", "phase": "later", "op": ">=", "value": 1},
         "/rules/0/when/phase", "type_mismatch"),
        ({**SATISFACTION, "phase": "sale"}, "/rules/0/when/phase", "extra_forbidden"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_rule_that_asks_for_what_is_not_declared_is_refused(
    client: httpx.AsyncClient, when: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await client.post("/v1/policies", json=policy(when))
    assert answer.status_code == 422
    assert (pointer, code) in [(e["pointer"], e["code"]) for e in answer.json()["errors"]]


async def test_what_was_taken_by_another_scale_may_be_sent_again(
    client: httpx.AsyncClient,
) -> None:
    await put(client, "panel", scale={"min": 0, "max": 10, "good_from": 7})
    assert (await tell(client, 1, "panel", score=9)).status_code == 201
    await put(client, "panel", scale={"min": 0, "max": 5, "good_from": 4})
    again = await tell(client, 1, "panel", score=9)
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert (await tell(client, 1, "panel", score=8)).status_code == 409
    for other in (await tell(client, 2, "panel", score=9),
                  await tell(client, 1, "panel", score=9, revision=2)):  # fmt: skip
        assert other.json()["errors"][0]["code"] == "out_of_scale"
