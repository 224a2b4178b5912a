"""The folder of the demo: one demo at a time, emptied at each start."""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from app.demo.errors import DemoError
from app.postgres import embedded

LOCK = "demo.lock"
_LEFTOVER_SECONDS = 10  # the server of a killed demo may still be closing


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[int]:
    """Take the folder and empty it; yield the lock, which a server may hold along.

    The lock file also marks the folder as the demo's own: no other folder is ever emptied.
    """
    lock = _take(folder)
    try:
        if embedded.running(folder) is not None:
            raise DemoError(f"a server runs on {folder}: stop it, or choose another CLM_DATA_DIR")
        for path in folder.iterdir():
            if path.name == LOCK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        yield lock
    finally:
        os.close(lock)


def _take(folder: Path) -> int:
    _make(folder)
    if not (folder / LOCK).exists() and any(folder.iterdir()):
        raise DemoError(
            f"{folder} was not made by a demo, which would empty it: move it away, "
            "or choose another CLM_DATA_DIR"
        )
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + _LEFTOVER_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _ended(lock) and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            owner = _owner(lock)
            os.close(lock)
            raise DemoError(
                f"another demo runs on {folder} (process {owner}): "
                "stop it, or choose another CLM_DATA_DIR"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return lock


def _owner(lock: int) -> int:
    return int(os.pread(lock, 20, 0) or b"0")


def _ended(lock: int) -> bool:
    """Whether the demo that took the lock is gone, and only its server still holds it."""
    try:
        os.kill(_owner(lock), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _make(folder: Path) -> None:
    """Make what is missing; root's database runs as another user, who has to pass."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)
