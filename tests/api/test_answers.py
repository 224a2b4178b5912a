"""Answers and bodies that are read or written in pieces say what they would say in one."""

import json
from typing import Any

import httpx
import pytest
from fastapi.exceptions import ResponseValidationError

from app.http.answers import PIECE, Answers
from app.http.deps import Route
from app.schemas.customers import CustomerPage


def answers_of(client: httpx.AsyncClient, name: str) -> tuple[Any, Answers]:
    app = client._transport.app  # type: ignore[attr-defined]
    route = next(each for each in app.routes if each.name == name)
    assert isinstance(route, Route)
    field = route.response_field
    return field, Answers(field, exclude_unset=False)


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
async def test_a_list_in_pieces_is_the_list_as_a_whole(
    client: httpx.AsyncClient, size: int
) -> None:
    hostile = '"items":[]\\","items":[]'
    for place in range(size):
        profile = {"name": f"{hostile} {place}", "attributes": {"items": [], "a": [hostile]}}
        await client.put(f"/v1/customers/c{place:03}", json=profile)
    page = (await client.get("/v1/customers?limit=500")).json()
    assert len(page["items"]) == size
    field, answers = answers_of(client, "list_customers")
    value, faults = field.validate(page, {}, loc=("response",))
    assert not faults
    assert isinstance(value, CustomerPage)
    assert await answers.to_json(page) == field.serialize_json(value)


async def test_an_item_that_does_not_fit_fails_the_answer(client: httpx.AsyncClient) -> None:
    _, answers = answers_of(client, "list_customers")
    for items in ([{}], [{}] * (PIECE + 1)):
        with pytest.raises(ResponseValidationError):
            await answers.to_json({"items": items, "next_cursor": None, "stage_policy_version": 1})


async def test_a_large_body_is_judged_as_a_small_one(client: httpx.AsyncClient) -> None:
    small = {"customer_ids": [f"c{place}" for place in range(3)], "horizon_days": 0}
    blanks = " " * 100_000
    for body in (json.dumps(small), json.dumps(small) + blanks, blanks + json.dumps(small)):
        answer = await client.post("/v1/scores/lookup", content=body)
        assert answer.status_code == 422
        assert [each["pointer"] for each in answer.json()["errors"]] == ["/horizon_days"]
    for body in ("{" + blanks, '{"a": 1,' + blanks + '"a": 2}'):
        answer = await client.post("/v1/scores/lookup", content=body)
        assert answer.status_code == 400, answer.text


async def test_more_faults_than_can_be_listed_are_counted(client: httpx.AsyncClient) -> None:
    body = {"items": [{"nonsense": place} for place in range(2_000)]}
    answer = await client.post("/v1/score", json=body)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("", "too_many_faults")
    assert "too many to be listed" in fault["detail"]
