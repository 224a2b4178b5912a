"""Sends files and follows their imports, with progress."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from app.demo.client import Client
from app.demo.errors import DemoError

HEAD = 60_000
"""Bytes of a file that a mapping is proposed by."""
_PIECE = 262_144
_OPEN = ("uploading", "pending", "running")


@dataclass(frozen=True, slots=True)
class Asked:
    """How files are to be read."""

    preset: str | None = None
    mapping: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    file: Mapping[str, Any] = field(default_factory=dict)
    time_zone: str | None = None
    source: str | None = None
    exchange_rates: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False

    def query(self, file: Path) -> dict[str, str]:
        """Return what the API is asked with."""
        given = {
            "preset": self.preset,
            "mapping": self.mapping,
            "parameters": json.dumps(self.parameters) if self.parameters else None,
            "file": json.dumps(self.file) if self.file else None,
            "time_zone": self.time_zone,
            "source": self.source,
            "exchange_rates": json.dumps(self.exchange_rates) if self.exchange_rates else None,
            "dry_run": "true" if self.dry_run else None,
            "name": file.name[:200],
        }
        return {name: value for name, value in given.items() if value is not None}


def propose(client: Client, file: Path, asked: Asked) -> dict[str, Any]:
    """Return the mapping that the service proposes for a file."""
    with file.open("rb") as opened:
        head = base64.b64encode(opened.read(HEAD)).decode()
    parameters = dict(asked.parameters)
    if asked.time_zone is not None:
        parameters.setdefault("time_zone", asked.time_zone)
    body = {"sample_base64": head, "parameters": parameters, "file": asked.file}
    found: dict[str, Any] = client.post("/mappings/propose", body)
    return found


def send(console: Console, client: Client, file: Path, asked: Asked) -> dict[str, Any]:
    """Send a file; return its import once it has ended, which may be a failure."""
    with _progress(console) as progress:
        task = progress.add_task(f"{file.name}: sent", total=file.stat().st_size)
        pieces = _pieces(file, progress, task)
        operation = client.send("/imports", pieces, **asked.query(file))
        task = progress.add_task(f"{file.name}: read", total=None)
        while True:
            found: dict[str, Any] = client.get(f"/imports/{operation['id']}")
            progress.update(task, completed=found["bytes_read"], total=found["bytes"] or None)
            if found["state"] not in _OPEN:
                break
            time.sleep(0.2)
    if found["state"] != "succeeded":
        error = client.get(f"/operations/{operation['id']}")["error"] or {}
        faults = "; ".join(fault["detail"] for fault in error.get("errors", ())[:3])
        raise DemoError(
            f"{file.name}: {found['state']}: {error.get('detail', '')} {faults}".strip()
        )
    return found


def _pieces(file: Path, progress: Progress, task: TaskID) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        progress.reset(task)
        with file.open("rb") as opened:
            while piece := opened.read(_PIECE):
                yield piece
                progress.advance(task, len(piece))

    return pieces


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<40}"),
        BarColumn(bar_width=40),
        DownloadColumn(),
        TimeElapsedColumn(),
        console=console,
    )
