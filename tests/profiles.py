"""A profile with every field, and how profiles are written and read over HTTP."""

from typing import Any
from urllib.parse import quote

import httpx

FULL: dict[str, Any] = {
    "kind": "company",
    "name": "上海贸易有限公司",
    "email": "Info@Example.com",
    "phone": "+86 21 5555",
    "country": "CN",
    "preferred_language": "zh-Hans",
    "time_zone": "Asia/Shanghai",
    "region": "East",
    "city": "上海",
    "gender": "other",
    "birth_date": "1990-02-28",
    "occupation": "buyer",
    "industry": "trade",
    "income_band": "b3",
    "parent_customer_id": "c0",
    "owner": "team-east",
    "acquisition_channel": "fair",
    "referred_by": "c9",
    "first_contact_at": "2026-01-31T20:00:00+08:00",
    "contract_ends_on": "2027-12-31",
    "attributes": {"a": {"b": 1, "c": [1, None]}, "newsletter": True},
}
EMPTY: dict[str, Any] = dict.fromkeys(FULL) | {"attributes": {}}


async def put(client: httpx.AsyncClient, customer_id: str, **profile: Any) -> httpx.Response:
    answer = await client.put(f"/v1/customers/{quote(customer_id, safe='')}", json=profile)
    assert answer.status_code in (200, 201), answer.text
    return answer


async def ids(client: httpx.AsyncClient, **params: str | int) -> list[str]:
    answer = await client.get("/v1/customers", params=params)
    assert answer.status_code == 200, answer.text
    return [item["customer_id"] for item in answer.json()["items"]]


def profile_of(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    return {field: body[field] for field in FULL}


def faults_of(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.headers["content-type"] == "application/problem+json"
    return [(error["pointer"], error["code"]) for error in answer.json()["errors"]]
