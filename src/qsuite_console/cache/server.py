"""What one server says of itself, for the panels: INFO, slow log, clients. Parsed here, turned into rates above.

Arguments of slow commands are shown only where they are names and ranges; values that were written stay hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from qsuite_console.cache.panels import Look, parse_info
from qsuite_console.model.advice import Unread
from qsuite_console.model.cache import Client, SlowCall, Spike
from qsuite_console.model.keys import escape
from qsuite_console.model.text import clean

MOST_SLOW: Final = 128
MOST_CLIENTS: Final = 10_000  # above that listing them holds the server up for tens of milliseconds
OURS: Final = "qsuite-console"
_BIG: Final = 1000  # elements asked for at once that make a range harmful
_SHOWN: Final = 8  # arguments
# fmt: off
_READING: Final = frozenset(
    (
        "KEYS", "SCAN", "GET", "MGET", "HGETALL", "HGET", "HMGET", "HKEYS", "HVALS", "HSCAN", "SMEMBERS", "SSCAN",
        "SINTER", "SUNION", "SDIFF", "LRANGE", "LLEN", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE",
        "ZSCAN", "XRANGE", "XREVRANGE", "XREAD", "SORT", "SORT_RO", "EXISTS", "TYPE", "TTL", "PTTL", "DEL", "UNLINK",
        "EXPIRE", "INFO", "FLUSHALL", "FLUSHDB", "DBSIZE", "RANDOMKEY", "STRLEN", "SCARD", "ZCARD", "XLEN", "HLEN",
        "MEMORY", "OBJECT", "SLOWLOG", "LATENCY", "CLIENT", "BRPOP", "BLPOP", "SELECT", "PING", "SAVE", "BGSAVE",
        "BGREWRITEAOF",
    )
)
# fmt: on
_SECRET: Final = frozenset({"AUTH", "HELLO", "ACL", "MIGRATE"})
_STATES: Final = (
    ("b", "blocked"),
    ("P", "pub/sub"),
    ("S", "replica"),
    ("M", "primary"),
    ("c", "closing"),
    ("x", "MULTI"),
)
_HARMFUL: Final = {
    "KEYS": "walks over every key while all others wait: use SCAN",
    "FLUSHALL": "deletes everything while all others wait: use FLUSHALL ASYNC",
    "FLUSHDB": "deletes a whole database while all others wait: use FLUSHDB ASYNC",
    "SMEMBERS": "reads a whole set at once: use SSCAN",
    "HGETALL": "reads a whole hash at once: use HSCAN or HMGET",
    "HVALS": "reads a whole hash at once: use HSCAN",
    "HKEYS": "reads a whole hash at once: use HSCAN",
    "SORT": "sorts while all others wait: keep a sorted set",
    "SAVE": "saves while all others wait: use BGSAVE",
    "DEBUG": "is not for a server in use",
    "MONITOR": "doubles the work of every command",
}
_RANGES: Final = frozenset({"LRANGE", "ZRANGE", "ZREVRANGE"})


async def read_info(look: Look) -> dict[str, Any]:
    """Return all of INFO, flat; raises CacheError."""
    return parse_info(await look.ask("INFO", "everything"))


async def setting(look: Look, name: str) -> str | None:
    """Return one setting, None where it may not be read or there is none of that name; raises CacheError."""
    answer = await look.allowed("settings (CONFIG GET)", "CONFIG", "GET", name)
    return clean(answer[1].decode("utf-8", "replace"), 300) if answer and len(answer) >= 2 else None


def not_covered(info: Mapping[str, Any]) -> list[Unread]:
    """Return what one connection to this kind of server can't show."""
    mode = info.get("redis_mode") or info.get("server_mode")
    if info.get("cluster_enabled") == 1 or mode == "cluster":
        return [
            Unread(
                what="the other nodes of the cluster",
                why="the console asks one node: figures and keys are that node's",
                hint="point REDIS_URL at the node you want to see",
            )
        ]
    if mode == "sentinel":
        return [
            Unread(
                what="keys and memory",
                why="this is a Sentinel: it watches servers and holds no data",
                hint="point REDIS_URL at the primary it names: SENTINEL GET-MASTER-ADDR-BY-NAME",
            )
        ]
    return []


async def read_slow(look: Look) -> list[SlowCall] | None:
    """Return the newest entries of the slow log, None where they may not be read; raises CacheError."""
    answer = await look.allowed("the slow log", "SLOWLOG", "GET", MOST_SLOW)
    return None if answer is None else [_slow(entry) for entry in answer]


async def read_spikes(look: Look) -> list[Spike]:
    """Return the latency events the server noted; raises CacheError."""
    answer = await look.allowed("latency events", "LATENCY", "LATEST")
    return [
        Spike(event=escape(name), at=datetime.fromtimestamp(at, UTC), latest_ms=float(last), worst_ms=float(worst))
        for name, at, last, worst, *_ in answer or ()
    ]


async def read_clients(look: Look, connected: float | None) -> list[Client] | None:
    """Return who is connected, most memory first; None where that may not be asked; raises CacheError."""
    if connected is not None and connected > MOST_CLIENTS:
        look.unread.append(
            Unread(
                what="the list of clients",
                why=f"{connected:,.0f} are connected; listing them all would hold the server up",
                hint="redis-cli CLIENT LIST TYPE pubsub, or by ID",
            )
        )
        return None
    answer = await look.allowed("the list of clients", "CLIENT", "LIST")
    if answer is None:
        return None
    found = [parse_client(line.decode("utf-8", "replace")) for line in answer.splitlines() if line]
    return sorted(found, key=lambda one: (-(one.memory or 0), one.id))


def parse_client(line: str) -> Client:
    """Return one line of CLIENT LIST; fields that this server does not have are None."""
    said = {name: value for name, _, value in (part.partition("=") for part in line.split(" "))}
    flags, name = said.get("flags", ""), clean(said.get("name", ""), 80)
    subscriptions = sum(_whole(said.get(one)) or 0 for one in ("sub", "psub", "ssub"))
    library = " ".join(part for part in (said.get("lib-name", ""), said.get("lib-ver", "")) if part)
    return Client(
        id=_whole(said.get("id")) or 0,
        address=clean(said.get("addr", ""), 80),
        name=name,
        library=clean(library, 40),
        user=clean(said.get("user", ""), 40),
        database=_whole(said.get("db")),
        age_s=_whole(said.get("age")),
        idle_s=_whole(said.get("idle")),
        command=clean(said.get("cmd", "").replace("|", " "), 40).upper(),
        memory=_whole(said.get("tot-mem")),
        output=_whole(said.get("omem")),
        subscriptions=subscriptions,
        state=", ".join(word for flag, word in _STATES if flag in flags),
        is_ours=name == OURS or name.startswith(f"{OURS}/"),
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


def _slow(entry: Sequence[Any]) -> SlowCall:
    number, at, microseconds, words, *origin = entry
    address, name = (*(escape(one) for one in origin), "", "")[:2]
    return SlowCall(
        id=number,
        at=datetime.fromtimestamp(at, UTC),
        ms=microseconds / 1000,
        command=clean(words[0].decode("utf-8", "replace"), 30).upper(),
        arguments=arguments(words),
        client=name or address,
        problem=problem(words),
    )


def arguments(words: Sequence[bytes]) -> str:
    """Return what may be shown of a command's arguments: names and ranges, never values or secrets."""
    command = words[0].decode("ascii", "replace").upper()
    if command in _SECRET:
        return "(hidden)" if len(words) > 1 else ""
    shown = words[1 : 1 + (_SHOWN if command in _READING else 1)]
    parts = [escape(word[:64]) + ("…" if len(word) > 64 else "") for word in shown]
    hidden = len(words) - 1 - len(shown)
    if hidden > 0:
        parts.append(f"+{hidden} more" if command in _READING else f"(+{hidden} hidden)")
    return " ".join(parts)


def problem(words: Sequence[bytes]) -> str:
    """Return why a slow command is one that should not be used like that, "" for any other."""
    command = words[0].decode("ascii", "replace").upper()
    if command in ("FLUSHALL", "FLUSHDB") and any(word.upper() == b"ASYNC" for word in words[1:]):
        return ""
    if command in _RANGES and len(words) >= 4:
        try:
            first, last = int(words[2]), int(words[3])
        except ValueError:
            return ""
        is_big = (last == -1 and first >= 0) or last - first >= _BIG
        return "reads a long range at once: read pages" if is_big else ""
    return _HARMFUL.get(command, "")
