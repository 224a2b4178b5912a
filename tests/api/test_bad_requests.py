"""Hostile and careless paths, parameters, headers and bodies: a problem, never a 500."""

import gzip
import json

import httpx
import pytest

from tests.raw_requests import CUSTOMER, FACT, check, send

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
