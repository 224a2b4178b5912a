"""What a worker answers over HTTP, and what it counts."""

import httpx
import pytest

from app import worker_page
from app.config import Settings
from app.postgres.db import Database
from app.schemas.models.models import ModelRequest
from app.services.operations import operations
from app.telemetry import metrics
from app.worker import Worker
from app.worker_page import PATIENCE_SECONDS, Signs
from app.worker_tasks import TASKS
from tests.database import NOW, writing
from tests.service import free_port


def test_alive_while_the_loop_turns_and_ready_while_the_database_answers() -> None:
    signs = Signs()
    settings = Settings(worker_metrics_port=free_port())
    with (
        worker_page.served(settings, signs),
        httpx.Client(base_url=f"http://127.0.0.1:{settings.worker_metrics_port}") as client,
    ):

        def statuses() -> list[int]:
            return [client.get(path).status_code for path in ("/livez", "/readyz")]

        assert statuses() == [200, 200]
        signs.answered_at -= PATIENCE_SECONDS + 1
        assert statuses() == [200, 503]
        signs.turned_at -= PATIENCE_SECONDS + 1
        assert statuses() == [503, 503]
        problem = client.get("/readyz")
        assert problem.headers["content-type"] == "application/problem+json"
        assert problem.json()["code"] == "database_unavailable"
        signs.answered()
        signs.turned()
        assert statuses() == [200, 200]
        page = client.get("/metrics")
        assert page.headers["content-type"] == metrics.CONTENT_TYPE
        assert "clm_part_duration_seconds" in page.text
        assert client.get("/v1/info").status_code == 404
        assert client.post("/livez").status_code == 405
        assert client.head("/livez").content == b""


def test_a_port_that_is_taken_is_said() -> None:
    settings = Settings(worker_metrics_port=free_port())
    with (
        worker_page.served(settings, Signs()),
        pytest.raises(ValueError, match="CLM_WORKER_METRICS_PORT: cannot listen"),
        worker_page.served(settings, Signs()),
    ):
        pass


async def test_parts_are_timed_by_how_they_ended(
    own_database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def faulty(*_: object) -> None:
        raise ZeroDivisionError

    def count(task: str, outcome: str) -> float:
        labels = {"task": task, "outcome": outcome}
        return metrics.REGISTRY.get_sample_value("clm_part_duration_seconds_count", labels) or 0

    monkeypatch.setitem(TASKS, "faulty", faulty)
    async with own_database.writes() as session, session.begin():
        await operations.submit(writing(session), "model_fit", ModelRequest(), now=NOW)
        await operations.submit(writing(session), "faulty", ModelRequest(), now=NOW)
    worker = Worker(own_database, settings)
    worker.signs.answered_at = 0
    before = count("model_fit", "done"), count("faulty", "failed")
    for _ in range(2):
        assert await worker.work_once()
    after = count("model_fit", "done"), count("faulty", "failed")
    assert after == (before[0] + 1, before[1] + 1)  # others of this process were timed as well
    assert worker.signs.answered_at > 0
