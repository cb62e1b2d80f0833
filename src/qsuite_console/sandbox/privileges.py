"""Runs PostgreSQL for root: it refuses to run as root, so the child becomes ``nobody`` and nothing else changes.

Where ``nobody`` could not even reach the files (a virtual environment under /root), the child keeps one capability,
CAP_DAC_OVERRIDE, rather than our opening other people's directories.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

USER: Final = "nobody"
_CAP_DAC_OVERRIDE: Final = 1
_CAPABILITY_VERSION_3: Final = 0x20080522
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_KEEPCAPS: Final = 8
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2


def server_user() -> pwd.struct_passwd | None:
    """Return the user a server started by root runs as, None when we are not root."""
    return pwd.getpwnam(USER) if os.geteuid() == 0 else None


def give_away(path: Path) -> None:
    """Make the server's user the owner of ``path`` when we are root."""
    if (user := server_user()) is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def unreachable(paths: tuple[Path, ...]) -> Path | None:
    """Return the first directory above ``paths`` that the server's user can't search, None when all can be reached."""
    user = server_user()
    if user is None:
        return None
    for path in paths:
        for parent in reversed(path.resolve().parents):
            status = parent.stat()
            needed = stat.S_IXUSR if status.st_uid == user.pw_uid else stat.S_IXOTH
            if not status.st_mode & needed:
                return parent
    return None


def prepare_child(*, paths: tuple[Path, ...], is_server: bool, ends_with: signal.Signals | None) -> Callable[[], None]:
    """Return what a child does between fork and exec.

    ``is_server``: give root up. ``ends_with``: the signal it gets when its parent dies (Linux).
    """
    user = server_user() if is_server else None
    is_blocked = user is not None and unreachable(paths) is not None
    # Loaded here, not in the child: between fork and exec nothing may take a lock of the parent's.
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def prepare() -> None:
        if user is not None:
            if libc is not None and is_blocked:
                _check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            if libc is not None and is_blocked:
                _keep_access(libc)
        if libc is not None and ends_with is not None:  # last: a change of user clears it
            _check(libc.prctl(_PR_SET_PDEATHSIG, int(ends_with), 0, 0, 0))

    return prepare


def _keep_access(libc: ctypes.CDLL) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    mask = 1 << _CAP_DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable; low word then high
    _check(libc.capset(header, sets))
    _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
