"""The cache at full size: 500 prices warmed from two million bars, one symbol invalidated among a million keys.

Both compare with what the same servers do in the same run: the raw pipelined limit of the same payload and one query
and one SETEX per symbol; an idle server's latency.
"""

from __future__ import annotations

import pytest

from integration.warm.million import own_server, sweep_one_symbol
from integration.warm.speed import compare_with_the_raw_limit


@pytest.mark.timeout(600)
async def test_warming_500_prices_from_two_million_bars(database_dsn: str, valkey_url: str) -> None:
    await compare_with_the_raw_limit(database_dsn, valkey_url, symbols=500, bars=4000)


@pytest.mark.timeout(600)
async def test_invalidating_one_symbol_among_a_million_keys() -> None:
    with own_server() as server:
        await sweep_one_symbol(server, 1_000_000)
