"""What the settings lead to: PostgreSQL, Redis and the provider. Each answers in seconds or is said not to."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Final

from qsuite_console.cache.client import Cache
from qsuite_console.cli.checks import Finding, fail, ok, warn
from qsuite_console.config.settings import CacheSettings, DatabaseSettings, ProviderSettings, Settings, TableSettings
from qsuite_console.db import queries
from qsuite_console.db.database import Database
from qsuite_console.db.pooler import SHOWN, PoolerConsole
from qsuite_console.db.pooler_facts import facts_of
from qsuite_console.metrics.advice.pooler import pooler_findings
from qsuite_console.model.advice import Severity
from qsuite_console.model.errors import ConsoleError
from qsuite_console.providers.alpaca import AlpacaClient

BUDGET_S: Final = 8.0
SKEW_S: Final = 2.0
OLDEST_SERVER: Final = 13
NEWEST_SERVER: Final = 18


async def database(settings: DatabaseSettings, tables: TableSettings) -> list[Finding]:
    """Check connection, version, privileges, clock and tables."""
    connection = Database(settings, application="qsuite-console")
    try:
        async with connection.session("doctor", BUDGET_S) as session:
            asked_at = time.monotonic()
            server = await session.fetchrow(queries.load("doctor_server"))
            here, took_s = datetime.now(UTC), time.monotonic() - asked_at
            names = [tables.tickers, tables.market_data, tables.price_ticks, tables.calendar, tables.coverage]
            found = await session.fetch(queries.load("doctor_tables"), names)
    except ConsoleError as error:
        return [fail("database", error.message, error.hint)]
    finally:
        await connection.close()
    where = f"{connection.where} as {server['role']}, {took_s * 1000:.0f} ms"
    return [
        ok("database", where),
        _version(server),
        *_privileges(server),
        clock("database clock", server["now"], here, took_s),
        _tables(found),
    ]


def _version(server: Any) -> Finding:
    name = "database version"
    major = server["version_num"] // 10_000
    extension = f", TimescaleDB {server['timescaledb']}" if server["timescaledb"] else ""
    text = f"PostgreSQL {server['version'].split()[0]}{extension}"
    if major < OLDEST_SERVER:
        return fail(name, text, f"the console needs PostgreSQL {OLDEST_SERVER} or newer")
    if major > NEWEST_SERVER:
        return warn(name, text, f"newer than {NEWEST_SERVER}, the newest this console was tried on")
    return ok(name, text)


def _privileges(server: Any) -> list[Finding]:
    name = "database privileges"
    findings = []
    if server["is_standby"] or server["is_read_only"]:
        what = "it is a standby" if server["is_standby"] else "its transactions are read-only by default"
        findings.append(warn(name, f"{what}: nothing can be written", "point the console at the primary"))
    if not server["has_monitor"]:
        todo = f'GRANT pg_monitor TO "{server["role"]}"'
        findings.append(warn(name, "without pg_monitor other users' sessions and queries are hidden", todo))
    if not server["has_create"]:
        todo = f'GRANT CREATE ON SCHEMA public TO "{server["role"]}"'
        findings.append(warn(name, "may not create tables or partitions", todo))
    return findings or [ok(name, "may watch, create and write")]


def _tables(found: Any) -> Finding:
    name = "database tables"
    missing = [row["name"] for row in found if not row["is_present"]]
    unreadable = [row["name"] for row in found if row["is_present"] and not row["has_select"]]
    unwritable = [row["name"] for row in found if row["is_present"] and not row["has_write"]]
    if missing:
        return warn(name, f"missing: {', '.join(missing)}", "qsuite-console db init")
    if unreadable:
        return fail(
            name, f"may not read {', '.join(unreadable)}", f"GRANT SELECT ON {', '.join(unreadable)} to the role"
        )
    if unwritable:
        return warn(
            name,
            f"may not write {', '.join(unwritable)}: no backfill",
            f"GRANT INSERT, UPDATE ON {', '.join(unwritable)}",
        )
    return ok(name, f"all {len(found)} are there")


async def pooler(settings: Settings) -> list[Finding]:
    """Check PgBouncer's console and what breaks behind it; nothing where none is configured."""
    console = PoolerConsole(settings)
    if not console.is_configured:
        return []
    try:
        started = time.monotonic()
        facts = facts_of(await console.show(SHOWN, BUDGET_S), datetime.now(UTC))
        took_s = time.monotonic() - started
    except ConsoleError as error:
        todo = error.hint if settings.pooler.dsn else f"{error.hint}; or set pooler.dsn"
        return [warn("pooler", f"{error.message}: its pane stays empty", todo)]
    finally:
        await console.close()
    pools = f"{len(facts.pools)} pools" if len(facts.pools) != 1 else "1 pool"
    findings = [ok("pooler", f"{console.where}, PgBouncer {facts.version_text}, {pools}, {took_s * 1000:.0f} ms")]
    for finding in pooler_findings(sessions=0, usable=0, is_pooled=True, facts=facts):
        if finding.severity is not Severity.INFO:
            findings.append(warn("pooler settings", finding.title, finding.fix or finding.advice))
    return findings


async def cache(settings: CacheSettings) -> list[Finding]:
    """Check connection, version and what the server does when its memory is full."""
    if not settings.url:
        return [
            warn("cache", "no Redis is configured; its panels stay empty", "set REDIS_URL or run qsuite-console init")
        ]
    client = Cache(settings)
    try:
        started = time.monotonic()
        await client.ping()
        took_s = time.monotonic() - started
        info = await client.info()
    except ConsoleError as error:
        return [fail("cache", error.message, error.hint)]
    finally:
        await client.close()
    kind = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version") or "unknown"
    findings = [ok("cache", f"{client.where}, {kind} {version}, {took_s * 1000:.0f} ms")]
    if info.get("role") not in ("master", None):
        findings.append(
            warn("cache role", f"it is a {info['role']}: nothing can be written", "point REDIS_URL at the primary")
        )
    if not info.get("maxmemory"):
        findings.append(warn("cache memory", "maxmemory is 0: it may take all of the host's", "CONFIG SET maxmemory …"))
    return findings


async def provider(settings: ProviderSettings) -> list[Finding]:
    """Check the key and the provider's clock."""
    if not settings.key_id:
        return [
            warn(
                "provider",
                "no API key is configured; nothing can be fetched",
                "set APCA_API_KEY_ID and APCA_API_SECRET_KEY",
            )
        ]
    client = AlpacaClient(settings)
    try:
        started = time.monotonic()
        theirs = await client.clock()
        here, took_s = datetime.now(UTC), time.monotonic() - started
    except ConsoleError as error:
        return [fail("provider", error.message, error.hint)]
    finally:
        await client.close()
    market = "open" if theirs.is_open else "closed"
    return [
        ok("provider", f"{settings.trading_url}, key accepted, market {market}, {took_s * 1000:.0f} ms"),
        clock("provider clock", theirs.timestamp, here, took_s),
    ]


def clock(name: str, theirs: datetime, here: datetime, took_s: float) -> Finding:
    """Compare a remote clock, read while the question took ``took_s`` seconds, with the one here."""
    ahead_s = (here - theirs).total_seconds() - took_s / 2
    if abs(ahead_s) > SKEW_S + took_s:
        word = "ahead of" if ahead_s > 0 else "behind"
        return warn(
            name,
            f"this machine is {abs(ahead_s):.1f} s {word} it",
            "let NTP set both clocks (timedatectl set-ntp true)",
        )
    return ok(name, f"within {max(abs(ahead_s), 0.1):.1f} s")
