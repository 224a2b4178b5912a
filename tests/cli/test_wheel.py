"""The wheel in an environment of its own, beside packages that have the names of its folders."""

import asyncio
import os
import signal
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path

import asyncpg
import pytest

from app import config
from tests.service import free_port, wait_until_ready

REPOSITORY = Path(__file__).parents[2]


def run(*words: str | Path, cwd: Path, **changes: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLM_")}
    done = subprocess.run(
        words, cwd=cwd, env=clean | changes, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    run(*build, cwd=REPOSITORY)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside of the repository that holds packages with common names."""
    folder = tmp_path_factory.mktemp("elsewhere")
    clash(folder)
    return folder


def clash(folder: Path) -> None:
    """Put packages of other people into a folder, which nobody should import."""
    for name in ("app", "migrations"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('this is not CLM')\n")


@pytest.fixture(scope="module")
def clm(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an installed wheel; what it depends on is that of this environment."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    clash(packages)
    # Paths of such a file are searched, but their own such files, with the repository, are not.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps")
    run(*pip, wheel, cwd=home)
    return home / "bin" / "clm"


def test_the_wheel_takes_one_name(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    own = f"clm_service-{config.VERSION}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"clm_service", own}
    assert not [name for name in names if "__pycache__" in name or "tests/" in name]
    for kept in ("migrations/env.py", "migrations/script.py.mako", "app/sample/prospects.csv"):
        assert f"clm_service/{kept}" in names


def test_the_command_starts_beside_packages_with_the_names_of_its_folders(
    clm: Path, elsewhere: Path
) -> None:
    assert "migrate" in run(clm, "--help", cwd=elsewhere)
    module = (clm.with_name("python"), "-m", "clm_service")
    assert run(*module, "version", cwd=elsewhere) == f"{config.VERSION}\n"


async def test_an_installed_service_migrates_and_serves_with_its_worker(
    clm: Path, elsewhere: Path, own_url: str
) -> None:
    database = await asyncpg.connect(own_url.replace("+asyncpg", ""))
    await database.execute("DROP SCHEMA public CASCADE")
    await database.execute("CREATE SCHEMA public")
    settings = {"CLM_DATABASE_URL": own_url, "CLM_SCORING_EVERY": "off"}
    assert run(clm, "migrate", cwd=elsewhere, **settings) == "the schema is the newest\n"
    port = free_port()
    environment = {**os.environ, **settings}
    process = subprocess.Popen([clm, "serve", "--port", str(port)], cwd=elsewhere, env=environment)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", process)
        at_work = "SELECT FROM pg_stat_activity WHERE application_name = 'clm-worker'"
        give_up = time.monotonic() + 40
        while not await database.fetch(at_work):
            assert time.monotonic() < give_up, "no worker"
            await asyncio.sleep(0.1)
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(40)
        await database.close()
    assert status == 0
