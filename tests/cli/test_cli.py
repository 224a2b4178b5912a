"""The command `clm` as real processes, on databases of their own."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app.children import CLM
from app.cli import commands as cli
from app.postgres import embedded
from app.services.access.keys import SCOPES
from tests.prepared import ENVIRONMENT, copy_of, reachable_folder
from tests.service import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 120.0  # a busy machine; nothing here waits longer than it must


def environment(**changes: str) -> dict[str, str]:
    """Return the environment without settings of the caller, and with these."""
    # So many processes would take long if none might keep the bytecode it compiles.
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CLM_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return clean | ENVIRONMENT | {"COLUMNS": "200"} | changes


def clm(*words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLM, *words],
        env=environment(**changes),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def message_of(code: object, stdout: str, stderr: str) -> str:
    """Check that a command failed with one line of explanation; return the line."""
    assert code in (1, 2), stdout + stderr
    assert "Traceback" not in stdout + stderr
    assert stderr.startswith("clm: ")
    assert stderr.count("\n") == 1
    return stderr


def refused(*words: str, **changes: str) -> str:
    """Run a command that must fail; return the message."""
    done = clm(*words, **changes)
    return message_of(done.returncode, done.stdout, done.stderr)


Run = Callable[..., subprocess.CompletedProcess[str]]
Refuse = Callable[..., str]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command in this process, as to start another takes seconds."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(*words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patched:
            patched.setenv("COLUMNS", "200")  # for who has taken hold of the environment before
            patched.setattr(os, "environ", environment(**changes))
            patched.setattr(sys, "argv", ["clm", *words])
            with pytest.raises(SystemExit) as exit_:
                cli.main()
        status = exit_.value.code or 0
        assert isinstance(status, int)
        return subprocess.CompletedProcess(words, status, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, handler)  # `serve` sets its own


@pytest.fixture
def refused_here(run_here: Run) -> Refuse:
    """Run a command that must fail in this process; return the message."""

    def run(*words: str, **changes: str) -> str:
        done = run_here(*words, **changes)
        return message_of(done.returncode, done.stdout, done.stderr)

    return run


async def run_sql(url: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        found: list[Any] = await connection.fetch(statement)
        return found
    finally:
        await connection.close()


def ask_sql(url: str, statement: str) -> list[Any]:
    return asyncio.run(run_sql(url, statement))


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_is_made_listed_and_revoked(
    own_url: str, run_here: Run, refused_here: Refuse
) -> None:
    made = run_here("keys", "create", "--name", "王", "--scopes", "scores:read, admin",
                    "--expires-in-days", "30", CLM_DATABASE_URL=own_url)  # fmt: skip
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert re.fullmatch(r"clm_[A-Za-z0-9]{8}_[A-Za-z0-9]{32}_[A-Za-z0-9]{6}", key)
    _, key_id, secret, _ = key.split("_")
    listed = run_here("keys", "list", CLM_DATABASE_URL=own_url)
    assert (listed.returncode, secret in listed.stdout) == (0, False)
    for word in (key_id, "王", "admin, scores:read"):
        assert word in listed.stdout
    assert key_id in refused_here("keys", "revoke", key_id, CLM_DATABASE_URL=own_url)
    revoked = run_here("keys", "revoke", key_id, "--force", CLM_DATABASE_URL=own_url)
    assert (revoked.returncode, revoked.stdout) == (0, f"revoked {key_id}\n")
    assert key_id in refused_here("keys", "revoke", key_id, CLM_DATABASE_URL=own_url)
    [row] = ask_sql(own_url, "SELECT revoked_at, expires_at - created_at AS life FROM api_keys")
    assert row["revoked_at"] is not None
    assert row["life"].days == 30
    done = ask_sql(
        own_url, "SELECT actor, operation, ids FROM audit_entries WHERE operation <> 'migrate'"
    )
    named = json.dumps({"key_id": key_id})
    assert [tuple(each) for each in done] == [
        ("cli", "create_key", named), ("cli", "revoke_key", named),
    ]  # fmt: skip


def test_a_key_is_shown_and_rotated(own_url: str, run_here: Run) -> None:
    def run(*words: str) -> str:
        done = run_here("keys", *words, CLM_DATABASE_URL=own_url)
        assert done.returncode == 0, done.stderr
        return done.stdout

    limits = ("--rate-per-second", "20", "--burst", "40")
    first = run("create", "--name", "shop", "--scopes", "scores:read", *limits).strip()
    key_id = first.split("_")[1]
    assert "rate_per_second: 20.0\nburst: 40" in run("get", key_id)
    second = run("rotate", key_id, "--previous-ends-in-hours", "24").strip()
    assert second.split("_")[:2] == first.split("_")[:2]
    assert second != first
    assert "previous_secret_valid: True" in run("get", key_id)
    assert "removed the previous secret" in run("remove-secret", key_id)
    assert "previous_secret_valid: False" in run("get", key_id)


def test_an_unknown_scope_is_refused_with_those_that_exist(
    own_url: str, refused_here: Refuse
) -> None:
    for scopes in ("scores:reed", "", "scores:read,,admin"):
        message = refused_here(
            "keys", "create", "--name", "x", "--scopes", scopes, CLM_DATABASE_URL=own_url
        )
        assert all(scope in message for scope in SCOPES)
    assert ask_sql(own_url, "SELECT key_id FROM api_keys") == []


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"CLM_TIMEZONE": "UTC"}, ["unknown settings", "CLM_TIMEZONE"]),
        ({"CLM_TIME_ZONE": "Mars/Base"}, ["CLM_TIME_ZONE", "Mars/Base", "IANA"]),
        ({"CLM_CURRENCY": "euro"}, ["CLM_CURRENCY"]),
        ({"CLM_COUNTRY": "Germany"}, ["CLM_COUNTRY"]),
        ({"CLM_PORT": "eighty"}, ["CLM_PORT"]),
        ({"CLM_DATABASE_URL": "mysql://x/y"}, ["CLM_DATABASE_URL", "postgresql://"]),
        ({"CLM_EMBEDDED": "false"}, ["CLM_DATABASE_URL is not set"]),
        ({"CLM_SCORING_EVERY": "often"}, ["CLM_SCORING_EVERY", "24h", "off"]),
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant_are_refused(
    refused_here: Refuse, changes: dict[str, str], words: list[str]
) -> None:
    for command in (["worker"], ["migrate"], ["keys", "list"]):
        message = refused_here(*command, **changes)
        assert all(word in message for word in words), message


def test_serve_starts_nothing_with_settings_that_cannot_be_meant(refused_here: Refuse) -> None:
    with reachable_folder() as path:
        data = str(path / "data")
        assert "CLM_PROT" in refused("serve", CLM_DATA_DIR=data, CLM_PROT="1")
        assert "CLM_DATABASE_URL" in refused_here("serve", CLM_DATA_DIR=data, CLM_EMBEDDED="false")
        assert not (path / "data").exists()


def test_another_zone_or_currency_than_the_stored_one_is_refused(
    own_url: str, refused_here: Refuse
) -> None:
    for command in (["worker"], ["migrate"], ["keys", "list"]):
        message = refused_here(*command, CLM_DATABASE_URL=own_url, CLM_TIME_ZONE="Asia/Shanghai")
        assert "CLM_TIME_ZONE=Europe/Berlin" in message
        assert "Asia/Shanghai" in message
    message = refused_here("serve", CLM_DATABASE_URL=own_url, CLM_CURRENCY="CNY")
    assert "CLM_CURRENCY=EUR" in message


def test_zone_and_currency_of_a_database_need_not_be_repeated(own_url: str, run_here: Run) -> None:
    for command in (["migrate"], ["keys", "list"]):
        done = run_here(*command, CLM_DATABASE_URL=own_url, CLM_TIME_ZONE="", CLM_CURRENCY="")
        assert done.returncode == 0, done.stderr


def test_a_database_that_cannot_be_reached_is_told_without_a_password(
    refused_here: Refuse,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://clm:hush-hush@127.0.0.1:{unused.getsockname()[1]}/clm"
        message = refused_here("migrate", CLM_DATABASE_URL=url)
    assert "cannot use the database" in message
    assert "hush-hush" not in message


# --- migrate -------------------------------------------------------------------------------------


def test_a_database_is_migrated_before_it_is_served(
    own_url: str, run_here: Run, refused_here: Refuse
) -> None:
    ask_sql(own_url, "DELETE FROM alembic_version")
    assert "clm migrate" in refused_here("serve", CLM_DATABASE_URL=own_url)
    ask_sql(own_url, "DROP SCHEMA public CASCADE")
    ask_sql(own_url, "CREATE SCHEMA public")
    assert "clm migrate" in refused_here("worker", CLM_DATABASE_URL=own_url)
    for _ in range(2):
        done = run_here("migrate", CLM_DATABASE_URL=own_url.replace("+asyncpg", ""))
        assert (done.returncode, done.stdout) == (0, "the schema is the newest\n"), done.stderr
    assert run_here("keys", "list", CLM_DATABASE_URL=own_url).returncode == 0


def test_the_version_and_the_help_need_no_database(run_here: Run) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", clm("version").stdout)
    shown = run_here("--help")
    assert shown.returncode == 0
    for command in ("serve", "worker", "migrate", "keys", "demo"):
        assert command in shown.stdout


# --- serve ---------------------------------------------------------------------------------------


def until(fits: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until this is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := fits()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
    return found


def descendants(pid: int) -> dict[int, str]:
    """Return the processes below one, each with its command line."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                commands[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            parents[int(entry.name)] = int(stat[1])
    below = {pid}
    while more := {each for each, parent in parents.items() if parent in below} - below:
        below |= more
    return {each: commands[each] for each in below - {pid}}


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Serving:
    """A running `clm serve`."""

    def __init__(self, folder: Path, *words: str, before: str = "", **changes: str) -> None:
        self.port = free_port()
        self.admin_port = changes.get("CLM_ADMIN_PORT")
        url = f"http://127.0.0.1:{self.port}"
        # To be able to verify certificates would take longer than all questions.
        self.client = httpx.Client(base_url=url, trust_env=False, verify=False)
        self.log = folder / "serve.log"
        with self.log.open("w") as log:
            code = f"{before}; from app.cli.commands import main; main()"
            program = [sys.executable, "-c", code] if before else CLM
            self.process = subprocess.Popen(
                [*program, "serve", "--port", str(self.port), *words],
                env=environment(**changes),
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str, **headers: str) -> httpx.Response | None:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.client.get(path, headers=headers)
        except httpx.TransportError:
            return None

    def is_ready(self) -> bool:
        answer = self.get("/readyz")
        return answer is not None and answer.status_code == 200

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]

    def end(self) -> None:
        """End what is left of it, whatever happened."""
        self.client.close()
        left = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in left:
            if lives(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def made(prepared: Path) -> Iterator[Path]:
    """A folder whose data folder has a cluster in it, so that each start need not make one."""
    with reachable_folder() as path:
        copy_of(prepared, path / "data")
        yield path


@pytest.fixture(scope="module")
def begun() -> Iterator[list[Serving]]:
    """Services that the tests of this file have begun; the last one may still run."""
    found: list[Serving] = []
    yield found
    for each in found:
        each.end()


@pytest.fixture
def serving(made: Path, begun: list[Serving]) -> Serving:
    """A service with a worker on its embedded database, ready: that of the test before, if left."""
    if not begun or begun[-1].process.poll() is not None:
        begun.append(Serving(made, CLM_DATA_DIR=str(made / "data")))
    until(begun[-1].is_ready)
    until(lambda: any("clm_service worker" in each for each in tree_of(begun[-1]).values()))
    return begun[-1]


def tree_of(serving: Serving) -> dict[int, str]:
    return descendants(serving.process.pid)


def test_serve_answers_and_other_commands_use_its_database(
    serving: Serving, made: Path, run_here: Run, refused_here: Refuse
) -> None:
    data = str(made / "data")
    key = run_here("keys", "create", "--name", "k", "--scopes", "admin", CLM_DATA_DIR=data)
    assert key.returncode == 0, key.stderr
    info = serving.get("/v1/info", Authorization=f"Bearer {key.stdout.strip()}")
    assert info is not None
    assert (info.status_code, info.json()["time_zone"]) == (200, "Europe/Berlin")
    assert run_here("migrate", CLM_DATA_DIR=data).returncode == 0
    second = refused_here("serve", "--port", str(free_port()), CLM_DATA_DIR=data)
    assert f"in use by process {serving.process.pid}" in second
    assert serving.is_ready()


def test_a_worker_that_dies_is_started_again(serving: Serving) -> None:
    def workers() -> set[int]:
        return {pid for pid, each in tree_of(serving).items() if "clm_service worker" in each}

    (first,) = workers()
    os.kill(first, signal.SIGKILL)
    until(lambda: bool(workers() - {first}))
    assert serving.is_ready()


def test_sigterm_stops_the_api_then_the_worker_then_the_database(serving: Serving) -> None:
    below = tree_of(serving)
    assert any("clm_service worker" in each for each in below.values())
    assert any("postgres" in each for each in below.values())
    serving.process.send_signal(signal.SIGTERM)
    assert serving.process.wait(PATIENCE) == 0, serving.log.read_text()
    assert not [each for pid, each in below.items() if lives(pid)]
    log = serving.log.read_text()
    assert "Traceback" not in log
    # A worker whose database went first would say so.
    assert "database away" not in log


def _postmaster(folder: Path) -> int:
    return int((folder / "data/postgres/postmaster.pid").read_text().split()[0])


def test_a_database_that_dies_is_started_again(serving: Serving, made: Path) -> None:
    until(lambda: "worker started" in serving.log.read_text())
    worker = [pid for pid, each in tree_of(serving).items() if "clm_service worker" in each]
    for _ in range(2):
        os.kill(victim := _postmaster(made), signal.SIGKILL)
        until(lambda victim=victim: _postmaster(made) != victim and serving.is_ready())
    assert [pid for pid, each in tree_of(serving).items() if "clm_service worker" in each] == worker


def test_nothing_outlives_a_serve_that_is_killed_and_it_starts_again(
    serving: Serving, made: Path, begun: list[Serving]
) -> None:
    below = tree_of(serving)
    assert len(below) >= 2
    serving.process.kill()
    serving.process.wait()
    until(lambda: not [each for pid, each in below.items() if lives(pid)])
    begun.append(Serving(made, CLM_DATA_DIR=str(made / "data")))
    until(begun[-1].is_ready)


def test_ctrl_c_stops_it_as_well(serving: Serving) -> None:
    below = tree_of(serving)
    serving.process.send_signal(signal.SIGINT)
    assert serving.process.wait(PATIENCE) == 0, serving.log.read_text()
    assert not [each for pid, each in below.items() if lives(pid)]
    assert "Traceback" not in serving.log.read_text()


def test_a_database_that_cannot_be_started_again_ends_the_service_with_a_line(
    prepared: Path,
) -> None:
    with reachable_folder() as folder:
        copy_of(prepared, folder / "data")
        failing = "from app.postgres import embedded; embedded.RETRY_SECONDS = (0, 0)"
        serving = Serving(folder, CLM_DATA_DIR=str(folder / "data"), before=failing)
        try:
            until(lambda: serving.is_ready() and "worker started" in serving.log.read_text())
            (folder / "data/postgres/PG_VERSION").write_text("9.6\n")
            os.kill(_postmaster(folder), signal.SIGKILL)
            assert serving.process.wait(PATIENCE) == 2
            log = serving.log.read_text()
            assert "Traceback" not in log
            (line,) = [line for line in log.splitlines() if line.startswith("clm: ")]
            assert "could not be started again in 3 tries; see" in line
            assert not tree_of(serving)
        finally:
            serving.end()


def test_a_worker_alone_keeps_its_database_too_and_sigterm_ends_it(prepared: Path) -> None:
    with reachable_folder() as folder:
        copy_of(prepared, folder / "data")
        settings = environment(CLM_DATA_DIR=str(folder / "data"))
        process = subprocess.Popen(
            [*CLM, "worker"], env=settings, cwd=REPOSITORY, stdout=subprocess.DEVNULL
        )
        try:
            url = until(lambda: embedded.running(folder / "data")).replace("+asyncpg", "")
            working = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'clm-worker'"
            until(lambda: ask_sql(url, working))  # it keeps its database by then
            os.kill(victim := _postmaster(folder), signal.SIGKILL)
            until(lambda: embedded.running(folder / "data") and _postmaster(folder) != victim)
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def test_before_it_closes_it_says_for_a_while_that_it_is_not_ready(own_url: str) -> None:
    with reachable_folder() as path:
        found = Serving(path, "--no-worker", CLM_DATABASE_URL=own_url, CLM_DRAIN_SECONDS="4")
        try:
            until(found.is_ready)
            assert not tree_of(found)
            found.process.send_signal(signal.SIGTERM)
            until(lambda: not found.is_ready(), 3)
            ready, alive = found.get("/readyz"), found.get("/livez")
            assert ready is not None
            assert (ready.status_code, ready.json()["code"]) == (503, "draining")
            assert alive is not None
            assert alive.status_code == 200
            assert found.process.wait(PATIENCE) == 0
        finally:
            found.end()


async def test_ctrl_c_ends_a_worker_alone(own_url: str) -> None:
    process = subprocess.Popen(
        [*CLM, "worker"],
        env=environment(CLM_DATABASE_URL=own_url),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        at_work = "SELECT FROM pg_stat_activity WHERE application_name = 'clm-worker'"
        deadline = time.monotonic() + PATIENCE
        while not await run_sql(own_url, at_work):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=PATIENCE)[0]
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert b"Traceback" not in output


def test_a_port_in_use_is_told_and_nothing_is_left(own_url: str) -> None:
    with reachable_folder() as path, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = Serving(path, "--port", str(taken.getsockname()[1]), CLM_DATABASE_URL=own_url)
        try:
            below: dict[int, str] = {}
            until(lambda: below.update(tree_of(found)) or found.process.poll() is not None)
            assert found.process.returncode not in (0, None)
            assert "address already in use" in found.log.read_text()
            assert not [each for pid, each in below.items() if lives(pid)]
        finally:
            found.end()
