"""Paper execution: each order filled exactly once whoever works on it, sums exact, nothing half done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from fakes.backfill import FakeContext
from fakes.failing import fails_for_good
from qsuite_console import workers
from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings, Settings, TargetSettings
from qsuite_console.db.database import Database
from qsuite_console.db.orders import OpenOrder, create_tries, fill_of
from qsuite_console.db.panels import PanelReader
from qsuite_console.db.pooler import PoolerConsole
from qsuite_console.engine.parameters import decode
from qsuite_console.model.clock import SystemClock
from qsuite_console.workers import orders


class Clock(SystemClock):
    """The real one, moved ahead."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


class Standing(Clock):
    """Stands still but for what it is moved ahead."""

    began = SystemClock().now()

    def now(self) -> datetime:
        return self.began + self.ahead


@pytest.fixture
async def connection(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    made = await asyncpg.connect(database_dsn)
    await made.execute("INSERT INTO auth_user (id, username) VALUES (1, 'ann')")
    await made.execute(
        "INSERT INTO market_data_ticker (id, symbol) VALUES (1, 'AAA'), (2, 'BBB'), (3, 'NONE'), (4, 'NIL')"
    )
    await made.execute(
        "INSERT INTO market_data_marketdata VALUES (1, now(), 10, 11, 9, 10.123456, 5), (2, now(), 20, 21, 19, 20, 5)"
    )
    yield made
    await made.close()


@pytest.fixture
async def services(
    connection: asyncpg.Connection, database_dsn: str, valkey_url: str
) -> AsyncIterator[workers.Services]:
    settings = Settings(
        target=TargetSettings(paper_execution=True),
        database=DatabaseSettings(dsn=Secret(database_dsn), pool_min=0),
        cache=CacheSettings(url=Secret(valkey_url)),
    )
    database, cache, clock = Database(settings.database), Cache(settings.cache), Clock()
    panels, pooler = PanelReader(settings.database, clock), PoolerConsole(settings)
    yield workers.Services(
        settings=settings, clock=clock, database=database, cache=cache, provider=_nobody, panels=panels, pooler=pooler
    )
    for each in (panels, pooler, cache, database):
        await each.close()


def _nobody() -> Any:
    raise AssertionError("settling asks no provider")


async def settle(services: workers.Services, **given: Any) -> Any:
    worker: Any = workers.load("orders.settle", services)
    return await worker.run(FakeContext(), decode(worker.kind.parameters, {"wait": False, **given}))


async def place(connection: asyncpg.Connection, ticker: int = 1, **given: Any) -> int:
    row = {"side": "BUY", "order_type": "MARKET", "status": "PENDING", "quantity": Decimal(100), **given}
    names = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(2, len(row) + 2))
    statement = f"INSERT INTO execution_engine_order (created_by_id, ticker_id, {names}) VALUES (1, $1, {places})"
    return int(await connection.fetchval(f"{statement} RETURNING id", ticker, *row.values()))


async def test_prices_slippage_commission_and_average(
    services: workers.Services, connection: asyncpg.Connection, valkey_url: str
) -> None:
    redis = Redis.from_url(valkey_url)
    await redis.set("price:BBB", b'{"price":"20.500000"}', ex=60)
    bought = await place(connection)
    sold = await place(connection, 2, side="SELL", quantity=Decimal("7.5"))
    partly = await place(
        connection, status="PARTIALLY_FILLED", filled_quantity=Decimal(40), avg_fill_price=Decimal("9.5")
    )
    resting = await place(connection, order_type="LIMIT", price=Decimal(9))
    result = await settle(services)
    assert (result["orders"], result["filled"], result["from_cache"], result["from_database"]) == (3, 3, 1, 2)
    rows = {row["id"]: row for row in await connection.fetch("SELECT * FROM execution_engine_order")}
    executions = {row["order_id"]: row for row in await connection.fetch("SELECT * FROM execution_engine_execution")}
    price = Decimal("10.124468")  # 10.123456 and a hundredth of a per cent, to six decimals
    assert (executions[bought]["price"], executions[bought]["commission"]) == (price, Decimal("0.5"))
    assert executions[sold]["price"] == Decimal("20.497950")
    assert executions[sold]["commission"] == Decimal("0.0375")
    assert rows[partly]["avg_fill_price"] == ((40 * Decimal("9.5") + 60 * price) / 100).quantize(Decimal("0.000001"))
    assert executions[partly]["quantity"] == 60
    for order in (bought, sold, partly):
        assert (rows[order]["status"], rows[order]["filled_quantity"]) == ("FILLED", rows[order]["quantity"])
    assert rows[resting]["status"] == "PENDING"
    assert result["commission"] == str(sum(row["commission"] for row in executions.values()))
    assert result["latency_s"]["max"] >= 0
    assert b'"price":"10.123456"' in await redis.get("price:AAA"), "the market's price is cached, not the fill's"
    assert 20 < await redis.ttl("price:AAA") <= 33
    assert (await settle(services))["orders"] == 0
    await redis.aclose()


async def test_limit_orders_fill_when_the_market_reaches_them_and_never_beyond(
    services: workers.Services, connection: asyncpg.Connection
) -> None:
    reached = await place(connection, order_type="LIMIT", price=Decimal("10.124"))
    above = await place(connection, order_type="LIMIT", price=Decimal("10.12"))
    sold = await place(connection, 2, side="SELL", order_type="LIMIT", price=Decimal("19.9999"))
    result = await settle(services, limit_orders=True)
    assert (result["filled"], result["resting"]) == (2, 1)
    prices = dict(await connection.fetch("SELECT order_id, price FROM execution_engine_execution"))
    assert prices == {reached: Decimal("10.124"), sold: Decimal("19.9999")}
    assert await connection.fetchval("SELECT status FROM execution_engine_order WHERE id = $1", above) == "PENDING"


async def test_an_order_without_a_price_is_tried_later_and_rejected_in_the_end(
    services: workers.Services, connection: asyncpg.Connection
) -> None:
    order, clock = await place(connection, 3), Standing()
    services = replace(services, clock=clock)
    waits = []
    for number in range(1, 5):
        result = await settle(services)
        assert (result["put_off"], result["rejected"], result["filled"]) == (1, 0, 0)
        assert (await settle(services))["orders"] == 0, "not before its time"
        row = await connection.fetchrow("SELECT * FROM qsuite_console.order_tries")
        assert (row["order_id"], row["tries"]) == (order, number)
        waits.append(round((row["next_at"] - clock.now()).total_seconds()))
        clock.ahead += timedelta(seconds=2**number + 1)
    assert waits == [2, 4, 8, 16]
    assert (await settle(services))["rejected"] == 1
    assert await connection.fetchval("SELECT status FROM execution_engine_order WHERE id = $1", order) == "REJECTED"
    assert await connection.fetchval("SELECT count(*) FROM qsuite_console.order_tries") == 0


async def test_a_run_looks_again_by_itself_until_each_order_is_filled_or_rejected(
    services: workers.Services, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "_NAP_S", 0.01)

    class Fast(SystemClock):
        """Thirty times as fast as the real one."""

        began = SystemClock().now()

        def now(self) -> datetime:
            return self.began + 30 * (super().now() - self.began)

    late, never = await place(connection, 3), await place(connection, 4)
    resting = await place(connection, 1, order_type="LIMIT", price=Decimal(9))
    seen: list[int] = []

    async def add_price() -> None:
        while not seen or seen[-1] < 2:
            seen.append(await connection.fetchval("SELECT coalesce(max(tries), 0) FROM qsuite_console.order_tries"))
            await asyncio.sleep(0.01)
        await connection.execute("INSERT INTO market_data_marketdata VALUES (3, now(), 5, 5, 5, 5, 1)")

    await create_tries(connection)
    adding = asyncio.create_task(add_price())
    result = await settle(replace(services, clock=Fast()), wait=True, limit_orders=True)
    await adding
    states = dict(await connection.fetch("SELECT id, status FROM execution_engine_order"))
    assert states == {late: "FILLED", never: "REJECTED", resting: "PENDING"}
    assert (result["filled"], result["rejected"], result["resting"]) == (1, 1, 1)
    assert await connection.fetchval("SELECT count(*) FROM qsuite_console.order_tries") == 0


async def test_odd_orders_and_prices_stop_nobody(
    services: workers.Services, connection: asyncpg.Connection, valkey_url: str
) -> None:
    done = await place(connection, status="PARTIALLY_FILLED", filled_quantity=Decimal(100), avg_fill_price=Decimal(9))
    told = await place(connection, price=Decimal("0.01"))  # a market order that says what its price was
    dear = await place(connection, 2)
    redis = Redis.from_url(valkey_url)
    await redis.set("price:BBB", b"9" * 30, ex=60)
    assert (await settle(services))["filled"] == 2
    prices = dict(await connection.fetch("SELECT order_id, price FROM execution_engine_execution"))
    assert prices == {told: Decimal("10.124468"), dear: Decimal("20.002")}
    assert await connection.fetchval("SELECT status FROM execution_engine_order WHERE id = $1", done) != "FILLED"
    await redis.aclose()


async def test_what_is_interrupted_leaves_no_half_filled_order(
    services: workers.Services, connection: asyncpg.Connection
) -> None:
    for _ in range(20):
        await place(connection)
    await connection.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.id % 20 = 0 THEN RAISE EXCEPTION 'no' USING ERRCODE = '57014'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER fail BEFORE UPDATE ON execution_engine_order FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    with pytest.raises(Exception, match=r".+"):
        await settle(services)
    assert await connection.fetchval("SELECT count(*) FROM execution_engine_execution") == 0
    await connection.execute("DROP TRIGGER fail ON execution_engine_order")
    assert (await settle(services))["filled"] == 20


async def test_where_it_is_not_allowed_nothing_happens(
    services: workers.Services, connection: asyncpg.Connection
) -> None:
    await place(connection)
    strict = replace(services, settings=replace(services.settings, target=TargetSettings()))
    with fails_for_good("not allowed on this target"):
        await settle(strict)
    worker: Any = workers.load("orders.settle", strict)
    plan = await worker.plan(decode(worker.kind.parameters, {}))
    assert plan.figures == {"orders": 1, "is_allowed": False}
    assert plan.warnings[0].startswith("paper execution is not allowed on this target: set target.paper_execution")
    assert await connection.fetchval("SELECT count(*) FROM execution_engine_execution") == 0


async def test_without_a_cache_prices_come_from_the_database(
    services: workers.Services, connection: asyncpg.Connection
) -> None:
    await place(connection)
    away = Cache(CacheSettings(url=Secret("redis://127.0.0.1:1/0")))
    assert (await settle(replace(services, cache=away)))["from_database"] == 1
    await away.close()


@pytest.mark.parametrize(
    ("side", "limit", "market", "price"),
    [
        ("BUY", None, "100", "100.01"),
        ("SELL", None, "100", "99.99"),
        ("BUY", "100.005", "100", "100.005"),
        ("SELL", "99.995", "100", "99.995"),
        ("BUY", "99", "100", None),
        ("SELL", "101", "100", None),
    ],
)
def test_the_price_of_a_fill(side: str, limit: str | None, market: str, price: str | None) -> None:
    order = OpenOrder(
        id=1,
        symbol="A",
        side=side,
        order_type="LIMIT" if limit else "MARKET",
        quantity=Decimal(1),
        filled_quantity=Decimal(0),
        avg_fill_price=None,
        price=Decimal(limit) if limit else None,
        created_at=datetime.now(UTC),
        tries=0,
    )
    fill = fill_of(order, Decimal(market))
    assert (None if fill is None else fill.price) == (Decimal(price) if price else None)
