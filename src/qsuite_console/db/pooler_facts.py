"""The rows of PgBouncer's SHOW commands as facts, and what grew between two looks. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from qsuite_console.db.pooler import CONSOLE, Rows
from qsuite_console.db.pooler_wire import Row
from qsuite_console.model.pooler import Passage, Pool, PoolerClient, PoolerSetting
from qsuite_console.model.text import clean

COUNTERS: Final = (
    "total_xact_count",
    "total_query_count",
    "total_received",
    "total_sent",
    "total_xact_time",
    "total_query_time",
    "total_wait_time",
)
_OTHER_SERVERS: Final = ("sv_active_cancel", "sv_being_canceled", "sv_used", "sv_tested", "sv_login")
_HIDDEN: Final = frozenset({"conffile", "auth_file", "auth_query", "logfile", "pidfile", "user", "job_name"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerFacts:
    """One look at PgBouncer. ``counters``: database -> counter -> its total since PgBouncer started."""

    version: tuple[int, int, int]
    pools: tuple[Pool, ...]
    databases: Sequence[Row]
    waiting: tuple[PoolerClient, ...]
    clients: int
    config: Mapping[str, str]
    settings: tuple[PoolerSetting, ...]
    counters: Mapping[str, Mapping[str, float]]

    @property
    def version_text(self) -> str:
        """Return "1.18.0", "" of a version that can't be read."""
        return ".".join(str(part) for part in self.version) if any(self.version) else ""

    def limit(self, name: str) -> int | None:
        """Return a limit of the configuration, None where it is 0 (unlimited) or unknown."""
        text = self.config.get(name, "")
        return int(text) if text.isdigit() and int(text) > 0 else None

    def total(self) -> Mapping[str, float]:
        """Return the counters of all databases together."""
        return {name: sum(one[name] for one in self.counters.values()) for name in COUNTERS}


def facts_of(shown: Mapping[str, Rows], now: datetime) -> PoolerFacts:
    """Return the facts of ``{"POOLS": rows, …}``; the console's own database is left out."""
    config = {row["key"] or "": row["value"] or "" for row in shown["CONFIG"]}
    databases = [row for row in shown["DATABASES"] if row["name"] != CONSOLE]
    clients = [row for row in shown["CLIENTS"] if row["database"] != CONSOLE]
    return PoolerFacts(
        version=_version(shown["VERSION"]),
        pools=tuple(_pool(row, databases, config) for row in shown["POOLS"] if row["database"] != CONSOLE),
        databases=databases,
        waiting=tuple(
            sorted(
                (_client(row, now) for row in clients if row["state"] == "waiting"),
                key=lambda client: -client.wait_s,
            )
        ),
        clients=len(clients),
        config=config,
        settings=tuple(_settings(shown["CONFIG"])),
        counters={
            clean(row["database"], 63): {name: _number(row, name) for name in COUNTERS}
            for row in shown["STATS"]
            if row["database"] != CONSOLE
        },
    )


def passages(facts: PoolerFacts, before: PoolerFacts | None, seconds: float) -> tuple[Passage, ...]:
    """Return what went through to each database between two looks, busiest first; no rates without an earlier one."""
    known = {clean(row["name"], 63): row for row in facts.databases}
    names = sorted({*known, *facts.counters})
    found = (_passage(name, known.get(name), grown(facts, before, name), seconds) for name in names)
    return tuple(sorted(found, key=lambda one: -(one.queries_per_s or 0.0)))


def grown(facts: PoolerFacts, before: PoolerFacts | None, name: str) -> Mapping[str, float] | None:
    """Return each counter's growth for a database, None when there is no earlier look or PgBouncer restarted."""
    if before is None or name not in facts.counters:
        return None
    old = before.counters.get(name, dict.fromkeys(COUNTERS, 0.0))  # a database appears with its first client
    found = {counter: value - old[counter] for counter, value in facts.counters[name].items()}
    return None if any(value < 0 for value in found.values()) else found


def _passage(name: str, row: Row | None, more: Mapping[str, float] | None, seconds: float) -> Passage:
    limit = int(_number(row, "max_connections")) if row is not None else 0
    base = Passage(
        database=name,
        connections=int(_number(row, "current_connections")) if row is not None else 0,
        connections_limit=limit or None,
        is_paused=row is not None and _number(row, "paused") > 0,
    )
    if more is None or seconds <= 0:
        return base
    transactions, queries = more["total_xact_count"], more["total_query_count"]
    return Passage(
        database=base.database,
        connections=base.connections,
        connections_limit=base.connections_limit,
        is_paused=base.is_paused,
        transactions_per_s=transactions / seconds,
        queries_per_s=queries / seconds,
        received_per_s=more["total_received"] / seconds,
        sent_per_s=more["total_sent"] / seconds,
        transaction_ms=more["total_xact_time"] / transactions / 1000 if transactions else None,
        query_ms=more["total_query_time"] / queries / 1000 if queries else None,
        wait_ms=more["total_wait_time"] / transactions / 1000 if transactions else None,
    )


def _version(rows: Rows) -> tuple[int, int, int]:
    text = next((value or "" for row in rows for value in row.values()), "")
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


def _pool(row: Row, databases: Sequence[Row], config: Mapping[str, str]) -> Pool:
    own = next((one for one in databases if one["name"] == row["database"]), None)
    size = int(_number(own, "pool_size")) if own is not None else 0
    size = size or int(config.get("default_pool_size") or 0)
    return Pool(
        database=clean(row["database"], 63),
        user=clean(row["user"], 63),
        mode=clean(row["pool_mode"], 20),
        clients_active=int(_number(row, "cl_active")),
        clients_waiting=int(_number(row, "cl_waiting")),
        servers_active=int(_number(row, "sv_active")),
        servers_idle=int(_number(row, "sv_idle")),
        servers_other=int(sum(_number(row, name) for name in _OTHER_SERVERS)),
        max_wait_s=_number(row, "maxwait") + _number(row, "maxwait_us") / 1e6,
        size=size or None,
    )


def _client(row: Row, now: datetime) -> PoolerClient:
    return PoolerClient(
        database=clean(row["database"], 63),
        user=clean(row["user"], 63),
        address=clean(f"{row['addr']}:{row['port']}", 60),
        application=clean(row.get("application_name") or "", 63),
        wait_s=_number(row, "wait") + _number(row, "wait_us") / 1e6,
        connected_s=_since(row.get("connect_time") or "", now),
    )


def _since(text: str, now: datetime) -> float | None:
    """Return the seconds since "2026-11-22 16:55:21 UTC"; None in another zone, whose name says too little."""
    if not text.endswith(" UTC"):
        return None
    try:
        return max(0.0, (now - datetime.fromisoformat(f"{text.removesuffix(' UTC')}+00:00")).total_seconds())
    except ValueError:
        return None


def _settings(rows: Rows) -> list[PoolerSetting]:
    found = []
    for row in rows:
        name, value, default = row["key"] or "", row["value"] or "", row.get("default") or ""
        is_known = row.get("default") is not None and name not in _HIDDEN
        if is_known and value != default and name != "unix_socket_mode":  # told in octal and in decimal
            found.append(
                PoolerSetting(
                    name=clean(name, 60),
                    value=clean(value, 200),
                    default=clean(default, 200),
                    needs_restart=row.get("changeable") == "no",
                )
            )
    return found


def _number(row: Row | None, name: str) -> float:
    text = (row.get(name) if row is not None else None) or "0"
    try:
        return float(text)
    except ValueError:
        return 0.0
