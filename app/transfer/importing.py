"""`clm import`: files in, and whom to call out."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from app.demo import load, show
from app.demo.client import Client
from app.demo.errors import DemoError
from app.transfer import sending, telling
from app.transfer.sending import Asked

HISTORIC = timedelta(days=60)
"""How old the last fact of a file is, for nobody in it to be worth a call today."""

Confirm = Callable[[str], bool]


def run(
    console: Console,
    client: Client,
    files: Sequence[Path],
    asked: Sequence[Asked],
    *,
    as_of: str | None,
    score: bool,
    confirm: Confirm,
) -> bool:
    """Import files one after the other, then say whom to call; False if rows were refused."""
    ended = [
        sending.send(console, client, file, _settled(console, client, file, one, confirm))
        for file, one in zip(files, asked, strict=True)
    ]
    for found in ended:
        telling.totals(console, found)
    console.print()
    taken = [found for found in ended if not found["dry_run"] and found["totals"]["mapped_rows"]]
    if taken and score:
        _say_whom_to_call(console, client, _as_of(console, taken, as_of))
    return not any(found["totals"]["rejected_rows"] for found in ended)


def _settled(console: Console, client: Client, file: Path, asked: Asked, confirm: Confirm) -> Asked:
    """Return how a file is read: as was said, or as is proposed and agreed to."""
    if asked.mapping is not None and asked.mapping.endswith(".json"):
        return replace(asked, mapping=_stored(client, Path(asked.mapping)))
    if asked.preset is not None or asked.mapping is not None:
        return asked
    found = sending.propose(client, file, asked)
    telling.proposal(console, file.name, found)
    if any(question["required"] for question in found["questions"]) or not found["document"]:
        raise DemoError(f"{file.name}: answer what is needed, with --parameter NAME=VALUE")
    if not confirm("Read it so?"):
        raise DemoError(f"{file.name}: name a --preset or a --mapping, or agree with --yes")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", file.name.split(".")[0]).strip("-.") or "file"
    kept = client.put(f"/mappings/{name}", {"document": found["document"]})
    console.print(f"Kept as the mapping {name}, version {kept['version']}.")
    return replace(asked, mapping=name)


def _stored(client: Client, file: Path) -> str:
    """Store the mapping in a file under the name of the file; return that."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DemoError(f"{file}: {error}") from None
    client.put(f"/mappings/{file.stem}", {"document": document})
    return file.stem


def _as_of(console: Console, ended: Sequence[dict[str, Any]], as_of: str | None) -> date | None:
    """Return the day that scores are of; None for now."""
    days = [found["totals"]["last_on"] for found in ended if found["totals"]["last_on"]]
    last = max(map(date.fromisoformat, days), default=None)
    if as_of == "last":
        return last
    if as_of == "now":
        return None
    if as_of is not None:
        return date.fromisoformat(as_of)
    if last is None or datetime.now(UTC).date() - last < HISTORIC:
        return None
    console.print(f"Scored as of {last}, the last day of the data; --as-of now is today.")
    return last


def _say_whom_to_call(console: Console, client: Client, as_of: date | None) -> None:
    operation = load.score(console, client, as_of)
    found = operation["result"]
    report = client.get("/reports/stages")
    of_run: dict[str, str | int] = {}
    if report["run_id"] == found["run_id"]:
        console.print(f"\nAs of {report['as_of']}, by run {found['run_id']}\n")
        show.stages(console, report)
    else:
        of_run["run_id"] = found["run_id"]
        console.print(f"\nBy run {found['run_id']}: lists read one of a later day.\n")
    page = client.get("/churn-risks", limit=show.CALLS, sort="-value_to_save", **of_run)
    show.calls(console, page)
