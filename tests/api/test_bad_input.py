"""Hostile and careless input in every kind of place: a problem that points to it, never a 500."""

import copy
import gzip
import json
from typing import Any

import httpx
import pytest

from app.schemas.policies.policies import POLICY_EXAMPLE

JSON = {"Content-Type": "application/json"}
CUSTOMER = {"customer_id": "c1"}
FACT = {
    "customer_id": "c1",
    "transaction_id": "t1",
    "occurred_at": "2026-01-31T12:00:00Z",
    "amount": {"amount": "12.50"},
}
INTERACTION = {
    "customer_id": "c1",
    "interaction_id": "i1",
    "occurred_at": "2026-01-31T12:00:00Z",
    "kind": "survey",
}
NUL, SURROGATE = "a\x00b", "a\ud800b"


async def send(
    client: httpx.AsyncClient, method: str, path: str, body: Any, **headers: str
) -> httpx.Response:
    """Send a body as it is; what is not bytes is written as JSON, NaN and surrogates too."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.request(method, path, content=content, headers={**JSON, **headers})


def check(answer: httpx.Response, status: int, *pointers: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert [error["pointer"] for error in problem["errors"]] == list(pointers)
    assert all(error["code"] and error["detail"] for error in problem["errors"])


# What makes a value bad in some kind of place, and the places of each kind.
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


# --- paths, queries and headers ------------------------------------------------------------------

BAD_IN_PATH = [
    "%00", "a%00", "a%0A", "%20a", "a%20", "a%5Cb", "a%3Fb", "a%23b", "a%25b",
    "e%CC%81", "%E2%80%A8", "x" * 129, "%C2%85", "%FF", "%ED%A0%80", "%C3%28", "%F4%90%80%80",
]  # fmt: skip
PARTS = (
    "", "/stage", "/scores", "/transitions", "/transactions", "/interactions", "/timeline",
)  # fmt: skip


async def test_a_bad_id_in_a_path_is_pointed_to(client: httpx.AsyncClient) -> None:
    for path in (f"/v1/customers/{customer_id}" for customer_id in BAD_IN_PATH):
        check(await send(client, "PUT", path, {}), 422, "path:customer_id")
        check(await send(client, "PATCH", path, {}), 422, "path:customer_id")
        for part in PARTS:
            check(await client.get(path + part), 422, "path:customer_id")


@pytest.mark.parametrize("raw", ["%FF", "%ED%A0%80", "%C3%28", "%F4%90%80%80", str(2**63)])
async def test_any_other_path_is_an_unknown_id(client: httpx.AsyncClient, raw: str) -> None:
    for path in (f"/v1/models/{raw}", f"/v1/operations/{raw}"):
        check(await client.get(path), 404)


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/operations/"])
@pytest.mark.parametrize("raw", ["%00", "x" * 201])
async def test_a_bad_id_of_a_model_or_an_operation_is_pointed_to(
    client: httpx.AsyncClient, path: str, raw: str
) -> None:
    answer = await client.get(path + raw)
    check(answer, 422, f"path:{path.split('/')[2].removesuffix('s')}_id")


@pytest.mark.parametrize("part", ["stage", "stage-history", "stage/explanation", "scores"])
async def test_what_is_taken_as_an_instant_can_be_told(
    client: httpx.AsyncClient, part: str
) -> None:
    await client.put("/v1/customers/c1", json={})
    path = f"/v1/customers/c1/{part}"
    for day in ("1900-01-01", "1900-06-01", "1900-12-31", "1900-12-31T23:59:59Z"):
        check(await client.get(path, params={"as_of": day}), 422, "query:as_of")
    for first in ("1901-01-01", "1901-01-01T00:00:00Z"):
        answer = await client.get(path, params={"as_of": first})
        assert answer.status_code == 200, answer.text
        assert answer.json()["as_of"].startswith("1901-01-01T")


LISTS_OF_ONE_ORDER = (
    "/v1/customers/c1/timeline", "/v1/customers/c1/transitions", "/v1/policies", "/v1/operations",
    "/v1/models", "/v1/backtests",
)  # fmt: skip


async def test_a_list_of_one_order_takes_no_sort(client: httpx.AsyncClient) -> None:
    await client.put("/v1/customers/c1", json={})
    for path in LISTS_OF_ONE_ORDER:
        check(await client.get(f"{path}?sort=name"), 422, "query:sort")
        assert (await client.get(path)).status_code == 200


async def test_bad_parameters_are_pointed_to(client: httpx.AsyncClient) -> None:
    await client.put("/v1/customers/c1", json={})
    for path, name, values in (
        ("/v1/customers", "q", ["%00", "a%00b", "x" * 201, ""]),
        ("/v1/customers", "owner", ["%00"]),
        ("/v1/customers", "stage", ["%00"]),
        ("/v1/customers", "sort", ["%00", "-", "x" * 51]),
        ("/v1/customers", "limit", ["NaN", "1e3", "1.5", "-1", "0", str(2**63), "9" * 5000, "%00"]),
        ("/v1/operations", "state", ["done", "%00"]),
        ("/v1/operations", "kind", ["%00"]),
        ("/v1/customers/c1/interactions", "kind", ["", "%00", "9", "x" * 65]),
        ("/v1/customers/c1/timeline", "type", ["", "%00", "purchase"]),
        ("/v1/churn-risks", "rhythm", ["late", "%00"]),
        ("/v1/churn-risks", "include", ["maybe", "none"]),
        ("/v1/customers/c1/scores", "horizon_days", ["0", "3651", "-1", str(2**63), "1e400"]),
        (
            "/v1/customers/c1/scores",
            "as_of",
            ["", "%00", "0001-01-01", "9999-12-31", "2026-06-02", "2026-02-30",
             "2026-01-31T12:00:00", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-12:00",
             "nan", "%D9%A2%D9%A0%D9%A2%D9%A6-01-31", "%ED%A0%80", "x" * 41],
        ),
    ):  # fmt: skip
        for value in values:
            answer = await client.get(f"{path}?{name}={value}")
            assert answer.status_code == 422, (path, name, value)
            check(answer, 422, f"query:{name}")


@pytest.mark.parametrize("name", ["%00", "%ED%A0%80", "a%0Ab", "x" * 5000, "%F0%9F%98%80"])
async def test_an_unknown_parameter_is_named_however_it_is_called(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await client.get(f"/v1/customers?{name}=1")
    assert answer.status_code == 422
    [fault] = answer.json()["errors"]
    assert (fault["code"], len(fault["pointer"]) <= 110) == ("extra_forbidden", True)


async def test_bad_headers_are_pointed_to(client: httpx.AsyncClient) -> None:
    answer = await send(client, "PUT", "/v1/customers/c1", {}, **{"If-Match": "x" * 201})
    check(answer, 422, "header:If-Match")
    headers = {b"If-Match": b"W/\xe9"}
    stale = await client.put("/v1/customers/c1", json={}, headers=headers)
    check(stale, 412, "header:If-Match")


# --- whole bodies --------------------------------------------------------------------------------

FACT_BYTES = json.dumps(FACT).encode()
DEEP = 5000


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "malformed_json"),
        (b"{'a': 1}", "malformed_json"),
        (b'{"a": 1,}', "malformed_json"),
        (b'{"a": 1} {"b": 2}', "malformed_json"),
        (b'{"a": tru', "malformed_json"),
        (b'{"a": "\x01"}', "malformed_json"),
        (b'{"a": 01}', "malformed_json"),
        (b" ", "malformed_json"),
        (b"\xef\xbb\xbf" + FACT_BYTES, "malformed_json"),
        (json.dumps(FACT).encode("utf-16"), "malformed_json"),
        (json.dumps(FACT).encode("utf-32"), "malformed_json"),
        ('{"name": "Müller"}'.encode("latin-1"), "malformed_json"),
        (b'{"name": "\xed\xa0\x80"}', "malformed_json"),
        (b'{"customer_id": "c1", "customer_id": "c2"}', "duplicate_key"),
        (b'{"attributes": {"a": 1, "\\u0061": 2}}', "duplicate_key"),
        (b'{"attributes": ' + b'{"a":' * DEEP + b"1" + b"}" * (DEEP + 1), "nesting_too_deep"),
        (b'{"attributes": ' + b"[" * DEEP + b"]" * DEEP + b"}", "nesting_too_deep"),
        (b"[" * 100_000, "nesting_too_deep"),
        (b'{"revision": ' + b"9" * 5000 + b"}", "number_too_long"),
        (b'{"attributes": {"a": -' + b"9" * 5000 + b"}}", "number_too_long"),
    ],
    ids=lambda value: ascii(value)[:30],
)
async def test_a_body_that_cannot_be_read_is_told_where(
    client: httpx.AsyncClient, body: bytes, code: str
) -> None:
    for method, path in (
        ("PUT", "/v1/customers/c1"),
        ("PATCH", "/v1/customers/c1"),
        ("POST", "/v1/customers/bulk"),
        ("POST", "/v1/transactions"),
        ("POST", "/v1/transactions/bulk"),
        ("POST", "/v1/interactions"),
        ("POST", "/v1/interactions/bulk"),
        ("POST", "/v1/models"),
        ("POST", "/v1/scoring-runs"),
    ):
        answer = await send(client, method, path, body)
        check(answer, 400, "")
        assert answer.json()["errors"][0]["code"] == code
    assert (await client.get("/v1/customers")).json()["items"] == []


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain", "text/json", "application/xml", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x", "application/json; charset=latin-1",
        "application/json; charset=utf-16", "application/x-ndjson", "json", "*/*",
    ],
)  # fmt: skip
async def test_another_content_type_is_not_supported(
    client: httpx.AsyncClient, content_type: str
) -> None:
    answer = await send(
        client, "POST", "/v1/transactions", FACT_BYTES, **{"Content-Type": content_type}
    )
    check(answer, 415)
    assert answer.json()["code"] == "unsupported_media_type"


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, br", "x-unknown"])
async def test_an_encoded_body_is_not_supported(client: httpx.AsyncClient, encoding: str) -> None:
    answer = await send(
        client, "POST", "/v1/transactions", b"\x1f\x8b\x08", **{"Content-Encoding": encoding}
    )
    check(answer, 415)
    assert answer.headers["accept-encoding"] == "gzip"


async def test_what_is_called_gzip_and_is_none_is_malformed(client: httpx.AsyncClient) -> None:
    for body in (FACT_BYTES, b"\x1f\x8b\x08", gzip.compress(FACT_BYTES)[:-1]):
        answer = await send(
            client, "POST", "/v1/transactions", body, **{"Content-Encoding": "gzip"}
        )
        check(answer, 400, "header:Content-Encoding")
    bomb = gzip.compress(b'{"name": "' + b"x" * 2_000_000)
    check(await send(client, "PUT", "/v1/customers/c1", bomb, **{"Content-Encoding": "gzip"}), 413)


async def test_an_absent_body_and_type_are_judged_by_the_content(
    client: httpx.AsyncClient,
) -> None:
    check(await client.post("/v1/transactions"), 422, "")
    untyped = await client.post("/v1/transactions", content=FACT_BYTES)
    assert untyped.status_code == 201, untyped.text
    named = await send(
        client, "POST", "/v1/transactions", FACT_BYTES,
        **{"Content-Type": 'Application/JSON; charset="UTF-8"'},
    )  # fmt: skip
    assert named.status_code == 200


async def test_a_very_long_text_is_refused_without_being_quoted(client: httpx.AsyncClient) -> None:
    long = "客" * 600_000  # 1.8 MB
    for field in ("name", "referred_by", "kind", "country", "birth_date", "first_contact_at"):
        content = json.dumps({field: long}, ensure_ascii=False).encode()
        answer = await send(client, "PUT", "/v1/customers/c1", content)
        check(answer, 422, f"/{field}")
        assert len(answer.content) < 2000
    content = json.dumps({"attributes": {"a": long}}, ensure_ascii=False).encode()
    check(await send(client, "PUT", "/v1/customers/c1", content), 422, "/attributes")


async def test_a_body_above_the_limit_is_too_large(client: httpx.AsyncClient) -> None:
    answer = await send(client, "PUT", "/v1/customers/c1", b'{"name": "' + b"x" * 2_000_000)
    check(answer, 413)
    assert answer.json()["code"] == "payload_too_large"


async def test_problems_do_not_quote_what_was_sent(client: httpx.AsyncClient) -> None:
    secret = "4111111111111111"
    for body in (
        {"name": secret * 20},
        {"email": [secret]},
        {"country": secret * 20},
        {"preferred_language": secret},
        {"time_zone": secret},
        {"birth_date": secret},
        {"first_contact_at": secret},
        {"kind": secret},
        {"attributes": secret},
    ):
        answer = await send(client, "PUT", "/v1/customers/c1", body)
        assert (answer.status_code, secret in answer.text) == (422, False)
        items = {"items": [CUSTOMER | body]}
        answer = await send(client, "POST", "/v1/customers/bulk", items)
        assert (answer.json()["counts"]["rejected"], secret in answer.text) == (1, False)
    content = b'{"name": "' + secret.encode() + b'"'
    assert secret not in (await send(client, "PUT", "/v1/customers/c1", content)).text


# --- what is odd, but good -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [
        {"a": 1e22, "b": -1e-308, "c": 5e-324, "d": 10**300, "e": -(2**63), "f": 0.1},
        {"": "", "a b": [None], "~/": [], "\u0001": "\u202e", "😀": "e\u0301"},
        {"a": {"b": {"c": {"d": [1]}}}},
        {"a": True, "b": 1, "c": "true", "d": "null"},
        {str(number): number for number in range(1000)},
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_free_json_comes_back_as_it_was_sent(
    client: httpx.AsyncClient, attributes: dict[str, Any]
) -> None:
    made = await send(client, "PUT", "/v1/customers/c1", {"attributes": attributes})
    got = await client.get("/v1/customers/c1")
    assert made.status_code == 201, made.text
    assert made.json()["attributes"] == got.json()["attributes"] == attributes


async def test_a_time_is_kept_to_the_microsecond_and_shown_in_utc(
    client: httpx.AsyncClient,
) -> None:
    for given, shown in (
        ("2026-01-31T23:59:59.123456789+14:00", "2026-01-31T09:59:59.123456Z"),
        ("1901-01-01t00:00:00.5z", "1901-01-01T00:00:00.500000Z"),
        ("2199-12-31 23:59:59-00:00", "2199-12-31T23:59:59Z"),
    ):
        answer = await send(client, "PUT", "/v1/customers/c1", {"first_contact_at": given})
        assert answer.json()["first_contact_at"] == shown
    for outside in ("2199-12-31T23:59:59-12:00", "1901-01-01T00:00:00+14:00"):
        answer = await send(client, "PUT", "/v1/customers/c1", {"first_contact_at": outside})
        check(answer, 422, "/first_contact_at")


async def test_the_same_fact_twice_in_a_batch_has_a_status_for_each(
    client: httpx.AsyncClient,
) -> None:
    items = [
        FACT,
        FACT | {"amount": {"amount": "12.5"}},
        FACT | {"amount": {"amount": "13.00"}},
        FACT | {"amount": {"amount": "13.00"}, "revision": 2},
        FACT | {"amount": {"amount": "x"}},
    ]
    body = (await send(client, "POST", "/v1/transactions/bulk", {"items": items})).json()
    assert [item["status"] for item in body["items"]] == [
        "created", "duplicate", "rejected", "updated", "rejected",
    ]  # fmt: skip
    assert [item["error"] and item["error"]["code"] for item in body["items"]] == [
        None, None, "conflict", None, "validation_failed",
    ]  # fmt: skip
    assert body["counts"] == {"created": 1, "updated": 1, "duplicate": 1, "rejected": 2}
    assert body["customers_created"] == 1
