"""Bars made ahead on their own thread: all of them, in order, with a true ledger, and no thread left behind."""

from __future__ import annotations

import asyncio
import threading
from datetime import date

import pytest

from qsuite_console.sandbox import harvest
from qsuite_console.sandbox.harvest import DAILY_LEDGER, MINUTE_LEDGER, Harvest
from qsuite_console.sandbox.market import Market

ANCHOR = date(2026, 11, 20)


async def gather(source):
    return b"".join([piece async for piece in source]).decode().splitlines()


def wait_for_thread():
    for thread in threading.enumerate():
        if thread.name == "harvest":
            thread.join(10)
            assert not thread.is_alive()


async def test_levels_lines_and_ledger_tell_of_the_same_bars():
    market = Market(symbols=40, seed=42)
    bars = Harvest(market, ANCHOR)
    levels = dict(await asyncio.wrap_future(bars.levels))
    daily, minutes = await gather(bars.daily()), await gather(bars.minutes())
    newest = {line.split("\t")[0]: line.split("\t")[6] for line in daily}  # the last line of each symbol
    assert sum(float(newest[i.symbol]) == levels.get(i.number) for i in market.instruments if i.symbol in newest) > 30
    counted = {name: sum(n for _, kind, *_, n in bars.ledger if kind == name) for name in (DAILY_LEDGER, MINUTE_LEDGER)}
    assert counted[MINUTE_LEDGER] == len(minutes)
    assert counted[DAILY_LEDGER] == len(daily) + 2  # ticker 17 lacks days that the ledger has
    wait_for_thread()


async def test_what_goes_wrong_is_raised_where_it_is_read():
    early = Harvest(Market(symbols=5, seed=42), date(2026, 11, 21))  # a Saturday
    with pytest.raises(ValueError, match="not in tuple"):
        await asyncio.wrap_future(early.levels)
    with pytest.raises(ValueError, match="not in tuple"):
        await gather(early.daily())
    wait_for_thread()


async def test_an_abandoned_harvest_ends_its_thread_and_its_reader(monkeypatch):
    monkeypatch.setattr(harvest, "_AHEAD", 1)
    bars = Harvest(Market(symbols=40, seed=42), ANCHOR)
    source = bars.daily()
    assert await anext(source)
    bars.close()
    assert await asyncio.wait_for(gather(source), 5) == []
    wait_for_thread()
