from __future__ import annotations

import asyncio

import pytest
from redis import exceptions

from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import (
    CacheDown,
    CacheError,
    CacheRefused,
    CacheUnauthorized,
    CacheUnconfigured,
    translate,
)
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings

WHERE = "cache-1:6379/0"


def cache(url: str) -> Cache:
    return Cache(CacheSettings(url=Secret(url)))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), CacheRefused, "memory"),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), CacheRefused, "replica"),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), CacheDown, "loading"),
        (exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"), CacheRefused, "save to disk"),
        (exceptions.ResponseError("BUSY Redis is busy running a script"), CacheRefused, "script"),
        (exceptions.AuthenticationError("Authentication required."), CacheUnauthorized, "password"),
        (exceptions.AuthenticationError("invalid username-password pair"), CacheUnauthorized, "password"),
        (exceptions.ConnectionError("max number of clients reached"), CacheDown, "client slot"),
        (exceptions.TimeoutError("Timeout reading from socket"), CacheDown, "does not answer"),
        (exceptions.ConnectionError("Connection reset"), CacheDown, "can't reach"),
        (exceptions.NoPermissionError("this user has no permissions"), CacheUnauthorized, "does not let"),
        (exceptions.ResponseError("WRONGTYPE Operation against a key"), CacheRefused, "another type"),
        (exceptions.ResponseError("ERR secret-key-name blah"), CacheRefused, "(ERR)"),
    ],
)
def test_each_failure_says_what_it_is(error: Exception, kind: type[CacheError], words: str) -> None:
    translated = translate(error, WHERE)
    assert type(translated) is kind
    assert words in translated.message
    assert translated.hint
    assert "secret-key-name" not in translated.message


def test_only_what_may_pass_by_itself_is_transient() -> None:
    assert translate(exceptions.TimeoutError("x"), WHERE).is_transient
    assert translate(exceptions.ResponseError("BUSY script"), WHERE).is_transient
    assert not translate(exceptions.AuthenticationError("x"), WHERE).is_transient
    assert not translate(exceptions.OutOfMemoryError("x"), WHERE).is_transient


def test_the_address_is_shown_without_credentials() -> None:
    assert cache("redis://user:s3cret@cache-1:7000/3").where == "cache-1:7000/3"
    assert cache("unix:///run/valkey.sock?password=s3cret").where == "/run/valkey.sock"
    assert cache("redis://localhost").where == "localhost:6379/0"
    assert cache("").where == ""


@pytest.mark.parametrize("url", ["", "http://x:s3cret@y", "not a url s3cret", "redis://:s3cret@host:port"])
def test_a_missing_or_malformed_url_is_one_clear_line_without_the_secret(url: str) -> None:
    with pytest.raises(CacheUnconfigured) as refused:
        _ = cache(url).raw
    assert "s3cret" not in str(refused.value) + refused.value.hint
    assert "REDIS_URL" in refused.value.message + refused.value.hint


def test_options_in_the_url_never_lift_the_time_limits() -> None:
    client = cache("redis://localhost/0?socket_timeout=900&retry_on_timeout=true&max_connections=9999").raw
    options = client.connection_pool.connection_kwargs
    assert options["socket_timeout"] == 2.0
    assert options["socket_connect_timeout"] == 2.0
    assert client.connection_pool.max_connections == 32
    assert options["retry"].get_retries() == 0


@pytest.mark.parametrize("swallow", ["timeout", "nothing"])
async def test_a_cancelled_job_stays_cancelled_whatever_the_driver_makes_of_it(swallow: str) -> None:
    entered, found = asyncio.Event(), []

    async def job() -> None:
        async with cache("redis://127.0.0.1:1/0").guard():
            entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallow == "timeout":
                    raise exceptions.TimeoutError("Timeout reading from socket") from None
        found.append("went on")

    task = asyncio.create_task(job())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert found == []


async def test_what_is_tidied_up_while_a_job_is_cancelled_still_runs() -> None:
    entered, tidied = asyncio.Event(), []

    async def job() -> None:
        try:
            entered.set()
            await asyncio.Event().wait()
        finally:
            async with cache("redis://127.0.0.1:1/0").guard():
                await asyncio.sleep(0)
            tidied.append(True)

    task = asyncio.create_task(job())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tidied == [True]
