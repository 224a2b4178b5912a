"""Whom to call today: what makes a line, what takes it away, what brings it back; the rules."""

import csv
import io
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.postgres.db import Database
from app.schemas.common import personal
from app.services.runs.worklist import worklist
from app.services.runs.worklist.ready_rules import READY
from tests.database import NOW, Clock, make_client

WORKLIST, RULES = "/v1/worklist", "/v1/worklist-rules"
DAY = timedelta(days=1)


async def interact(
    client: httpx.AsyncClient, customer_id: str, kind: str, ago: timedelta, **more: Any
) -> str:
    name = f"{customer_id}-{kind}-{ago}".replace(" ", "_")
    body = {"customer_id": customer_id, "interaction_id": name, "kind": kind,
            "occurred_at": (NOW - ago).isoformat(), **more}  # fmt: skip
    done = await client.post("/v1/interactions", json=body)
    assert done.status_code in (200, 201), done.text
    return name


async def buy(client: httpx.AsyncClient, customer_id: str, ago: timedelta) -> None:
    body = {"customer_id": customer_id, "transaction_id": f"{customer_id}-{ago.days}",
            "occurred_at": (NOW - ago).isoformat(), "amount": {"amount": "10.00"}}  # fmt: skip
    assert (await client.post("/v1/transactions", json=body)).status_code == 201


async def put(client: httpx.AsyncClient, customer_id: str, **profile: Any) -> None:
    done = await client.put(f"/v1/customers/{customer_id}", json=profile)
    assert done.status_code in (200, 201), done.text


async def lines(client: httpx.AsyncClient, **asked: Any) -> dict[str, dict[str, Any]]:
    """Return the reasons on the list by customer and code, in the order of the list."""
    answer = await client.get(WORKLIST, params=asked)
    assert answer.status_code == 200, answer.text
    return {
        item["customer_id"]: {each["code"]: each for each in item["reasons"]}
        for item in answer.json()["items"]
    }


async def of(client: httpx.AsyncClient, customer_id: str) -> Any:
    answer = await client.get(f"/v1/customers/{customer_id}/worklist")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_contact_takes_a_line_away_and_a_new_reason_brings_it_back(
    client: httpx.AsyncClient,
) -> None:
    await interact(client, "c1", "call", 11 * DAY)
    await interact(client, "c1", "complaint", 10 * DAY)
    found = await lines(client)
    assert list(found) == ["c1"]
    why = found["c1"]["open_complaint"]
    assert (why["duty"], why["since"]) == ("complaint", "2026-05-22")
    assert why["sentence"]["en"].startswith("Complained 10 days ago")
    assert why["action"]["en"] == "Call, listen, and resolve the complaint"
    assert "10天前投诉" in why["sentence"]["zh"]
    told = await of(client, "c1")
    assert [each["code"] for each in told["reasons"]] == ["open_complaint"]
    # The last contact counts, and by then the customer had not complained.
    assert (told["last_contact"]["kind"], told["closed"]) == ("complaint", [])
    await interact(client, "c1", "mention", 9 * DAY)  # declared as no contact
    assert list(await lines(client)) == ["c1"]
    await interact(client, "c1", "call", 10 * DAY - timedelta(hours=1), channel="phone")
    assert await lines(client) == {}
    told = await of(client, "c1")
    assert told["reasons"] == []
    assert [(each["code"], each["closed_by"]) for each in told["closed"]] == [
        ("open_complaint", "contact")
    ]
    await interact(client, "c1", "complaint", 5 * DAY)
    assert list((await lines(client))["c1"]) == ["open_complaint"]


async def test_who_was_called_in_vain_is_still_to_be_called(client: httpx.AsyncClient) -> None:
    await interact(client, "c1", "call", 20 * DAY, outcome="reached")
    await interact(client, "c1", "complaint", 10 * DAY)
    await interact(client, "c1", "call", 9 * DAY, outcome="not_reached")
    await interact(client, "c1", "campaign", 8 * DAY, outcome="no_response")
    assert list((await lines(client))["c1"]) == ["open_complaint"]
    assert (await of(client, "c1"))["last_contact"]["kind"] == "complaint"
    await interact(client, "c1", "call", 7 * DAY, outcome="reached")
    assert await lines(client) == {}


@pytest.mark.parametrize(
    ("ago", "en", "zh"),
    [(2, "Complained 2 days ago", "2天前投诉"), (1, "Complained 1 day ago", "1天前投诉"),
     (0, "Complained today", "今天投诉")],
)  # fmt: skip
async def test_days_are_said_as_people_say_them(
    client: httpx.AsyncClient, ago: int, en: str, zh: str
) -> None:
    await interact(client, "c1", "complaint", ago * DAY + timedelta(minutes=1))
    said = (await lines(client))["c1"]["open_complaint"]["sentence"]
    assert said["en"].startswith(f"{en},")
    assert said["zh"].startswith(f"{zh}，")


async def test_a_solved_complaint_makes_no_line(client: httpx.AsyncClient) -> None:
    await interact(client, "solved", "complaint", 3 * DAY, outcome="solved")
    await interact(client, "open", "complaint", 3 * DAY, outcome="not_solved")
    await interact(client, "open", "complaint", 2 * DAY, outcome="solved")
    assert list(await lines(client)) == []  # the customer was in touch since, and was helped
    await interact(client, "open", "complaint", 1 * DAY)
    assert list(await lines(client)) == ["open"]
    # Nor does it where a rule asks for something else as well.
    complained = {"variable": "interactions", "kind": "complaint", "op": ">=", "value": 1}
    either = {"any": [complained, CALM["when"]]}
    await put_in_force(client, {"rules": [{**CALM, "when": either}]})
    await buy(client, "long", 100 * DAY)
    found = await lines(client)
    assert {each: reasons["quiet"]["since"] for each, reasons in found.items()} == {
        "open": "2026-05-31", "long": "2026-04-23",
    }  # fmt: skip


async def test_a_snoozed_line_is_back_on_its_day_or_with_a_new_reason(
    client: httpx.AsyncClient,
) -> None:
    await interact(client, "c1", "complaint", 10 * DAY)
    await interact(client, "c1", "snoozed", 2 * DAY, attributes={"until": "2026-06-05"})
    assert await lines(client) == {}
    (closed,) = (await of(client, "c1"))["closed"]
    assert closed["closed_by"] == "snoozed"
    assert await lines(client, date="2026-06-04") == {}
    assert list(await lines(client, date="2026-06-05")) == ["c1"]
    # The last one counts; what is no day hides nothing.
    for hour, until in enumerate(("soon", "2026-13-01", "2026-06-31", "2026-02-30", 20260605)):
        ago = 1 * DAY - timedelta(hours=hour)
        await interact(client, "c1", "snoozed", ago, attributes={"until": until})
        assert list(await lines(client)) == ["c1"]
    await interact(client, "c1", "snoozed", DAY / 2, attributes={"until": "2026-06-09"})
    assert await lines(client) == {}
    await interact(client, "c1", "complaint", DAY / 4)
    assert list(await lines(client)) == ["c1"]


async def test_each_ready_rule_makes_its_line_and_says_since_when(
    client: httpx.AsyncClient,
) -> None:
    await interact(client, "low", "csat", 5 * DAY, score=2)
    await interact(client, "good", "csat", 5 * DAY, score=2)
    await interact(client, "good", "nps", 4 * DAY, score=9)
    await put(client, "contract", contract_ends_on="2026-07-01")
    await put(client, "later", contract_ends_on="2026-09-01")
    await put(client, "over", contract_ends_on="2026-05-01")
    await interact(client, "demo", "demo", 20 * DAY)
    await interact(client, "busy", "demo", 20 * DAY)
    await interact(client, "busy", "email_open", 3 * DAY)
    await buy(client, "new", 6 * DAY)
    await buy(client, "today", timedelta(0))
    await put(client, "birthday", birth_date="1990-06-01")
    await put(client, "leap", birth_date="1992-02-29")
    found = await lines(client)
    since = {
        (each, code): why["since"] for each, reasons in found.items()
        for code, why in reasons.items()
    }  # fmt: skip
    assert since == {
        ("low", "low_satisfaction"): "2026-05-27",
        ("contract", "contract_ending"): "2026-05-02",
        ("demo", "quiet_after_demo"): "2026-05-27",
        ("new", "new_customer"): "2026-05-27",
        ("birthday", "birthday"): "2026-06-01",
    }
    assert next(iter(found)) == "low"
    assert list(found)[-1] == "birthday"
    assert "leap" in await lines(client, date="2027-03-01")
    await interact(client, "birthday", "care", timedelta(hours=1))
    await interact(client, "new", "call", 2 * DAY)
    assert {"birthday", "new"}.isdisjoint(await lines(client))


async def test_an_owner_has_so_many_lines_and_a_team_those_of_its_owners(
    client: httpx.AsyncClient,
) -> None:
    for number in range(8):
        owner = ("anna", "bo", None)[number % 3]
        consent: Any = {"phone": True} if number == 6 else [1, "mail"]
        name = "=1+1" if number == 7 else f"N{number}"
        await put(client, f"c{number}", owner=owner, name=name, attributes={"consent": consent})
        await interact(client, f"c{number}", "complaint", 3 * DAY)
    rules = {**READY, "lines_a_day": 2, "teams": [{"code": "north", "owners": ["anna", "cy"]}]}
    await put_in_force(client, rules)
    assert list(await lines(client)) == ["c7", "c6", "c5", "c4", "c3", "c2"]
    assert list(await lines(client, owner="anna")) == ["c6", "c3"]
    assert list(await lines(client, team="north")) == ["c6", "c3"]
    assert await lines(client, team="north", owner="bo") == {}
    await interact(client, "c6", "call", timedelta(hours=1))
    await interact(client, "c1", "call", timedelta(hours=1))
    mine = (await client.get(WORKLIST, params={"owner": "anna"})).json()
    assert [item["customer_id"] for item in mine["items"]] == ["c3"]  # two lines a day, one is done
    assert (mine["done_today"], mine["more"]) == (1, True)
    assert list(await lines(client)) == ["c7", "c5", "c4", "c3", "c2", "c0"]
    void = {"customer_id": "c6", "interaction_id": "c6-call-1:00:00", "reason": "not reached"}
    assert (await client.delete("/v1/interactions", params=void)).status_code == 200
    answer = (await client.get(WORKLIST, params={"limit": 3})).json()
    assert [item["customer_id"] for item in answer["items"]] == ["c7", "c6", "c5"]
    assert (answer["more"], answer["rules_version"], answer["run_id"]) == (True, 1, None)
    item = answer["items"][1]
    assert (item["name"], item["owner"], item["stage"]["code"]) == ("N6", "anna", "potential")
    text = await client.get(WORKLIST, headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert [row["customer_id"] for row in rows] == ["c7", "c6", "c5", "c4", "c3", "c2"]
    assert {row["reasons"] for row in rows} == {"open_complaint"}
    assert (rows[0]["name"], rows[0]["consent"]) == ("'=1+1", '[1, "mail"]')
    assert rows[1]["consent"] == '{"phone": true}'
    assert rows[0]["last_contact_kind"] == "complaint"


async def put_in_force(client: httpx.AsyncClient, rules: dict[str, Any]) -> dict[str, Any]:
    made = await client.post(RULES, json=rules)
    assert made.status_code == 201, made.text
    path = made.headers["Location"]
    preview = await client.get(f"{path}/preview")
    assert preview.status_code == 200, preview.text
    token = {"preview_token": preview.json()["preview_token"]}
    done = await client.post(f"{path}/activate", json=token)
    assert done.status_code == 200, done.text
    assert done.json()["in_force"]
    told: dict[str, Any] = preview.json()
    return told


CALM = {
    "code": "quiet", "duty": "retention", "again_after_days": 20,
    "name": {"en": "quiet", "zh": "沉默"}, "sentence": {"en": "For {days}", "zh": "{days}天"},
    "when": {"any": [{"variable": "days_since_last_purchase", "op": ">", "value": 60},
                     {"variable": "days_until_contract_end", "op": "<", "value": 10}]},
}  # fmt: skip


async def test_rules_are_previewed_before_they_are_in_force(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{RULES}/0")).json()["in_force"]
    await buy(client, "long", 100 * DAY)
    await interact(client, "complains", "complaint", DAY)
    told = await put_in_force(client, {"rules": [CALM]})
    assert (told["lines"], told["entering"], told["leaving"]) == (1, 1, 1)
    assert told["rules"] == [
        {"code": "quiet", "customers": 1, "lines": 1,
         "value_to_save": {"amount": "0.00", "currency": "EUR"}}
    ]  # fmt: skip
    found = await lines(client)
    assert found["long"]["quiet"]["since"] == "2026-04-23"
    assert found["long"]["quiet"]["sentence"]["en"] == "For 39"
    # A contact counts for twenty days, however long the reason has been there.
    await interact(client, "long", "call", 21 * DAY)
    assert list(await lines(client)) == ["long"]
    await interact(client, "long", "call", 19 * DAY)
    assert await lines(client) == {}
    assert list(await lines(client, date="2026-06-02")) == ["long"]
    assert (await client.post(RULES, json={"rules": [CALM]})).status_code == 201
    for limit in (1, 2, 3, 9):
        listed: list[tuple[int, bool]] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await client.get(RULES, params={"limit": str(limit), **cursor})).json()
            assert len(page["items"]) <= limit
            listed += [(each["version"], each["in_force"]) for each in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert listed == [(2, False), (1, True), (0, False)]


async def test_segments_that_the_rules_in_force_name_stay_as_they_can_be_read(
    client: httpx.AsyncClient,
) -> None:
    name, bought = {"en": "n", "zh": "名"}, {"variable": "purchase_days", "op": ">=", "value": 1}
    buyers = "/v1/segments/buyers"
    assert (await client.put(buyers, json={"name": name, "rule": bought})).status_code == 201
    named = {"rules": [{**CALM, "when": {"segment": "buyers"}}]}
    assert (await client.post(RULES, json=named)).status_code == 201
    previewed = (await client.get(f"{RULES}/1/preview")).json()
    body = {"preview_token": previewed["preview_token"]}
    # Not in force yet, they hold nothing; nor are they put in force when it is gone.
    assert (await client.delete(buyers)).status_code == 204
    late = await client.post(f"{RULES}/1/activate", json=body)
    assert (late.status_code, late.json()["code"]) == (412, "preview_expired")
    assert (await client.put(buyers, json={"name": name, "rule": bought})).status_code == 200
    assert (await client.post(f"{RULES}/1/activate", json=body)).status_code == 200
    assert (await client.delete(buyers)).status_code == 409
    evaluated = {"variable": "last_satisfaction", "op": "<", "value": 0.5}
    spoilt = await client.put(buyers, json={"name": name, "rule": evaluated})
    fault = spoilt.json()["errors"][0]
    assert (fault["pointer"], fault["code"]) == ("/rule", "spoils_worklist")
    other = "/v1/segments/other"
    assert (await client.put(other, json={"name": name, "rule": evaluated})).status_code == 201
    assert (await client.delete(other)).status_code == 204
    assert (await client.get(WORKLIST)).status_code == 200


async def test_a_contact_closes_a_line_of_which_nobody_knows_since_when(
    client: httpx.AsyncClient,
) -> None:
    complained = {"variable": "interactions", "kind": "complaint", "op": ">=", "value": 1}
    valuable = {"variable": "revenue", "op": ">=", "value": 5}
    new = {"variable": "stage", "op": "==", "value": "potential"}
    rules = [{**CALM, "code": f"rule_{n}", "when": {"any": [complained, when]}}
             for n, when in enumerate((valuable, new))]  # fmt: skip
    await put_in_force(client, {"rules": rules})
    await buy(client, "valuable", 10 * DAY)
    await put(client, "new", owner="anna")
    found = await lines(client)
    assert {each: list(reasons) for each, reasons in found.items()} == {
        "valuable": ["rule_0"], "new": ["rule_1"],
    }  # fmt: skip
    await interact(client, "valuable", "call", DAY)
    await interact(client, "new", "snoozed", DAY, attributes={"until": "2026-06-09"})
    assert await lines(client) == {}


async def test_of_many_customers_a_preview_looks_at_a_sample(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(90):
        await put(client, f"c{number}", contract_ends_on="2026-07-01")
    whole = (await client.get(f"{RULES}/0/preview")).json()
    assert (whole["one_in"], whole["lines"], whole["entering"], whole["leaving"]) == (1, 90, 0, 0)
    monkeypatch.setattr(worklist, "PREVIEWED", 30)
    some = (await client.get(f"{RULES}/0/preview")).json()
    assert some["one_in"] == 3
    assert some["lines"] % 3 == 0
    assert 45 < some["lines"] < 180
    counted = {each["code"]: each["lines"] for each in some["rules"]}
    assert counted.pop("contract_ending") == some["lines"]
    assert set(counted.values()) == {0}


async def test_rules_that_cannot_be_are_refused(client: httpx.AsyncClient, clock: Clock) -> None:
    evaluated = {"variable": "last_satisfaction", "op": "<", "value": 0.5}
    for change, pointer in (
        ({"when": evaluated}, "/rules/0/when"),
        ({"when": {"variable": "nothing", "op": "<", "value": 1}}, "/rules/0/when/variable"),
        ({"when": None}, "/rules/0/when"),
        ({"duty": "fun"}, "/rules/0/duty"),
        ({"sentence": {"en": "{name}", "zh": "x"}}, "/rules/0/sentence/en"),
    ):
        answer = await client.post(RULES, json={"rules": [{**CALM, **change}]})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await client.post(RULES, json={"rules": [CALM, CALM]})).status_code == 422
    await put_in_force(client, {"rules": [CALM]})
    other = await client.post(RULES, json={"rules": [CALM]})
    token = (await client.get(f"{RULES}/1/preview")).json()["preview_token"]
    path = f"{other.headers['Location']}/activate"
    for given in (token, "x"):
        assert (await client.post(path, json={"preview_token": given})).status_code == 422
    clock.now = NOW + timedelta(hours=25)
    late = await client.post(f"{RULES}/1/activate", json={"preview_token": token})
    assert (late.status_code, late.json()["code"]) == (412, "preview_expired")
    for missing in (f"{RULES}/9", f"{RULES}/9/preview", "/v1/customers/nobody/worklist"):
        assert (await client.get(missing)).status_code == 404


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [({"team": "none"}, "query:team"), ({"date": "2026-05-31"}, "query:date"),
     ({"date": "2028-01-01"}, "query:date"), ({"date": "soon"}, "query:date"),
     ({"limit": "0"}, "query:limit")],
)  # fmt: skip
async def test_what_cannot_be_listed_is_refused(
    client: httpx.AsyncClient, asked: dict[str, str], pointer: str
) -> None:
    answer = await client.get(WORKLIST, params=asked)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_who_may_not_read_personal_data_sees_no_birthdays_and_no_names(
    client: httpx.AsyncClient, settings: Settings, database: Database, clock: Clock
) -> None:
    await put(client, "b", birth_date="1990-06-01", name="B", attributes={"consent": "phone"})
    await put(client, "c", birth_date="1990-06-01", name="C", phone="+49 30 901820")
    await interact(client, "c", "complaint", DAY)
    found = (await client.get(WORKLIST)).json()["items"]
    assert [(item["customer_id"], item["name"]) for item in found] == [("c", "C"), ("b", "B")]
    assert found[1]["reach"]["consent"] == "phone"
    async with await make_client(settings, database, clock, ("scores:read",)) as other:
        answer = (await other.get(WORKLIST)).json()
        told = await of(other, "c")
    (item,) = answer["items"]
    assert (item["customer_id"], item["name"], item["reach"]["phone"]) == ("c", None, None)
    left_out = [{"code": "birthday", "missing_scope": personal.READ_PII}]
    assert answer["left_out"] == told["left_out"] == left_out
    assert "name" in answer["masked"]
