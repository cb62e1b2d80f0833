"""Invalidation and clean-up: exactly the keys that are meant, in steps nobody feels, over again after a cut."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from redis.asyncio import Redis

from fakes.backfill import NOWHERE, FakeContext, make_settings, open_services
from integration.warm.watching import monitoring
from qsuite_console import workers
from qsuite_console.cache.writer import write_keys
from qsuite_console.engine.parameters import decode

MINE = ("price:AAPL", "order_book:AAPL", "market_data:AAPL", ":1:price:AAPL", "ohlcv:AAPL:1Min:100", "latest:MSFT,AAPL")
OTHERS = ("price:AAPLX", "price:MSFT", "ohlcv:XAAPL:1Min", "positions:7", "session:AAPLfan", "notes aapl")


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey_url)
    yield client
    await client.aclose()


@pytest.fixture
async def services(valkey_url: str) -> AsyncIterator[workers.Services]:
    nobody = "postgresql://nobody@127.0.0.1:1/none"
    async with open_services(make_settings(nobody, NOWHERE, redis=valkey_url)) as made:
        yield made


async def run(
    services: workers.Services, kind: str, context: FakeContext | None = None, **given: Any
) -> Mapping[str, Any]:
    worker: Any = workers.load(kind, services)
    return dict(await worker.run(context or FakeContext(), decode(worker.kind.parameters, given)))


async def test_a_symbol_takes_every_key_that_speaks_of_it_and_no_other(
    services: workers.Services, redis: Redis, valkey_url: str
) -> None:
    await redis.mset(dict.fromkeys((*MINE, *OTHERS), "x"))
    worker: Any = workers.load("cache.invalidate", services)
    plan = await worker.plan(decode(worker.kind.parameters, {"by": "symbol", "value": "aapl"}))
    assert plan.figures == {"keys": len(MINE), "is_exact": True, "total": len(MINE) + len(OTHERS), "spared": 0}
    assert await redis.dbsize() == len(MINE) + len(OTHERS), "a plan removes nothing"
    async with monitoring(valkey_url) as commands:
        result = await run(services, "cache.invalidate", by="symbol", value="aapl")
    assert result["removed"] == len(MINE)
    assert sorted(result["examples"]) == sorted(MINE), "also those that could be named without a walk"
    assert {key.decode() for key in await redis.keys("*")} == set(OTHERS)
    assert any(command.startswith("SCAN") for command in commands)
    assert not any(command.upper().startswith(("KEYS", "FLUSH", "DEL")) for command in commands)


async def test_a_user_a_family_and_a_pattern(services: workers.Services, redis: Redis) -> None:
    await redis.mset(dict.fromkeys(("positions:7", "positions:77", ":1:positions:7", "price:7", "sessions:7"), "x"))
    assert (await run(services, "cache.invalidate", by="user", value="7"))["removed"] == 2
    assert {key.decode() for key in await redis.keys("*")} == {"positions:77", "price:7", "sessions:7"}
    assert (await run(services, "cache.invalidate", by="family", value="price"))["removed"] == 1
    assert (await run(services, "cache.invalidate", by="pattern", value="s?ssions:*"))["removed"] == 1
    assert {key.decode() for key in await redis.keys("*")} == {"positions:77"}
    odd = b"odd\x1b[31m\xff:\n*"
    await redis.set(odd, "x")
    assert (await run(services, "cache.invalidate", by="pattern", value=r"odd\x1b\\[31m\xff:\x0a\\*"))["removed"] == 1


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"by": "family", "value": "prices"}, "no family is named 'prices': price, order_book"),
        ({"by": "user", "value": "ann"}, "a user is a number"),
        ({"by": "symbol", "value": "A*"}, "a symbol is letters, digits"),
        ({"by": "pattern", "value": "**"}, "this would be every key"),
        ({"by": "pattern", "value": "a\\q"}, "a backslash in a key's name"),
    ],
)
async def test_what_is_refused_while_typing(services: workers.Services, given: dict[str, str], problem: str) -> None:
    worker: Any = workers.load("cache.invalidate", services)
    assert problem in worker.check(decode(worker.kind.parameters, given))["value"]


async def test_clean_up_gives_lives_to_known_families_and_reports_the_rest(
    services: workers.Services, redis: Redis
) -> None:
    await redis.mset({f"price:S{n}": "x" for n in range(700)})
    await redis.mset({f"positions:{n}": "x" for n in range(3)} | {f"flag:{n}": "x" for n in range(4)})
    await redis.set("price:LIVES", "x", ex=50)
    worker: Any = workers.load("cache.cleanup", services)
    plan = await worker.plan(decode(worker.kind.parameters, {}))
    assert (plan.figures["known"], plan.figures["other"], plan.is_noop) == (703, 4, False)
    context = FakeContext()
    result = await run(services, "cache.cleanup", context)
    assert context.said[-1][0] == context.said[-1][1], "it ends at its whole"
    assert (result["given"], result["given_total"]) == ({"price": 700, "positions": 3}, 703)
    assert (result["reported"], result["reported_total"]) == ({"flag:*": 4}, 4)
    assert 3590 < await redis.ttl("price:S1") <= 3600
    assert await redis.ttl("price:LIVES") <= 50
    assert await redis.ttl("flag:1") == -1
    again = await run(services, "cache.cleanup")
    assert (again["given_total"], again["reported_total"]) == (0, 4)
    assert (await worker.plan(decode(worker.kind.parameters, {}))).is_noop


async def test_a_walk_that_is_cut_ends_right_when_it_is_run_again(services: workers.Services, redis: Redis) -> None:
    await write_keys(services.cache, [(f"price:S{n}", b"x") for n in range(20_000)], life_s=600)
    context = FakeContext()

    def cut() -> None:
        if context.breaths == 3:
            raise ConnectionResetError

    context.on_breathe = cut
    with pytest.raises(ConnectionResetError):
        await run(services, "cache.invalidate", context, by="family", value="price")
    assert 0 < await redis.dbsize() < 20_000
    assert (await run(services, "cache.invalidate", by="family", value="price"))["keys_before"] < 20_000
    assert await redis.dbsize() == 0


async def test_a_broker_loses_nothing_whatever_its_queues_are_called(services: workers.Services, redis: Redis) -> None:
    """What kombu writes: bindings name exchange, pattern and queue; a queue is a list for each priority."""
    step = b"\x06\x16"
    broker: dict[bytes, list[bytes]] = {
        b"celery": [b"m1", b"m2"], b"celery" + step + b"3": [b"m3"], b"price:AAPL": [b"a queue with a bold name"],
        b"shop:celery:AAPL": [b"m4"],
    }  # fmt: skip
    for name, messages in broker.items():
        await redis.rpush(name, *messages)
    await redis.sadd("_kombu.binding.celery", b"celery" + step * 2 + b"celery")
    await redis.sadd("_kombu.binding.prices", b"updates" + step + step + b"price:AAPL", b"quiet" + step * 2 + b"quiet")
    await redis.sadd("shop:_kombu.binding.x", b"r" + step * 2 + b"celery:AAPL")
    await redis.hset("unacked", "tag", "message")
    await redis.zadd("unacked_index", {"tag": 1})
    kept = await redis.dbsize()
    worker: Any = workers.load("cache.invalidate", services)
    await redis.mset({"market_data:AAPL": "x", "celerystalk": "x", "unpacked": "x", "binding": "x"})
    for given in (
        {"by": "pattern", "value": "*c*"}, {"by": "pattern", "value": "*b*n*i*"}, {"by": "pattern", "value": "*:*"},
        {"by": "symbol", "value": "celery"}, {"by": "family", "value": "market_data"},
    ):  # fmt: skip
        plan = await worker.plan(decode(worker.kind.parameters, given))
        result = await run(services, "cache.invalidate", **given)
        assert (plan.figures["keys"], plan.figures["spared"]) == (result["removed"], result["spared"]), given
    assert await redis.dbsize() == kept
    assert {name: await redis.lrange(name, 0, -1) for name in broker} == broker
