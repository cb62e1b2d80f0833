"""What is planted in a sandbox is what its panes find."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import asyncpg

from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, Settings
from qsuite_console.db.database import Database
from qsuite_console.db.panels import PanelReader
from qsuite_console.metrics.indexes import IndexesProbe
from qsuite_console.metrics.limits import LimitsProbe
from qsuite_console.metrics.tables import TablesProbe
from qsuite_console.model.clock import SystemClock
from qsuite_console.sandbox.seed import plant_troubles
from qsuite_console.workers import Services


async def test_every_trouble_that_is_planted_is_found(database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(
        "INSERT INTO market_data_ticker (id, symbol) VALUES (1, 'AAPL');"
        "INSERT INTO auth_user (id, username) VALUES (1, 'trader')"
    )
    await connection.execute(
        "INSERT INTO execution_engine_order (id, created_by_id, ticker_id, side, order_type, status, quantity)"
        " SELECT n, 1, 1, 'BUY', 'MARKET', 'PENDING', 1 FROM generate_series(1, 1000) n"
    )
    await plant_troubles(connection)
    await plant_troubles(connection)  # a second time changes nothing
    await connection.execute("UPDATE execution_engine_order SET quantity = 2")
    await connection.close()
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("ANALYZE")
    await connection.close()
    settings = Settings(database=DatabaseSettings(dsn=Secret(database_dsn)))
    reader, database = PanelReader(settings.database, SystemClock()), Database(settings.database)
    services = cast("Services", SimpleNamespace(panels=reader, database=database, settings=settings))
    try:
        async with asyncio.timeout(20):
            while True:
                tables = await TablesProbe(services).ask({"order": "due"})
                if tables.tables[0].of_trigger > 3:
                    break
                await asyncio.sleep(0.05)
        indexes = await IndexesProbe(services).ask({})
        limits = await LimitsProbe(services).ask({})
    finally:
        await reader.close()
        await database.close()
    assert tables.tables[0].name == "public.legacy_audit"
    assert not tables.tables[0].is_vacuumed
    assert {one.state for one in indexes.wanted} == {"present"}, "the schema has what is recommended"
    verdicts = {index.name: index.verdicts for index in indexes.indexes}
    assert verdicts["public.legacy_audit_once"] == ("invalid",)
    assert "left prefix" in verdicts["public.execution_engine_order_user_old"]
    assert verdicts["public.legacy_audit_at"] == ("unused",)
    assert "public.legacy_audit" in {one.relation for one in indexes.missing if one.kind == "foreign key"}
    assert limits.sequences[0].name == "public.legacy_audit_id_seq"
    assert limits.sequences[0].share is not None
    assert limits.sequences[0].share > 0.9
