"""One data folder with a migrated database in it, made once for all tests and their processes.

To copy it takes a fraction of what it takes to make a cluster and to run the migrations.
"""

import asyncio
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.config import Settings
from app.migrate import migrate
from app.postgres.db import create_engine
from app.postgres.embedded import EmbeddedPostgres
from app.services.common.deployment_settings import RECORDED_UNTIL

SETTINGS = Settings(
    currency="EUR",
    time_zone="Europe/Berlin",
    scoring_every=None,
    wait_seconds=30,  # what is asked for at once is to be done, however slow the machine
)
# What a process needs to be told so that it takes the database for its own.
ENVIRONMENT = {"CLM_CURRENCY": SETTINGS.currency, "CLM_TIME_ZONE": SETTINGS.time_zone}


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """Make a folder that every user can reach, unlike pytest's own: for root, the server is one."""
    path = Path(tempfile.mkdtemp(prefix="clm-tests-"))
    path.chmod(0o755)
    yield path
    deadline = time.monotonic() + 20
    while path.exists() and time.monotonic() < deadline:  # a server may be writing its last
        shutil.rmtree(path, ignore_errors=True)
    assert not path.exists()


def copy_of(folder: Path, to: Path) -> Path:
    """Copy a data folder that no server uses; owners stay."""
    subprocess.run(["cp", "-a", folder, to], check=True)
    return to


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder to copy: its database `clm` is migrated, and its server stopped."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of all processes of this run
    folder = shared / "prepared"
    with (shared / "prepared.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            prepare(folder)
    return folder


async def _let_in_at_once(url: str) -> None:
    """Have passwords stretched once, not 4096 times: half of what it takes to connect."""
    address = make_url(url)
    host = {"host": address.host, "port": address.port, "password": address.password}
    connection = await asyncpg.connect(**host, user="postgres", database="postgres")
    await connection.execute("SET scram_iterations = 1")
    for role in ("clm", "postgres"):
        await connection.execute(f"ALTER ROLE {role} PASSWORD '{address.password}'")
    await connection.close()


def prepare(folder: Path) -> None:
    """Make such a folder."""

    async def fill(url: str) -> None:
        await _let_in_at_once(url)
        engine = create_engine(url, pool_size=2)
        await migrate(engine, SETTINGS)
        # No clock of a test is to be behind what has been recorded.
        long_ago = "UPDATE settings SET value = '\"2000-01-01T00:00:00+00:00\"' WHERE key = :key"
        async with engine.begin() as connection:
            await connection.execute(text(long_ago), {"key": RECORDED_UNTIL})
        await engine.dispose()

    with reachable_folder() as made:
        with EmbeddedPostgres.start(made / "data", throwaway=True) as server:
            asyncio.run(fill(server.url))
        (made / "data/postgres.log").unlink()
        half = copy_of(made / "data", folder.with_suffix(".half"))
    half.rename(folder)
