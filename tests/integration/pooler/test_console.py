"""PgBouncer's console as recorded (1.18, 1.24): read by name, reopened by itself, its failures one clear line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from fakes.backfill import open_services
from fakes.pooler import NEW, OLD, POOL, STATS, RecordedPooler, setting
from qsuite_console.cli.checks import Verdict, services
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, PoolerSettings, Settings
from qsuite_console.db.errors import DatabaseDown, DatabaseError, DatabaseRefused, DatabaseRejected, DatabaseSlow
from qsuite_console.db.pooler import SHOWN, PoolerConsole, address_of
from qsuite_console.db.pooler_facts import facts_of, passages
from qsuite_console.metrics.advice.pooler import pooler_findings
from qsuite_console.metrics.from_pgbouncer import PgBouncerSource
from qsuite_console.metrics.pooler import PoolerProbe
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.health import Level

NOW = datetime(2026, 11, 22, 16, 55, 51, tzinfo=UTC)


def pointed(url: str) -> Settings:
    return Settings(pooler=PoolerSettings(dsn=Secret(url)))


@pytest.fixture(params=[OLD, NEW], ids=["1.18", "1.24"])
async def recorded(request: pytest.FixtureRequest) -> AsyncIterator[RecordedPooler]:
    async with RecordedPooler(dict(request.param)).serving() as pooler:
        yield pooler


async def test_the_facts_are_those_of_the_rows(recorded: RecordedPooler) -> None:
    console = PoolerConsole(pointed(recorded.url))
    facts = facts_of(await console.show(SHOWN, 10), NOW)
    await console.close()
    assert recorded.asked == [f"SHOW {what}" for what in SHOWN]
    (pool,) = facts.pools
    assert (pool.database, pool.user, pool.mode, pool.size, pool.is_full) == (
        "market",
        "loader",
        "transaction",
        2,
        True,
    )
    assert (pool.clients_active, pool.clients_waiting, pool.servers_active, pool.max_wait_s) == (3, 2, 2, 3.5)
    assert facts.clients == 2, "the console's own clients are not counted"
    (waiting,) = facts.waiting
    assert (waiting.address, waiting.wait_s, waiting.connected_s) == ("10.0.0.9:51234", 3.5, 30.0)
    assert "\x1b" not in waiting.application
    assert {"pool_mode", "default_pool_size", "listen_addr"} <= {line.name for line in facts.settings}
    assert [line.name for line in facts.settings if line.needs_restart] == ["listen_addr"]
    assert "auth_file" not in {line.name for line in facts.settings}
    assert facts.limit("max_client_conn") == 100
    assert facts.limit("max_db_connections") is None


async def test_rates_are_of_the_interval_and_none_over_a_restart(recorded: RecordedPooler) -> None:
    first = facts_of(recorded.shown, NOW)
    later = {**STATS, "total_xact_count": "150", "total_query_count": "500", "total_xact_time": "2100000",
             "total_wait_time": "600000", "total_sent": "30000"}  # fmt: skip
    second = facts_of({**recorded.shown, "STATS": [later]}, NOW)
    (none,) = passages(first, None, 0.0)
    assert (none.transactions_per_s, none.connections, none.connections_limit) == (None, 2, None)
    (passage,) = passages(second, first, 5.0)
    assert (passage.transactions_per_s, passage.queries_per_s, passage.sent_per_s) == (10, 20, 2000)
    assert (passage.transaction_ms, passage.wait_ms) == (2.0, 2.0)
    (after,) = passages(first, second, 5.0)
    assert after.transactions_per_s is None
    (fresh,) = passages(second, facts_of({**recorded.shown, "STATS": []}, NOW), 5.0)
    assert fresh.transactions_per_s == 30, "a database appears with its first client"


async def test_the_tile_judges_who_waits(recorded: RecordedPooler) -> None:
    console = PoolerConsole(pointed(recorded.url))
    source = PgBouncerSource(console, SystemClock(), budget_s=10)
    first = await source.read()
    assert first.headline.value is None
    recorded.shown["STATS"] = [{**STATS, "total_xact_count": "200"}]
    second = await source.read()
    await console.close()
    assert second.headline.value > 0
    levels = {figure.name: figure.level for figure in second.figures}
    assert (levels["waiting"], levels["max_wait"], levels["clients"]) == (Level.WARNING, Level.WARNING, Level.OK)
    texts = {figure.name: figure.text for figure in second.figures}
    assert (texts["servers"], texts["full"], texts["clients"]) == ("2 of 2 at work", "1 / 1", "2 / 100")
    assert second.watched == {"pgbouncer.waiting": 2, "pgbouncer.max_wait": 3.5, "pgbouncer.clients": 2.0}


async def test_the_pane_is_told_everything_in_one_answer(recorded: RecordedPooler) -> None:
    async with open_services(pointed(recorded.url)) as services:
        probe = PoolerProbe(services)
        first = await probe.ask({})
        recorded.shown["STATS"] = [{**STATS, "total_xact_count": "200"}]
        second = await probe.ask({})
    assert (first.interval_s, first.passages[0].transactions_per_s) == (None, None)
    assert second.interval_s > 0
    assert second.passages[0].transactions_per_s == pytest.approx(100 / second.interval_s)
    assert second.version in ("1.18.0", "1.24.1")
    assert [one.what for one in second.unread] == ["the server's limits"], "no database is configured in this test"
    assert {"PB02", "PB03"} <= {finding.id for finding in second.findings}


async def test_nothing_configured_is_no_failure() -> None:
    async with open_services(Settings()) as services:
        answer = await PoolerProbe(services).ask({})
    assert answer.where == ""
    assert "pooler.dsn" in answer.unread[0].hint


async def test_a_restart_is_not_noticed_and_a_hang_is_named(recorded: RecordedPooler) -> None:
    console = PoolerConsole(pointed(recorded.url))
    await console.show(["VERSION"], 10)
    recorded.hang_up()
    assert (await console.show(["VERSION"], 10))["VERSION"]
    assert recorded.connections == 2
    recorded.is_silent = True
    with pytest.raises(DatabaseSlow, match="did not answer within"):
        await console.show(["VERSION"], 0.2)
    recorded.is_silent = False
    assert (await console.show(["VERSION"], 10))["VERSION"]
    await console.close()


async def test_what_can_go_wrong_is_one_line_without_a_secret(recorded: RecordedPooler) -> None:
    port = recorded.port
    for url, kind, text in (
        (f"postgresql://stats:wrong-one@127.0.0.1:{port}/pgbouncer", DatabaseRefused, "refused its console to stats"),
        ("postgresql://stats:wrong-one@127.0.0.1:1/pgbouncer", DatabaseDown, "nothing listens there"),
        (f"postgresql://stats:wrong-one@127.0.0.1:{port}/pgbouncer?sslmode=require", DatabaseError, ""),
    ):
        with pytest.raises(kind) as caught:
            await PoolerConsole(pointed(url)).show(["VERSION"], 3)
        assert text in caught.value.message
        assert "wrong-one" not in str(caught.value) + caught.value.hint

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    other = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with other:
        url = f"postgresql://stats:x@127.0.0.1:{other.sockets[0].getsockname()[1]}/pgbouncer"
        with pytest.raises(DatabaseRejected, match="no console of PgBouncer"):
            await PoolerConsole(pointed(url)).show(["VERSION"], 10)


def test_the_address_is_derived_only_where_the_database_is_behind_a_pooler() -> None:
    dsn = Secret("postgresql://ada:s%2Fecret@db.example:6433/market")
    assert address_of(Settings(database=DatabaseSettings(dsn=dsn))) is None
    derived = address_of(Settings(database=DatabaseSettings(dsn=dsn, pgbouncer=True)))
    assert (derived.host, derived.port, derived.user, derived.password) == ("db.example", 6433, "ada", "s/ecret")
    assert derived.is_derived
    assert "s/ecret" not in repr(derived)
    own = address_of(
        Settings(
            database=DatabaseSettings(dsn=dsn, pgbouncer=True),
            pooler=PoolerSettings(dsn=Secret("postgresql://stats@/pgbouncer?host=/run/pgbouncer")),
        )
    )
    assert (own.host, own.port, own.user, own.is_derived) == ("/run/pgbouncer", 6432, "stats", False)


ADVICE = [
    ("old, transactions", OLD, (), {"PB02": ""}),
    ("new, none kept", NEW, (), {"PB02": "max_prepared_statements = 200"}),
    ("new, kept", NEW, (setting("max_prepared_statements", "100", "200"),), {}),
    ("sessions", OLD, (setting("pool_mode", "session", "session"),), {}),
    ("bounded", NEW, (setting("max_prepared_statements", "1", ""), setting("max_db_connections", "70", "0")), {}),
    ("all of it", NEW, (setting("max_prepared_statements", "1", ""), setting("max_db_connections", "90", "0")),
     {"PB01": "max_db_connections = 80"}),
    ("crowded", NEW, (setting("max_prepared_statements", "1", ""), setting("max_client_conn", "2", "100")),
     {"PB04": "max_client_conn = 4"}),
    ("patient", NEW, (setting("max_prepared_statements", "1", ""), setting("query_wait_timeout", "0", "120")),
     {"PB05": "query_wait_timeout = 120"}),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "config", "expected"), [row[1:] for row in ADVICE], ids=[row[0] for row in ADVICE])
def test_rules_of_the_pooler(shown: dict, config: tuple, expected: dict[str, str]) -> None:
    lines = [*(line for line in shown["CONFIG"] if line["key"] not in {one["key"] for one in config}), *config]
    mode = next(line["value"] for line in lines if line["key"] == "pool_mode")
    pools = [{**POOL, "cl_waiting": "0", "maxwait": "0", "pool_mode": mode}]
    facts = facts_of({**shown, "CONFIG": lines, "POOLS": pools}, NOW)
    found = pooler_findings(sessions=5, usable=100, is_pooled=True, facts=facts)
    assert {one.id: one.fix for one in found} == expected


def test_clients_that_wait_at_a_full_pool_are_a_finding() -> None:
    facts = facts_of(NEW, NOW)
    found = {one.id: one for one in pooler_findings(sessions=5, usable=100, is_pooled=True, facts=facts)}
    assert found["PB03"].fix == "default_pool_size = 80"
    assert {one.name: one.value for one in found["PB03"].evidence}["longest wait"] == 3.5


async def test_doctor_tells_of_the_pooler_where_one_is_configured(recorded: RecordedPooler) -> None:
    assert await services.pooler(Settings()) == []
    found = await services.pooler(pointed(recorded.url))
    assert [finding.verdict for finding in found] == [Verdict.OK, Verdict.WARN, Verdict.WARN]
    assert "PgBouncer 1." in found[0].what
    assert "Prepared statements of clients break" in found[1].what
    (down,) = await services.pooler(pointed("postgresql://stats:wrong-one@127.0.0.1:1/pgbouncer"))
    assert (down.verdict, "nothing listens there" in down.what) == (Verdict.WARN, True)
    assert "wrong-one" not in down.what + down.todo
