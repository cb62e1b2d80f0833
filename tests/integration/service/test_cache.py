"""The cache client against a real server: limits that hold, one attempt each, failures told apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from fakes.stopwatch import Stopwatch
from integration.service.watching import freeze, resume
from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheDown, CacheRefused, CacheUnauthorized
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.sandbox import servers


def client(url: str) -> Cache:
    return Cache(CacheSettings(url=Secret(url)))


@pytest.fixture
async def cache(own_valkey: servers.Server) -> AsyncIterator[Cache]:
    one = client(own_valkey.url)
    yield one
    await one.close()


def with_password(url: str, credentials: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{credentials}{parts.hostname}:{parts.port}"))


async def test_ping_and_info(cache: Cache) -> None:
    await cache.ping()
    info = await cache.info()
    assert info["connected_clients"] >= 1
    assert "used_memory" in info
    assert list((await cache.info("memory")).keys() & {"used_memory", "connected_clients"}) == ["used_memory"]


@pytest.mark.parametrize("credentials", ["", ":wrong-s3cret@", "nobody:wrong-s3cret@"])
async def test_a_wrong_password_is_tried_once_and_never_shown(own_valkey: servers.Server, credentials: str) -> None:
    watcher = client(own_valkey.url)
    before = (await watcher.info("stats"))["total_connections_received"]
    refused = client(with_password(own_valkey.url, credentials))
    with Stopwatch() as waited, pytest.raises(CacheUnauthorized) as error:
        await refused.ping()
    assert waited.seconds < 0.5
    assert "s3cret" not in str(error.value) + error.value.hint
    assert (await watcher.info("stats"))["total_connections_received"] - before == 1
    await refused.close()
    await watcher.close()


async def test_nothing_listening_is_said_with_the_address() -> None:
    port = servers.free_port()
    down = client(f"redis://:s3cret@127.0.0.1:{port}/0")
    with pytest.raises(CacheDown, match=f"can't reach the cache at 127.0.0.1:{port}/0") as error:
        await down.ping()
    assert "s3cret" not in str(error.value)


async def test_a_hung_server_costs_two_seconds_and_runs_nothing_twice(own_valkey: servers.Server, cache: Cache) -> None:
    await cache.raw.set("counter", 0)
    freeze(own_valkey)
    try:
        with Stopwatch() as waited, pytest.raises(CacheDown, match="does not answer"):
            async with cache.guard() as raw:
                await raw.incr("counter")
        assert waited.seconds < 3.0
    finally:
        resume(own_valkey)
    await cache.ping()
    assert await cache.raw.get("counter") in (b"0", b"1")


async def test_the_servers_refusals_are_told_apart(cache: Cache) -> None:
    raw = cache.raw
    await raw.config_set("maxmemory-policy", "noeviction")
    await raw.config_set("maxmemory", "1")
    with pytest.raises(CacheRefused, match="out of memory"):
        async with cache.guard() as guarded:
            await guarded.set("x", "y")
    await raw.config_set("maxmemory", "256mb")
    await raw.config_set("maxmemory-policy", "allkeys-lru")

    await raw.set("text", "x")
    with pytest.raises(CacheRefused, match="another type"):
        async with cache.guard() as guarded:
            await guarded.lpush("text", "y")

    await raw.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(CacheRefused, match="read-only replica"):
            async with cache.guard() as guarded:
                await guarded.set("x", "y")
    finally:
        await raw.execute_command("REPLICAOF", "NO", "ONE")


async def test_a_user_without_the_right_is_told_so(own_valkey: servers.Server, cache: Cache) -> None:
    await cache.raw.execute_command("ACL", "SETUSER", "looker", "on", ">pw", "+ping", "+hello", "+client|setname")
    limited = client(with_password(own_valkey.url, "looker:pw@"))
    with pytest.raises(CacheUnauthorized, match="does not let this user"):
        await limited.info()
    await limited.close()
    await cache.raw.execute_command("ACL", "DELUSER", "looker")
