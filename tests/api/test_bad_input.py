"""Hostile and careless values in every field: a problem that points to it, never a 500."""

import copy
from typing import Any

import httpx
import pytest

from app.schemas.policies.policies import POLICY_EXAMPLE
from tests.raw_requests import CUSTOMER, FACT, INTERACTION, NUL, SURROGATE, check, send

BAD_TEXT: list[Any] = [NUL, SURROGATE, "\udfff", "", "x" * 201, 1, 1.5, True, [], {}]
BAD_ID: list[Any] = [
    NUL, SURROGATE, "", "x" * 129, "a/b", "a\\b", "a?b", "a#b", "a%b", ".", "..", " a", "a ",
    "a\nb", "a\u2028b", "\u00a0a", "e\u0301", 1, None, {},
]  # fmt: skip
BAD_FACT_ID: list[Any] = [
    NUL, SURROGATE, "", "x" * 129, " a", "a ", "a\nb", "a\u2028b", "\u00a0a", "e\u0301", 1, None,
    {},
]  # fmt: skip
BAD_SIGNED_AMOUNT: list[Any] = [
    "NaN", "Infinity", "1E+500", "+1", "", " 1", "1,5", "1.23456", ".5", "1.", "--1", "1e", "0x1",
    "1" * 20, "9" * 5000, "1e999999999", "1e-999999999", "１２", "١٢", 1e14, 1.23456, 10**14,
    -(10**400), 0.1 + 0.2, 1e400, float("nan"), float("inf"), True, None, ["1"],
]  # fmt: skip
BAD_AMOUNT: list[Any] = [*BAD_SIGNED_AMOUNT, "-1", -1, -0.01, "-1e2", -1e-300]
BAD_INSTANT: list[Any] = [
    "2026-01-31T12:00:00", "2026-01-31", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00", "1899-12-31T23:59:59Z", "2200-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z", "2026-01-31T25:00:00Z", "2026-01-31T12:00:00+99:99",
    "٢٠٢٦-01-31T12:00:00Z", "yesterday", "", NUL, SURROGATE, 1769860800, 1.5, float("inf"),
    10**30, True, {},
]  # fmt: skip
BAD_DAY: list[Any] = [
    "0001-01-01", "1900-12-31", "2200-01-01", "9999-12-31", "2026-02-30", "2026-1-1", "20260131",
    "2026-01-31T00:00:00Z",
    "٢٠٢٦-٠١-٣١", "", NUL, 0, 1769860800, True, [],
]  # fmt: skip
BAD_INT: list[Any] = [
    0, -1, 2**63, 10**20, 10**4000, 1.5, 1e400, float("nan"), "1", "", True, None, [],
]  # fmt: skip
BAD_NUMBER: list[Any] = [
    float("nan"), float("inf"), float("-inf"), 1e400, 0, -1, 1e10, 10**400, "1", "NaN", True, None,
]  # fmt: skip
BAD_FREE: list[Any] = [
    {"a": NUL}, {"a": SURROGATE}, {NUL: 1}, {SURROGATE: 1}, {"a": [{"b": NUL}]},
    {"a": float("nan")}, {"a": [float("inf")]}, {"a": {"b": 1e400}}, {"a": "x" * 16_400},
    {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}, {"a": [[[[[[]]]]]]}, [], "x", 1, True,
]  # fmt: skip


BAD_LINE: list[Any] = ["", " ", "\u3000\n", "x" * 201, NUL, SURROGATE, 1, True, [], {}]
PROFILE_PLACES = {
    "name": (CUSTOMER, BAD_TEXT),
    "owner": (CUSTOMER, [NUL, SURROGATE]),
    "referred_by": (CUSTOMER, [value for value in BAD_ID if value is not None]),
    "birth_date": (CUSTOMER, BAD_DAY),
    "contract_ends_on": (CUSTOMER, BAD_DAY),
    "first_contact_at": (CUSTOMER, BAD_INSTANT),
    "country": (CUSTOMER, BAD_LINE),
    "email": (CUSTOMER, BAD_LINE),
    "phone": (CUSTOMER, BAD_LINE),
    "preferred_language": (
        CUSTOMER,
        [
            "",
            "english",
            "中文",
            "xx",
            "en-XX",
            "en-Abcd",
            "e",
            "en-",
            "-en",
            "en--us",
            "zh-Hans-",
            "en-u",
            "ｅｎ",
            NUL,
            SURROGATE,
            1,
            ["en"],
            "en-" + "x" * 70,
        ],
    ),
    "time_zone": (
        CUSTOMER,
        [
            "",
            "Mars/Base",
            "+08:00",
            "UTC+8",
            "localtime",
            "posixrules",
            "../UTC",
            "Europe",
            NUL,
            SURROGATE,
            8,
            [],
        ],
    ),
    "kind": (CUSTOMER, ["robot", "", NUL, SURROGATE, 1, True, {}]),
    "attributes": (CUSTOMER, BAD_FREE),
    "surprise": (CUSTOMER, [1, None, NUL]),
}
BAD_CURRENCY: list[Any] = ["XXX", "eur", "EURO", "", "EU\n", "ＥＵＲ", NUL, SURROGATE, 978]
FACT_PLACES = {
    "transaction_id": (FACT, BAD_FACT_ID),
    "source": (FACT, BAD_FACT_ID),
    "occurred_at": (FACT, [*BAD_INSTANT, None]),
    "amount": (FACT, ["12.50", 12.5, None, [], True, NUL]),
    "amount/amount": (FACT, BAD_AMOUNT),
    "amount/currency": (FACT, BAD_CURRENCY),
    "amount/surprise": (FACT, [1, None, SURROGATE]),
    "margin/amount": (FACT, BAD_SIGNED_AMOUNT),
    "margin/currency": (FACT, [*BAD_CURRENCY, "USD"]),
    "exchange_rate": (
        FACT | {"amount": {"amount": "12.50", "currency": "USD"}},
        ["0", "0.0", "NaN", "-1", "1" * 20, "0.00000000001", 0, -1.5, 1e-11, True],
    ),
    "revision": (FACT, BAD_INT),
    "channel": (FACT, BAD_TEXT),
    "kind": (FACT, ["gift", "", None, 1]),
    "surprise": (FACT, [1, None, SURROGATE]),
}
INTERACTION_PLACES = {
    "interaction_id": (INTERACTION, BAD_FACT_ID),
    "source": (INTERACTION, BAD_FACT_ID),
    "occurred_at": (INTERACTION, [*BAD_INSTANT, None]),
    "kind": (
        INTERACTION,
        [
            "",
            "9x",
            "_",
            "-",
            "a+b",
            "a\tb",
            "x" * 65,
            "客" * 65,
            "visit\n",
            NUL,
            SURROGATE,
            1,
            None,
        ],
    ),
    "channel": (INTERACTION, BAD_TEXT),
    "campaign": (INTERACTION, BAD_TEXT),
    "text": (INTERACTION, [NUL, SURROGATE, "", "x" * 4001, 1, True, [], {}]),
    "score": (
        INTERACTION,
        [-0.1, 100.5, 1e400, float("nan"), float("-inf"), 10**400, "4", "", True, [], {}],
    ),
    "attributes": (INTERACTION, BAD_FREE),
    "revision": (INTERACTION, BAD_INT),
    "surprise": (INTERACTION, [1, None, SURROGATE]),
}
PLACES_OF_FACTS = [
    pytest.param(path, good, field, *place, id=f"{path}-{field}")
    for path, good, places in (
        ("/v1/transactions", FACT, FACT_PLACES),
        ("/v1/interactions", INTERACTION, INTERACTION_PLACES),
    )
    for field, place in places.items()
]


@pytest.mark.parametrize("field", PROFILE_PLACES)
async def test_a_bad_value_of_a_profile_is_pointed_to(
    client: httpx.AsyncClient, field: str
) -> None:
    base, values = PROFILE_PLACES[field]
    for value in values:
        check(await send(client, "PUT", "/v1/customers/c1", {field: value}), 422, f"/{field}")
        check(await send(client, "PATCH", "/v1/customers/c1", {field: value}), 422, f"/{field}")
        items = [{"customer_id": "c0"}, {**base, field: value}]
        await check_rejected_alone(client, "/v1/customers/bulk", items, field)


@pytest.mark.parametrize(("path", "good", "field", "base", "values"), PLACES_OF_FACTS)
async def test_a_bad_value_of_a_fact_is_pointed_to(
    client: httpx.AsyncClient,
    path: str,
    good: dict[str, Any],
    field: str,
    base: dict[str, Any],
    values: list[Any],
) -> None:
    for value in values:
        bad = with_value(base, field, value)
        check(await send(client, "POST", path, bad), 422, f"/{field}")
        items = [good | {"customer_id": "c0"}, bad]
        await check_rejected_alone(client, f"{path}/bulk", items, field)


def with_value(base: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """Return a fact with another value of a field, or of a field of the amount it holds."""
    name, _, inner = field.partition("/")
    given = base.get(name, {"amount": "1.00"})
    return {**base, name: {**given, inner: value} if inner else value}


async def check_rejected_alone(
    client: httpx.AsyncClient, path: str, items: list[dict[str, Any]], field: str
) -> None:
    """Check that the item is rejected with its fault, and its neighbour is written."""
    atomic = await send(client, "POST", path, {"items": items, "mode": "atomic"})
    check(atomic, 422, f"/items/1/{field}")
    answer = await send(client, "POST", path, {"items": items})
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["items"]
    assert (first["status"] in ("created", "duplicate"), first["error"]) == (True, None)
    assert (second["status"], second["error"]["code"]) == ("rejected", "validation_failed")
    assert [fault["pointer"] for fault in second["error"]["errors"]] == [f"/items/1/{field}"]
    listed = (await client.get("/v1/customers")).json()["items"]
    assert [each["customer_id"] for each in listed] == ["c0"]


BAD_LINES: list[Any] = [
    *(({"quantity": value}, "/items/0/quantity") for value in BAD_NUMBER),
    *(
        ({"unit_price": {"amount": value}}, "/items/0/unit_price/amount")
        for value in ("NaN", -1, "-1", 1e400)
    ),
    ({"unit_price": {"amount": "1", "currency": "USD"}}, "/items/0/unit_price/currency"),
    ({"unit_price": "1.00"}, "/items/0/unit_price"),
    *(({"product_id": value}, "/items/0/product_id") for value in (NUL, SURROGATE, "", 1)),
    ({"category": SURROGATE}, "/items/0/category"),
    ({"surprise": 1}, "/items/0/surprise"),
]


async def test_a_bad_value_of_a_line_is_pointed_to(client: httpx.AsyncClient) -> None:
    for line, pointer in BAD_LINES:
        lines = [{"product_id": "p", "quantity": 1, "unit_price": {"amount": "1.00"}} | line]
        answer = await send(client, "POST", "/v1/transactions", FACT | {"items": lines})
        check(answer, 422, pointer)


BAD_BODIES: list[Any] = [
    ("/v1/models", {"kind": "magic"}, "/kind"),
    ("/v1/models", {"activate": "yes"}, "/activate"),
    ("/v1/models", {"activate": 1}, "/activate"),
    ("/v1/models", {"time_unit": None}, "/time_unit"),
    *(
        (path, {"as_of": value}, "/as_of")
        for path in ("/v1/models", "/v1/scoring-runs")
        for value in ("", NUL, SURROGATE, "2026-13-01", "9999-12-31", "2026-06-02", 1, "x" * 41)
    ),
    ("/v1/scoring-runs", {"model_id": NUL}, "/model_id"),
    ("/v1/scoring-runs", {"model_id": SURROGATE}, "/model_id"),
    ("/v1/scoring-runs", {"model_id": "x" * 65}, "/model_id"),
    ("/v1/customers/bulk", {"items": {}}, "/items"),
    ("/v1/customers/bulk", {"items": [CUSTOMER], "mode": "maybe"}, "/mode"),
    ("/v1/customers/bulk", {"items": [CUSTOMER], "surprise": 1}, "/surprise"),
    ("/v1/customers/bulk", {}, "/items"),
    ("/v1/transactions", [], ""),
    ("/v1/transactions", "text", ""),
    ("/v1/transactions", None, ""),
    ("/v1/transactions", 1e400, ""),
    ("/v1/transactions", FACT | {"refunds": {"transaction_id": "t0"}}, "/refunds"),
    ("/v1/transactions", FACT | {"kind": "refund", "refunds": {}}, "/refunds/transaction_id"),
]


def policy_with(place: str, value: Any) -> dict[str, Any]:
    """Return a policy with something else in one place, given as a JSON pointer."""
    policy: dict[str, Any] = copy.deepcopy(POLICY_EXAMPLE)
    words = {"en": "a", "zh": "a"}
    action = {"code": "act", "name": dict(words), "when": dict(IN_BERLIN)}
    policy["stages"][0] |= {"definition": words, "goals": [dict(words)], "actions": [action]}
    policy["rules"][1]["when"] = {"any": [
        {"variable": "days_since_last_purchase", "op": ">", "value": 90},
        dict(IN_BERLIN),
        {"variable": "city", "op": "in", "value": ["x"]},
        {"variable": "attribute", "name": "vip", "op": "==", "value": True},
    ]}  # fmt: skip
    *way, last = (int(step) if step.isdigit() else step for step in place.split("/")[1:])
    within: Any = policy
    for step in way:
        within = within[step]
    within[last] = value
    return policy


IN_BERLIN = {"variable": "city", "op": "==", "value": "Berlin"}
TEXTS_OF_A_POLICY = (
    "/name/en", "/stages/0/code", "/stages/0/name/zh", "/stages/0/definition/en",
    "/stages/0/goals/0/zh", "/stages/0/actions/0/code", "/stages/0/actions/0/name/en",
    "/stages/0/actions/0/when/value", "/rules/1/code", "/rules/1/stage",
    "/rules/1/when/any/1/value", "/rules/1/when/any/2/value/0", "/rules/1/when/any/3/name",
    "/rules/1/when/any/3/value", "/transitions/potential/0", "/model_id",
)  # fmt: skip
NUMBERS_OF_A_POLICY = ("floor_days", "gap_multiple", "gap_margin_days")


async def test_a_bad_value_of_a_policy_is_pointed_to(client: httpx.AsyncClient) -> None:
    for place in TEXTS_OF_A_POLICY:
        for value in (NUL, SURROGATE, "x" * 5_000):
            check(await send(client, "POST", "/v1/policies", policy_with(place, value)), 422, place)
    for place in ("/rules/1/when/any/1", "/stages/0/actions/0/when", "/rules/1/when/any/3"):
        for key in (NUL, SURROGATE):
            bad = policy_with(f"{place}/{key}", 1)
            shown = key.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
            check(await send(client, "POST", "/v1/policies", bad), 422, f"{place}/{shown}")
    for name in NUMBERS_OF_A_POLICY:
        for value in ("120", True, None, [], -1, float("nan"), 1e6):
            bad = policy_with(f"/inactivity_limit/{name}", value)
            check(await send(client, "POST", "/v1/policies", bad), 422, f"/inactivity_limit/{name}")
    for value in ("0", True, 1.5, None, -1):
        body = {"token": "x", "max_drift": value}
        check(await send(client, "POST", "/v1/policies/2/activate", body), 422, "/max_drift")
    assert (await send(client, "POST", "/v1/policies", policy_with("/name/en", "A"))).is_success


async def test_a_bad_body_of_other_operations_is_pointed_to(client: httpx.AsyncClient) -> None:
    for path, body, pointer in BAD_BODIES:
        check(await send(client, "POST", path, body), 422, pointer)


@pytest.mark.parametrize("name", [SURROGATE, NUL, "a/b~c", "x" * 100_000, "\u202e", "😀", ""])
async def test_an_unknown_field_is_named_however_it_is_called(
    client: httpx.AsyncClient, name: str
) -> None:
    single = await send(client, "PUT", "/v1/customers/c1", {name: 1})
    bulk = await send(client, "POST", "/v1/customers/bulk", {"items": [CUSTOMER | {name: 1}]})
    assert single.status_code == 422
    [fault] = single.json()["errors"]
    [item] = bulk.json()["items"]
    [same] = item["error"]["errors"]
    assert fault["code"] == same["code"] in ("extra_forbidden", "string_unicode")
    assert same["pointer"] == "/items/0" + fault["pointer"]
    assert len(fault["pointer"]) <= 101
    fault["pointer"].encode()  # can be encoded: no surrogates
