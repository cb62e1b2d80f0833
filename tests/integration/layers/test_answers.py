"""The console's own dear answers: computed once for all who ask, about exactly what was asked, and new after a job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from fakes.backfill import NOWHERE, FakeContext, make_settings, open_services
from fakes.many_bars import fill
from qsuite_console import workers
from qsuite_console.cache.answers import Answers, Lives, bars_of, key_of, shape_of
from qsuite_console.cache.client import Cache
from qsuite_console.cache.layers import LayeredCache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics.market import PositionsProbe, VolatilityProbe, WatchProbe
from qsuite_console.metrics.warmth import AnswersProbe
from qsuite_console.model.clock import SystemClock

LONG = Lives(memory_s=60, shared_s=60)


class Number(msgspec.Struct, frozen=True):
    value: int


class Renamed(msgspec.Struct, frozen=True):
    number: int


class Counting:
    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> Number:
        self.times += 1
        await asyncio.sleep(0)
        return Number(self.times)


async def until(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def open_answers(url: str, realm: str = "test") -> AsyncIterator[Answers]:
    cache = Cache(CacheSettings(url=Secret(url)))
    async with LayeredCache(cache, SystemClock(), realm=realm).listening() as layers:
        yield Answers(layers)
    await cache.close()


async def test_no_question_gets_the_answer_to_another_one(valkey_url: str) -> None:
    async with open_answers(valkey_url) as answers:

        async def ask(name: str, value: int, **parameters: object) -> int:
            async def load() -> Number:
                return Number(value)

            found = await answers.ask(name, Number, load, parameters, about=("x",), lives=LONG)
            return found.value

        asked = (
            ("a", {"symbol": "AAPL", "limit": 5}),
            ("a", {"symbol": "AAPL", "limit": 6}),
            ("a", {"symbol": "AAPL:5"}),
            ("a", {"symbol": "AAPL", "user": "5"}),
            ("a", {"symbol": "AAPL", "user": 5}),
            ("b", {"symbol": "AAPL", "limit": 5}),
        )
        for turn in range(2):
            found = [await ask(name, index + 100 * turn, **given) for index, (name, given) in enumerate(asked)]
            assert found == list(range(len(asked)))


def test_keys_are_readable_and_shapes_are_versions() -> None:
    assert key_of({"symbol": "BTC/USD", "limit": 5}).startswith("5:BTC/USD:")
    assert key_of({"text": "a:b"}) != key_of({"text": "ab"})
    assert shape_of(Number) != shape_of(Renamed)


async def test_what_is_changed_is_forgotten_and_nothing_else(valkey_url: str) -> None:
    async with open_answers(valkey_url) as answers:
        loads = {name: Counting() for name in ("AAPL", "MSFT", "")}

        async def ask(symbol: str) -> int:
            given = {"symbol": symbol}
            found = await answers.ask("n", Number, loads[symbol], given, about=bars_of(symbol), lives=LONG)
            return found.value

        assert [await ask(symbol) for symbol in loads] == [1, 1, 1]
        await answers.bars_changed(["AAPL"])
        assert [await ask(symbol) for symbol in loads] == [2, 1, 2], "lists over all symbols change with each"
        await answers.bars_changed([])
        assert [await ask(symbol) for symbol in loads] == [2, 1, 2]
        await answers.bars_changed([f"S{number}" for number in range(1000)])
        assert [await ask(symbol) for symbol in loads] == [3, 2, 3], "too many to name: all"


async def test_without_layers_every_question_is_answered_anew_and_a_dead_cache_stops_no_job() -> None:
    load, nothing = Counting(), Answers()
    for _ in range(2):
        await nothing.ask("n", Number, load, {}, about=("x",), lives=LONG)
    assert load.times == 2
    await nothing.bars_changed(["A"])
    async with open_answers("redis://127.0.0.1:1/0") as answers:
        await answers.bars_changed(["A"])
        assert (await answers.ask("n", Number, load, {}, about=("x",), lives=LONG)).value == 3


@pytest.fixture
async def platform(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_dsn)
    await fill(connection, 3, 2000)
    await connection.execute("INSERT INTO auth_user (id, username, last_login) VALUES (1, 'one', now())")
    yield connection
    await connection.close()


@asynccontextmanager
async def open_console(dsn: str, url: str) -> AsyncIterator[workers.Services]:
    """One console's services, with its own memory and its own connections."""
    async with open_services(make_settings(dsn, NOWHERE, redis=url)) as services, open_answers(url) as answers:
        settings = services.settings
        allowed = replace(settings, target=replace(settings.target, paper_execution=True))
        yield replace(services, settings=allowed, answers=answers)


async def buy(connection: asyncpg.Connection, symbol: str, quantity: int) -> None:
    await connection.execute(
        "INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity, "
        "filled_quantity, created_at) VALUES (1, (SELECT id FROM market_data_ticker WHERE symbol = $1), 'BUY', "
        "'MARKET', 'PENDING', $2, 0, now())",
        symbol, Decimal(quantity),
    )  # fmt: skip


async def run(services: workers.Services, kind: str, **given: Any) -> dict[str, Any]:
    worker: Any = workers.load(kind, services)
    return dict(await worker.run(FakeContext(), decode(worker.kind.parameters, given)))


async def test_a_hundred_who_look_at_positions_cost_one_fold_and_a_settled_order_is_seen_at_once(
    platform: asyncpg.Connection, database_dsn: str, valkey_url: str
) -> None:
    symbol = await platform.fetchval("SELECT min(symbol) FROM market_data_ticker")
    async with open_console(database_dsn, valkey_url) as ours, open_console(database_dsn, valkey_url) as theirs:
        probes = [PositionsProbe(services) for services in (ours, theirs)]

        async def nets() -> list[list[Decimal]]:
            answers = [await probe.ask({"symbol": symbol}) for probe in probes]
            return [[position.net for position in answer.positions] for answer in answers]

        await buy(platform, symbol, 7)
        assert (await run(ours, "orders.settle"))["filled"] == 1
        assert await nets() == [[Decimal(7)], [Decimal(7)]]
        await until(lambda: ours.answers.hears and theirs.answers.hears)
        await ours.answers.forget("fills")
        before = {one.name: one for one in (await AnswersProbe(ours).ask({})).uses}["market.positions"]
        await asyncio.gather(*(probes[0].ask({"symbol": symbol}) for _ in range(100)))
        after = {one.name: one for one in (await AnswersProbe(ours).ask({})).uses}["market.positions"]
        assert (after.asked - before.asked, after.loads - before.loads, after.joined - before.joined) == (100, 1, 99)
        shared = theirs.answers.statistics["market.positions"].shared_hits
        await until(lambda: theirs.answers.statistics["market.positions"].entries == 0)
        await asyncio.gather(*(probes[1].ask({"symbol": symbol}) for _ in range(100)))
        assert theirs.answers.statistics["market.positions"].shared_hits == shared + 1, "the other console's load"
        await buy(platform, symbol, 5)
        assert (await run(theirs, "orders.settle"))["filled"] == 1
        seen = [position.net for position in (await probes[1].ask({"symbol": symbol})).positions]
        assert seen == [Decimal(12)], "what a job wrote is seen at once"
        async with asyncio.timeout(5.0):  # less than they live
            while await nets() != [[Decimal(12)], [Decimal(12)]]:
                await asyncio.sleep(0.005)


async def test_who_reloads_sees_what_others_wrote(
    platform: asyncpg.Connection, database_dsn: str, valkey_url: str
) -> None:
    symbol = await platform.fetchval("SELECT min(symbol) FROM market_data_ticker")
    async with open_console(database_dsn, valkey_url) as services:
        probe = PositionsProbe(services)
        assert (await probe.ask({"symbol": symbol})).open_total == 0
        await buy(platform, symbol, 7)
        await run(replace(services, answers=Answers()), "orders.settle")  # as the platform would: nobody is told
        assert (await probe.ask({"symbol": symbol})).open_total == 0
        assert (await probe.ask({"symbol": symbol, "fresh": True})).open_total == 1
        assert (await probe.ask({"symbol": symbol})).open_total == 1
        volatility = VolatilityProbe(services)
        before = await volatility.ask({"symbol": symbol})
        assert await volatility.ask({"symbol": symbol, "fresh": True}) == before
        assert services.answers.statistics["market.volatility"].loads == 2


async def test_answers_equal_what_is_computed_anew(
    platform: asyncpg.Connection, database_dsn: str, valkey_url: str
) -> None:
    async with open_console(database_dsn, valkey_url) as ours, open_console(database_dsn, valkey_url) as theirs:
        plain = replace(ours, answers=Answers())
        symbols = [row["symbol"] for row in await platform.fetch("SELECT symbol FROM market_data_ticker ORDER BY 1")]
        for probe, given in (
            (VolatilityProbe, {"symbol": symbols[0], "returns": 10}),
            (VolatilityProbe, {"symbol": symbols[1], "returns": 20}),
            (PositionsProbe, {"symbol": symbols[0]}),
            (PositionsProbe, {"user": 1}),
        ):
            expected = await probe(plain).ask(given)
            assert [await probe(services).ask(given) for services in (ours, ours, theirs)] == [expected] * 3
        for order in ("gainers", "losers", "symbol"):
            found = [await WatchProbe(each).ask({"order": order}) for each in (plain, ours, theirs)]
            assert len({tuple(quote.symbol for quote in watch.quotes) for watch in found}) == 1
        redis = Redis.from_url(valkey_url)
        keys = [key async for key in redis.scan_iter("qsuite-console:*")]
        assert any(b"market.volatility" in key for key in keys)
        lives = [await redis.pttl(key) for key in keys]
        assert all(0 < life <= 86_400_000 for life in lives), "nothing of ours stays for ever"
        await redis.aclose()
