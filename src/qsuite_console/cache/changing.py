"""The few things an operator may change in Redis, each re-checked by the server itself in the step that changes it.

A key is deleted in a transaction that fails when it was touched; a client is killed by id and address together; a
setting is set only from the value that was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ResponseError, WatchError

from qsuite_console.cache.broker import use_at
from qsuite_console.cache.client import Cache
from qsuite_console.cache.inspecting import LENGTHS
from qsuite_console.cache.panels import Look, refusal
from qsuite_console.cache.server import parse_client
from qsuite_console.model.cache import Client
from qsuite_console.model.errors import Conflict, InvalidParameters, NotFound
from qsuite_console.model.keys import escape
from qsuite_console.model.text import clean

# what is safe to change while it runs; settings that name files, passwords or programs are not among them
# fmt: off
SETTINGS: Final = frozenset(
    (
        "active-defrag-cycle-max", "active-defrag-cycle-min", "active-defrag-ignore-bytes",
        "active-defrag-threshold-lower", "active-defrag-threshold-upper", "active-expire-effort", "activedefrag",
        "appendfsync", "appendonly", "auto-aof-rewrite-min-size", "auto-aof-rewrite-percentage",
        "client-output-buffer-limit", "dynamic-hz", "hz", "latency-monitor-threshold", "latency-tracking",
        "lazyfree-lazy-eviction", "lazyfree-lazy-expire", "lazyfree-lazy-server-del", "lazyfree-lazy-user-del",
        "lazyfree-lazy-user-flush", "lfu-decay-time", "lfu-log-factor", "maxclients", "maxmemory",
        "maxmemory-clients", "maxmemory-policy", "maxmemory-samples", "no-appendfsync-on-rewrite", "protected-mode",
        "repl-backlog-size", "repl-timeout", "save", "slowlog-log-slower-than", "slowlog-max-len",
        "stop-writes-on-bgsave-error", "tcp-keepalive", "timeout",
    )
)
# fmt: on


@dataclass(frozen=True, slots=True)
class KeyState:
    """What a key is now: by this it is told whether it still is the one that was looked at."""

    type: str
    length: int | None
    size: int | None
    ttl_s: float | None
    use: str


async def look_at_key(cache: Cache, name: bytes) -> KeyState:
    """Return what is stored under a name; raises NotFound, CacheError."""
    look = Look(cache.panel)
    kind = (await look.ask("TYPE", name)).decode("ascii", "replace")
    if kind == "none":
        raise NotFound(f"no key {escape(name[:100])}", hint="it expired or was deleted meanwhile")
    length = await look.ask(LENGTHS[kind], name) if kind in LENGTHS else None
    life = await look.allowed("its life", "PTTL", name)
    size = await look.allowed("its size", "MEMORY", "USAGE", name, "SAMPLES", 5)
    return KeyState(
        type=kind,
        length=length,
        size=size,
        ttl_s=life / 1000 if life is not None and life >= 0 else None,
        use=await use_at(look, name),
    )


async def delete_key(cache: Cache, name: bytes, *, kind: str, length: int | None) -> None:
    """Unlink a key that still has this type and length; raises NotFound, Conflict, CacheError.

    The key is watched from before the check on, so a change between check and deletion undoes the deletion.
    """
    async with cache.guard() as client, client.pipeline(transaction=True) as driver:
        pipeline: Any = driver
        try:
            await pipeline.watch(name)
            found = (await pipeline.type(name)).decode("ascii", "replace")
            if found == "none":
                raise NotFound(f"no key {escape(name[:100])}", hint="it expired or was deleted meanwhile")
            now = await pipeline.execute_command(LENGTHS[found], name) if found in LENGTHS else None
            if (found, now) != (kind, length):
                raise Conflict(
                    f"the key has changed: {describe(kind, length)} before, {describe(found, now)} now",
                    hint="look at it again; nothing was deleted",
                )
            pipeline.multi()
            pipeline.execute_command("UNLINK", name)
            (gone,) = await pipeline.execute()
        except WatchError as error:
            raise Conflict("the key was written to at this moment", hint="try again; nothing was deleted") from error
        except ResponseError as error:
            raise refusal(error, ("UNLINK",), where=cache.where, user=cache.user) from error
    if gone != 1:
        raise NotFound(f"no key {escape(name[:100])}", hint="it expired at this moment")


def describe(kind: str, length: int | None) -> str:
    """Return "a list of 1,204", "a string of 16 bytes"."""
    if length is None:
        return f"a {clean(kind, 30)}"
    return f"a string of {length:,} bytes" if kind == "string" else f"a {clean(kind, 30)} of {length:,}"


async def find_client(cache: Cache, number: int) -> Client:
    """Return the client of this id; raises NotFound, CacheError."""
    answer = await Look(cache.panel).ask("CLIENT", "LIST")
    found = next(
        (one for one in map(parse_client, answer.decode("utf-8", "replace").splitlines()) if one.id == number), None
    )
    if found is None:
        raise NotFound(f"no client {number}", hint="it has gone meanwhile")
    return found


async def kill_client(cache: Cache, number: int, address: str) -> None:
    """Close the connection of exactly this id and address; raises Conflict, CacheError."""
    async with cache.guard() as client:
        driver: Any = client
        try:
            killed = await driver.execute_command("CLIENT", "KILL", "ID", number, "ADDR", address)
        except ResponseError as error:
            raise refusal(error, ("CLIENT", "KILL"), where=cache.where, user=cache.user) from error
    if killed != 1:
        raise Conflict(f"client {number} at {address} has gone meanwhile", hint="nothing was closed")


async def read_setting(cache: Cache, name: str) -> tuple[str, bool]:
    """Return a setting and whether the server has a file to keep it in; raises InvalidParameters, CacheError."""
    if name not in SETTINGS:
        raise InvalidParameters(
            {"name": f"{clean(name, 60)!r} is not a setting that can be changed here"},
            hint=f"known are {', '.join(sorted(SETTINGS))}",
        )
    look = Look(cache.panel)
    answer = await look.ask("CONFIG", "GET", name)
    if len(answer) < 2:
        raise NotFound(f"this server has no setting {name}", hint="it is newer or older than that")
    info = await look.ask("INFO", "server")
    has_file = any(line.startswith(b"config_file:") and len(line) > len(b"config_file:") for line in info.splitlines())
    return answer[1].decode("utf-8", "replace"), has_file


async def apply_setting(cache: Cache, name: str, value: str, *, was: str) -> str:
    """Set ``name`` if it still is ``was``; return what it is then. Raises Conflict, InvalidParameters, CacheError."""
    now, _ = await read_setting(cache, name)
    if now != was:
        raise Conflict(f"{name} is {now!r} now, no longer {was!r}", hint="look again; nothing was changed")
    async with cache.guard() as client:
        driver: Any = client
        try:
            await driver.execute_command("CONFIG", "SET", name, value)
        except ResponseError as error:
            if "NOPERM" in str(error) or "no permissions" in str(error) or "unknown" in str(error).lower():
                raise refusal(error, ("CONFIG", "SET"), where=cache.where, user=cache.user) from error
            why = clean(str(error).removeprefix("CONFIG SET failed - "), 200)
            raise InvalidParameters({"value": f"{clean(value, 60)!r} was refused: {why}"}) from error
    return (await read_setting(cache, name))[0]


async def slow_length(cache: Cache) -> int:
    """Return how many entries the slow log has; raises CacheError."""
    return int(await Look(cache.panel).ask("SLOWLOG", "LEN"))


async def reset_slowlog(cache: Cache) -> None:
    """Empty the slow log; raises CacheError."""
    async with cache.guard() as client:
        driver: Any = client
        try:
            await driver.execute_command("SLOWLOG", "RESET")
        except ResponseError as error:
            raise refusal(error, ("SLOWLOG", "RESET"), where=cache.where, user=cache.user) from error
