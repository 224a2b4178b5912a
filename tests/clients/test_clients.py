"""The document as tools of others read it: linters, and generators of clients that then call.

`make test` installs the tools; they bring a Node of their own.
"""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from app.config import Settings
from app.main import create_app
from app.postgres.db import Database, create_engine
from app.services.access import keys
from tests.database import NOW, _administer, _named, copy_database, writing

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DOCUMENT = ROOT / "openapi.json"
PAGE = ROOT / "clients" / "lifecycle-page"
TOOLS = ROOT / ".venv-clients" / "bin"
SCRIPTS = HERE / "node_modules" / ".bin"
OURS = {"amount": "12.50", "currency": "EUR"}
TOLD = {
    "amount": OURS, "value": OURS, "customers": 1, "kind": "scoring_run", "outcome": "pending",
    "refused": "not_found",
}  # fmt: skip


def run(tool: Path, *arguments: str | Path, cwd: Path = HERE) -> str:
    """Run a tool with the Node that was installed for it; return all that it said."""
    assert tool.exists(), f"{tool} is missing: `make test` installs it"
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "REDOCLY_TELEMETRY": "off", "NO_COLOR": "1"}
    done = subprocess.run(
        [tool, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def service(cluster: str, template: str, settings: Settings) -> Iterator[list[str]]:
    """The address of a server with one customer, and a key."""
    name = "clm_called"
    copy_database(cluster, template, name)
    url = _named(cluster, name)

    async def make_key() -> str:
        database = Database.on(create_engine(url))
        async with database.writes() as session, session.begin():
            made = await keys.create(writing(session), "clients", ["admin"], now=NOW)
        await database.close()
        return made

    key = asyncio.run(make_key())
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        app = create_app(settings, Database.connect(settings, url))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield [f"http://127.0.0.1:{listening.getsockname()[1]}", key]
        server.should_exit = True
        thread.join()
    asyncio.run(_administer(cluster, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document as types of TypeScript, made once."""
    made = tmp_path_factory.mktemp("types") / "api.d.ts"
    run(SCRIPTS / "openapi-typescript", DOCUMENT, "-o", made)
    return made


def test_redocly_has_nothing_to_say_of_the_document() -> None:
    run(SCRIPTS / "redocly", "lint", "--config", "redocly-lint.yaml", DOCUMENT)


def test_spectral_has_nothing_to_say_of_the_document() -> None:
    run(SCRIPTS / "spectral", "lint", "--fail-severity=hint", "-r", "spectral.yaml", DOCUMENT)


def test_a_typescript_client_compiles_and_calls(
    service: list[str], types: Path, tmp_path: Path
) -> None:
    for name in ("call.ts", "tsconfig.json", "package.json"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    (tmp_path / "generated").mkdir()
    shutil.copy(types, tmp_path / "generated")
    run(SCRIPTS / "tsc", "-p", ".", cwd=tmp_path)
    assert json.loads(run(TOOLS / "node", "call.ts", *service, cwd=tmp_path)) == TOLD


def test_the_page_for_front_end_developers_fits_the_document(types: Path, tmp_path: Path) -> None:
    page = tmp_path / "clients" / "page"
    shutil.copytree(PAGE / "src", page / "src", ignore=shutil.ignore_patterns("generated"))
    shutil.copy(PAGE / "tsconfig.json", page)
    (tmp_path / "tests" / "clients").mkdir(parents=True)
    (tmp_path / "tests" / "clients" / "node_modules").symlink_to(HERE / "node_modules")
    (page / "src" / "generated").mkdir()
    shutil.copy(types, page / "src" / "generated")
    run(SCRIPTS / "tsc", "-p", ".", "--noEmit", cwd=page)


def test_a_python_client_is_typed_and_calls(service: list[str], tmp_path: Path) -> None:
    shutil.copy(HERE / "call.py", tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"package_name_override": "clm_client", "post_hooks": []}))
    said = run(
        TOOLS / "openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none",
        "--config", config, "--output-path", tmp_path / "clm_client", cwd=tmp_path,
    )  # fmt: skip
    # Nothing is lost but files and the picture, which no client of JSON has a type for.
    assert re.findall(r"parsing (.+) within", said) == [
        "POST /v1/imports", "GET /v1/backtests/{backtest_id}/picture.svg",
    ], said  # fmt: skip
    assert "Unable to process" not in said
    interpreter = TOOLS / "python"
    run(
        Path(sys.executable), "-m", "mypy", "--strict", "--python-executable", interpreter,
        "--config-file=", f"--cache-dir={os.devnull}", "call.py", "clm_client", cwd=tmp_path,
    )  # fmt: skip
    told: dict[str, Any] = json.loads(run(interpreter, "call.py", *service, cwd=tmp_path))
    assert told == {**TOLD, "customers": 1}
