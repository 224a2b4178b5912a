"""What stages are to reach, by the policy: on or off target in the report of stages."""

from copy import deepcopy
from typing import Any

import httpx
import pytest

from app.deployment import Deployment
from app.postgres.db import Database
from app.schemas.policies.policies import POLICY_EXAMPLE
from app.worker import Worker
from tests.database import Clock
from tests.kept import store_model
from tests.services.runs import test_runs as made
from tests.services.scores import test_lists
from tests.services.stages.test_any_policy import put_in_force
from tests.twin import Fact

people, worker = test_lists.people, test_lists.worker
METRICS = ("customers", "share", "revenue", "value_to_save")


def with_targets(targets: list[dict[str, Any]]) -> dict[str, Any]:
    document = deepcopy(POLICY_EXAMPLE)
    for stage in document["stages"][:2]:
        stage["targets"] = targets
    return document


async def test_a_stage_is_on_or_off_its_targets(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    clock: Clock,
    people: dict[str, list[Fact]],
) -> None:
    targets: list[dict[str, Any]] = [{"metric": name, "at_least": 0.5} for name in METRICS]
    targets += [{"metric": name, "at_most": 0.5} for name in METRICS]
    targets.append({"metric": "customers", "at_least": 1, "at_most": 1_000})
    async with made.write(own_database) as session:
        await store_model(session, "model_of_targets")
        await put_in_force(session, 99, with_targets(targets))
    before = (await own_client.get("/v1/reports/stages")).json()["stages"]
    assert {(each["value"], each["met"]) for each in before[0]["targets"]} == {(None, None)}
    await made.post(own_database, deployment, people, clock.now)
    await made.run(own_database, deployment, worker)
    stages = (await own_client.get("/v1/reports/stages")).json()["stages"]
    everybody = sum(stage["customers"] for stage in stages)
    for stage in stages[:2]:
        told = {
            "customers": stage["customers"], "share": stage["customers"] / everybody,
            "revenue": float(stage["revenue"]["amount"]),
            "value_to_save": float(stage["value_to_save"]["amount"]),
        }  # fmt: skip
        for asked, each in zip(targets, stage["targets"], strict=True):
            value = told[asked["metric"]]
            assert each["value"] == value
            assert (each["at_least"], each["at_most"]) == (
                asked.get("at_least"), asked.get("at_most"),
            )  # fmt: skip
            least, most = asked.get("at_least", 0), asked.get("at_most", float("inf"))
            assert each["met"] == (least <= value <= most)
    assert {each["met"] for stage in stages for each in stage["targets"]} == {True, False}
    assert stages[2]["targets"] == []


@pytest.mark.parametrize(
    ("target", "pointer"),
    [
        ({"metric": "fun", "at_least": 1}, "/stages/0/targets/0/metric"),
        ({"metric": "share"}, "/stages/0/targets/0"),
        ({"metric": "share", "at_least": 2, "at_most": 1}, "/stages/0/targets/0"),
        ({"metric": "share", "at_least": -1}, "/stages/0/targets/0/at_least"),
    ],
)
async def test_a_target_that_says_nothing_is_refused(
    client: httpx.AsyncClient, target: dict[str, Any], pointer: str
) -> None:
    answer = await client.post("/v1/policies", json=with_targets([target]))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_targets_are_told_as_they_were_given(client: httpx.AsyncClient) -> None:
    document = with_targets([{"metric": "share", "at_most": 0.2}])
    made_ = await client.post("/v1/policies", json=document)
    assert made_.status_code == 201, made_.text
    assert made_.json()["document"] == document
