"""The real worker, with parts and leases so small that a run has many of both."""

from datetime import timedelta

from app import worker
from app.services.operations import parts
from app.services.runs import runs
from tests.prepared import SETTINGS


def work(url: str) -> None:
    parts.LEASE = timedelta(seconds=0.6)
    parts.MAX_FAILURES = 50
    worker.IDLE_SECONDS = 0.05
    runs.TRANSITIONS_AT_ONCE, runs.SCORE_PART = 15, 20
    worker.work(SETTINGS.model_copy(update={"log_level": "ERROR"}), url)
