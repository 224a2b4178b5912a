"""A disk of its own that can be filled: a file system in memory that this process alone sees.

It is mounted in a mount namespace of the process, so that it ends with it, however that ends. Where
the process is not root it becomes so in a user namespace; where the kernel allows neither, there is
no disk that can be filled, and `mount()` says so.
"""

import contextlib
import ctypes
import os
import shutil
from pathlib import Path

_NEW_NAMESPACE, _NEW_USER = 0x00020000, 0x10000000
_PRIVATE, _RECURSIVE, _DETACH = 1 << 18, 1 << 14, 2
_LIBC = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_LIBC, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)


def enter_namespace() -> bool:
    """Give this process, which must have one thread, mounts of its own; False if it may not."""
    user, group = os.geteuid(), os.getegid()
    try:
        if user == 0:
            _call("unshare", _NEW_NAMESPACE)
        else:
            _call("unshare", _NEW_NAMESPACE | _NEW_USER)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        _call("mount", None, b"/", None, _PRIVATE | _RECURSIVE, None)
    except (OSError, AttributeError):
        return False
    return True


class Disk:
    """A folder of a bounded size; where that cannot be had, one that is never full."""

    def __init__(self, folder: Path, megabytes: int, *, namespace: bool) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self.bounded = False
        folder.mkdir(mode=0o755)
        if namespace:
            with contextlib.suppress(OSError):
                options = f"size={megabytes}m,mode=755".encode()
                _call("mount", b"clm-chaos", bytes(folder), b"tmpfs", 0, options)
                self.bounded = True

    def fill(self, spare: int) -> None:
        """Leave no more than so many bytes."""
        assert self.bounded
        with self._ballast.open("ab") as file:
            while (free := shutil.disk_usage(self.folder).free - spare) > 0:
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), file.tell(), free)
                file.seek(0, os.SEEK_END)

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it; what is in it is gone."""
        if self.bounded:
            _call("umount2", bytes(self.folder), _DETACH)
