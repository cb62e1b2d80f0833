"""What can go wrong with the cache, told apart by what an operator must do; never holds the URL or the driver's text.

The driver's own messages may quote commands and keys, so only the reply's code and its first line are used.
"""

from __future__ import annotations

from typing import Final

from redis import exceptions

from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean


class CacheError(ConsoleError):
    """The cache refused or failed; ``is_transient`` says whether waiting may help."""


class CacheUnconfigured(CacheError):
    """No cache was named, or its URL can't be read."""


class CacheDown(CacheError):
    """Not reachable, not answering in time, or still loading its data."""

    is_transient = True
    after_s = 2.0


class CacheUnauthorized(CacheError):
    """Wrong or missing password, or a command the user may not run. Trying again can't help."""


class CacheRefused(CacheError):
    """The server is there and said no: out of memory, a replica, a script that blocks it."""


_TRANSIENT_REPLIES: Final = frozenset({"BUSY", "TRYAGAIN", "MASTERDOWN", "CLUSTERDOWN"})
_REPLIES: Final[dict[str, tuple[str, str]]] = {
    "OOM": ("is out of memory and refuses writes", "raise maxmemory, choose an eviction policy or clean up keys"),
    "READONLY": ("is a read-only replica", "point REDIS_URL at the primary"),
    "MISCONF": ("refuses writes because it can't save to disk", "look at its log and free disk space"),
    "BUSY": ("is blocked by a long script", "wait, or SCRIPT KILL on the server"),
    "WRONGTYPE": ("holds a key of another type under this name", "check the key prefix of this target"),
    "NOSCRIPT": ("lost its script cache", "try again"),
    "NOPERM": ("does not let this user run the command", "grant it with ACL SETUSER"),
    "MASTERDOWN": ("is a replica that lost its primary", "check the replication link"),
    "CLUSTERDOWN": ("is a cluster with slots down", "check the cluster's nodes"),
}


def translate(error: BaseException, where: str) -> CacheError:
    """Return what ``error`` of the driver means for the operator; ``where`` is host:port without credentials."""
    if isinstance(error, CacheError):
        return error
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
        return CacheUnauthorized(
            f"the cache at {where} refuses the password",
            hint="check user and password in REDIS_URL; it was tried once only",
        )
    if isinstance(error, exceptions.NoPermissionError):
        return CacheUnauthorized(f"the cache at {where} {_REPLIES['NOPERM'][0]}", hint=_REPLIES["NOPERM"][1])
    if isinstance(error, exceptions.BusyLoadingError):
        return CacheDown(f"the cache at {where} is still loading its data", hint="it answers when that is done")
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return CacheDown(f"the cache at {where} does not answer", hint="it accepts connections but hangs")
    if isinstance(error, exceptions.ConnectionError | OSError):
        return _unreachable(error, where)
    return _replied(error, where)


def _unreachable(error: BaseException, where: str) -> CacheError:
    text = str(error)
    if "max number of clients" in text:
        return CacheDown(f"the cache at {where} has no free client slot", hint="raise maxclients or close clients")
    if "No connection available" in text or "Too many connections" in text:
        return CacheDown("all connections of this console to the cache are busy", hint="try again")
    if "NOAUTH" in text or "WRONGPASS" in text:
        return translate(exceptions.AuthenticationError(), where)
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    why = clean(cause.strerror, 80) if isinstance(cause, OSError) and cause.strerror else "connection lost"
    return CacheDown(f"can't reach the cache at {where}: {why}", hint="is it running? check REDIS_URL")


def _replied(error: BaseException, where: str) -> CacheError:
    if isinstance(error, exceptions.OutOfMemoryError):
        code = "OOM"
    elif isinstance(error, exceptions.ReadOnlyError):
        code = "READONLY"
    elif isinstance(error, exceptions.NoScriptError):
        code = "NOSCRIPT"
    else:
        code = str(error).partition(" ")[0]
    if code in ("NOAUTH", "WRONGPASS"):
        return translate(exceptions.AuthenticationError(), where)
    if code in _REPLIES:
        what, hint = _REPLIES[code]
        refused = CacheRefused(f"the cache at {where} {what}", hint=hint)
        refused.is_transient = code in _TRANSIENT_REPLIES
        return refused
    word = code if code.isalpha() and code.isupper() else type(error).__name__
    return CacheRefused(f"the cache at {where} refused a command ({word})", hint="see the log of the cache server")
