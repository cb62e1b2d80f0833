"""The cache's heaviest proofs at a size for every day; tests/bench runs them at their full size."""

from __future__ import annotations

from integration.warm.million import own_server, sweep_one_symbol
from integration.warm.speed import compare_with_the_raw_limit


async def test_invalidating_one_symbol_among_very_many_keys() -> None:
    with own_server() as server:
        await sweep_one_symbol(server, 150_000)


async def test_warming_prices_costs_one_query_and_one_pipeline(database_dsn: str, valkey_url: str) -> None:
    await compare_with_the_raw_limit(database_dsn, valkey_url, symbols=500, bars=60)
