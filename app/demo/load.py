"""Posts the sample and follows the scoring run, with progress."""

import time
from collections.abc import Sequence
from datetime import date
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.demo.client import Client
from app.demo.errors import DemoError

BATCH = 1000
_RUN_SECONDS = 300


def post(
    console: Console, client: Client, path: str, items: Sequence[dict[str, Any]]
) -> dict[str, int]:
    """Post all items in batches; return how many were created, and customers made on the way."""
    made = {"created": 0, "customers_created": 0}
    with _progress(console) as progress:
        task = progress.add_task(f"POST /v1{path}", total=len(items))
        for begin in range(0, len(items), BATCH):
            batch = items[begin : begin + BATCH]
            name = f"demo{path.replace('/', '-')}-{begin}"
            answer = client.post(path, {"items": batch}, idempotency_key=name)
            _check(path, answer, len(batch))
            made["created"] += answer["counts"]["created"]
            made["customers_created"] += answer.get("customers_created", 0)
            progress.advance(task, len(batch))
    return made


def _check(path: str, answer: dict[str, Any], size: int) -> None:
    if answer["counts"]["created"] == size:
        return
    other = next(item for item in answer["items"] if item["status"] != "created")
    raise DemoError(f"POST {path}: of {size} items not all were new: {answer['counts']}; {other}")


def score(console: Console, client: Client, as_of: date | None) -> dict[str, Any]:
    """Start a scoring run and return the operation once it has succeeded."""
    body = {} if as_of is None else {"as_of": as_of.isoformat()}
    operation = client.post("/scoring-runs", body, idempotency_key="demo-scoring-run")
    deadline = time.monotonic() + _RUN_SECONDS
    with _progress(console) as progress:
        task = progress.add_task("POST /v1/scoring-runs", total=None)
        while operation["state"] in ("pending", "running"):
            if time.monotonic() > deadline:
                raise DemoError(
                    f"the scoring run is {operation['state']} after {_RUN_SECONDS} s: "
                    f"{operation['progress']}"
                )
            time.sleep(0.1)
            operation = client.get(f"/operations/{operation['id']}")
            done, total = operation["progress"]["done"], operation["progress"]["total"]
            progress.update(task, completed=done, total=total or None)
    if operation["state"] != "succeeded":
        raise DemoError(f"the scoring run {operation['state']}: {operation['error']}")
    finished: dict[str, Any] = operation
    return finished


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
