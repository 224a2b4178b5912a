"""Rules see what fields of a profile mean, now and then, and nothing of what could not be read."""

from typing import Any

import httpx
import pytest

from app.postgres.db import WriteSession
from tests.services.stages.test_any_policy import put_in_force

PATH = "/v1/customers/c1"


def looking_at(when: dict[str, Any]) -> dict[str, Any]:
    return {
        "stages": [{"code": code, "name": {"en": code, "zh": code}, "role": "customer"}
                   for code in ("plain", "chosen")],
        "inactivity_limit": {"floor_days": 10, "gap_multiple": 2, "gap_margin_days": 5},
        "rules": [{"code": "is_chosen", "stage": "chosen", "when": when},
                  {"code": "otherwise", "stage": "plain"}],
    }  # fmt: skip


def when(variable: str, op: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"variable": variable, "op": op, "value": value, **more}


@pytest.mark.parametrize(
    ("rule", "profile", "holds"),
    [
        (when("country", "==", "DE"), {"country": "Germany"}, True),
        (when("country", "in", ["CN", "US"]), {"country": "美国"}, True),
        (when("country", "known", value=True), {"country": "Atlantis"}, False),
        (when("country", "!=", "DE"), {"country": "Atlantis"}, False),
        (when("preferred_language", "==", "zh-Hans"), {"preferred_language": "zh_hans"}, True),
        (when("preferred_language", "==", "en"), {"preferred_language": "zh"}, False),
        (when("time_zone", "==", "Asia/Shanghai"), {"time_zone": "asia/shanghai"}, True),
        (when("city", "==", "K\u00f6ln"), {"city": " Ko\u0308ln"}, True),
        (when("attribute", "contains", "tea", name="likes"),
         {"attributes": {"likes": ["coffee", "tea", 7]}}, True),
        (when("attribute", "contains", "te", name="likes"),
         {"attributes": {"likes": ["coffee", "tea"]}}, False),
        (when("attribute", "contains", "tea", name="likes"), {"attributes": {"likes": "tea"}},
         False),
    ],
)  # fmt: skip
async def test_a_rule_on_a_field_decides_by_what_it_means(
    client: httpx.AsyncClient,
    session: WriteSession,
    rule: dict[str, Any],
    profile: dict[str, Any],
    holds: bool,
) -> None:
    await put_in_force(session, 99, looking_at(rule))
    await client.put(PATH, json={"first_contact_at": "2026-02-01T12:00:00Z", **profile})
    stage = "chosen" if holds else "plain"
    assert (await client.get(f"{PATH}/stage")).json()["stage"] == stage
    # Said of an instant, it is read from the history.
    await client.put("/v1/customers/c2", json={"first_contact_at": "2026-02-01T12:00:00Z"})
    cleared = {name: {"likes": None} if name == "attributes" else None for name in profile}
    for change, since in ((profile, "2026-03-01"), (cleared, "2026-04-01")):
        body = {**change, "valid_from": f"{since}T12:00:00Z"}
        assert (await client.patch("/v1/customers/c2", json=body)).status_code == 200
    for day, expected in (("2026-02-15", "plain"), ("2026-03-15", stage), ("2026-04-15", "plain")):
        answer = await client.get("/v1/customers/c2/stage", params={"as_of": day})
        assert answer.json()["stage"] == expected, day
