"""The market screen by its keys, its states, and what it asks for: only what is seen, one question at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from fakes.control import FakeControl, demo
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.market import Watch
from screens.seeing import console, seen, until, until_gone, until_seen

WIDE, SMALL = (120, 40), (80, 24)
SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])


def asked(control: FakeControl, probe: str) -> list[dict[str, Any]]:
    return [arguments[1] for call, arguments in control.calls if call == "ask" and arguments[0] == probe]


def newest_symbol(control: FakeControl, probe: str) -> str:
    return next((parameters["symbol"] for parameters in reversed(asked(control, probe))), "")


async def open_market(pilot: Pilot[Any]) -> None:
    await pilot.press("4")
    await until_seen(pilot, "40 of 40 symbols")


async def test_the_list_shows_both_prices_ages_and_which_cannot_be_trusted() -> None:
    async with console(demo()).run_test(size=WIDE) as pilot:
        await open_market(pilot)
        lines = seen(pilot.app).split("\n")
        line = {
            name: next(line for line in lines if f" {name} " in line[:14]) for name in ("AAPL", "AMD", "BRK.B", "DEAD")
        }
        assert "● AAPL" in line["AAPL"]
        assert "326.88" in line["AAPL"]
        assert "+0.55%" in line["AAPL"]
        assert "7s   48s" in line["AAPL"]
        assert "▲ AMD" in line["AMD"], "the cache contradicts the database"
        assert "◌ BRK.B" in line["BRK.B"], "the cached price is old"
        assert line["DEAD"].count("—") >= 3
        await until_seen(pilot, "cache 326.89")
        await until_seen(pilot, "Watch · cache ● 36 fresh ▲ 1 differ ◌ 1 old")


async def test_positions_show_average_cost_and_gains_of_each_owner() -> None:
    async with console(demo()).run_test(size=WIDE) as pilot:
        await open_market(pilot)
        await until_seen(pilot, "OWNER              NET  AVG COST OPEN P/L  REALISED")
        await until_seen(pilot, "trader0014         320    327.06      -58    +1,400")


async def test_the_cursor_leads_every_panel_to_its_symbol() -> None:
    control = demo()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_market(pilot)
        await until_seen(pilot, "Positions · AAPL")
        await pilot.press("j")
        for panel in ("Depth", "Positions", "Volatility"):
            await until_seen(pilot, f"{panel} · AMD")
        await until_seen(pilot, "1Min  AMD 250.66")
        for probe in ("market.bars", "market.depth", "market.positions", "market.volatility"):
            await until(pilot, lambda probe=probe: newest_symbol(control, probe) == "AMD", probe)
        await pilot.press("G")
        await until(pilot, lambda: newest_symbol(control, "market.depth") == "TSLA")


async def test_a_symbol_without_anything_says_so_in_every_panel() -> None:
    async with console(demo()).run_test(size=WIDE) as pilot:
        await open_market(pilot)
        await pilot.press("/", *"dead", "enter")
        for text in ("No bar of 1Min", "No resting limit order", "No open position", "3 returns: too few"):
            await until_seen(pilot, text)


async def test_a_small_terminal_shows_one_panel_and_asks_only_for_it() -> None:
    control = demo()
    async with console(control).run_test(size=SMALL) as pilot:
        await open_market(pilot)
        assert {call[1][0] for call in control.calls if call[0] == "ask"} == {"market.watch"}
        await pilot.press("enter")
        await until_seen(pilot, "volume")
        assert "TREND" not in seen(pilot.app)
        for text in ("BID", "OWNER", "volume by hour", "TREND"):
            await pilot.press("tab")
            await until_seen(pilot, text)
        await pilot.press("shift+tab")
        await until_seen(pilot, "volume by hour")
        await pilot.press("escape")
        await until_seen(pilot, "TREND")


async def test_the_filter_the_order_and_the_timeframe_ask_anew() -> None:
    control = demo()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_market(pilot)
        await pilot.press("/", *"am", "enter")
        await until_seen(pilot, "2 of 2 symbols")
        await until_seen(pilot, "Watch /AM")
        await pilot.press("escape")
        await until_seen(pilot, "40 of 40 symbols")
        await pilot.press("s")
        await until_seen(pilot, "gainers first")
        await until(pilot, lambda: asked(control, "market.watch")[-1]["order"] == "gainers")
        await pilot.press("s", "s")
        await until_seen(pilot, "by symbol")
        await pilot.press("t")
        await until(pilot, lambda: asked(control, "market.bars")[-1]["timeframe"] == "5Min")
        await until_seen(pilot, "5Min  ")
        await pilot.press("/", *"zzz", "enter")
        await until_seen(pilot, "No active symbol begins with “ZZZ”")


async def test_it_asks_every_two_seconds_while_seen_and_not_at_all_while_another_screen_is() -> None:
    control = demo()
    async with console(control).run_test(size=SMALL) as pilot:
        await open_market(pilot)
        before = len(asked(control, "market.watch"))
        control.clock.advance(2)
        await until(pilot, lambda: len(asked(control, "market.watch")) == before + 1)
        await pilot.press("1")
        await until_seen(pilot, "Running")
        control.clock.advance(60)
        await pilot.pause(2.2)
        assert len(asked(control, "market.watch")) == before + 1
        await pilot.press("4")
        await until(pilot, lambda: len(asked(control, "market.watch")) == before + 2)


async def test_a_question_that_is_not_answered_holds_up_nothing_and_is_not_asked_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    control = demo()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_market(pilot)
        await until_seen(pilot, "own resting orders")
        waiting: list[str] = []

        async def never(probe: str, parameters: Any) -> msgspec.Struct:
            waiting.append(probe)
            await asyncio.Event().wait()
            raise AssertionError

        with monkeypatch.context() as patch:
            patch.setattr(control, "ask", never)
            control.clock.advance(2)
            await until(pilot, lambda: "market.watch" in waiting)
            control.clock.advance(8)
            await until_seen(pilot, "stale 10 s: no newer answer yet")
            assert waiting.count("market.watch") == 1
            await pilot.press("j")
            await until_seen(pilot, "1Min  AMD")
            await until_seen(pilot, "Loading…")
        await pilot.press("r")
        await until_gone(pilot, "stale")


async def test_a_dead_cache_is_named() -> None:
    control = demo()
    whole = control.answers["market.watch"]

    def without_cache(parameters: Any) -> Watch:
        answer = whole(parameters)
        assert isinstance(answer, Watch)
        quotes = tuple(msgspec.structs.replace(q, cached=None, cached_at=None) for q in answer.quotes)
        return msgspec.structs.replace(answer, quotes=quotes, cache_problem="127.0.0.1:6379 refuses connections")

    control.answers["market.watch"] = without_cache
    async with console(control).run_test(size=WIDE) as pilot:
        await open_market(pilot)
        await until_seen(pilot, "✖ no cached prices: 127.0.0.1:6379 refuses connections")
        await until_seen(pilot, "Watch · no cache")


async def test_it_is_reached_by_g_m_and_by_its_verb_with_a_filter() -> None:
    async with console(demo()).run_test(size=WIDE) as pilot:
        await pilot.press("g", "m")
        await until_seen(pilot, "40 of 40 symbols")
        await pilot.press("1", "colon", *"market am", "enter")
        await until_seen(pilot, "2 of 2 symbols")


@SIZES
def test_market(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_market(pilot)
        if size == WIDE:
            for text in ("volume by hour", "trader00", "own resting", "O 327"):
                await until_seen(pilot, text)

    assert snap_compare(console(demo()), terminal_size=size, run_before=steps)


@pytest.mark.parametrize(("tabs", "text"), [(0, "volume"), (1, "spread"), (2, "trader0014"), (3, "vwap")])
def test_panels_of_a_small_terminal(snap_compare: Any, tabs: int, text: str) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_market(pilot)
        await pilot.press("enter", *["tab"] * tabs)
        await until_seen(pilot, text)

    assert snap_compare(console(demo()), terminal_size=SMALL, run_before=steps)


@SIZES
def test_market_without_database(snap_compare: Any, size: tuple[int, int]) -> None:
    control = demo()
    control.failures["ask"] = ConsoleError(
        "the database at 127.0.0.1:5432/qsuite does not answer", hint="is it running? `qsuite-console doctor` tells"
    )

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("4")
        await until_seen(pilot, "r reads it now")

    assert snap_compare(console(control), terminal_size=size, run_before=steps)


async def test_why_there_are_no_quotes_is_read_to_its_end_in_a_small_terminal() -> None:
    control = demo()
    hint = "wait for it, stop that process, or set QSUITE_CONSOLE_HOME for an instance of your own"
    control.failures["ask"] = ConsoleError("another process owns this history and its engine is away", hint=hint)
    async with console(control).run_test(notifications=True, size=(60, 20)) as pilot:
        await pilot.press("4")
        await until_seen(pilot, "r reads it now")
        words = " ".join(seen(pilot.app).replace("│", " ").split())
        assert "another process owns this history and its engine is away" in words
        assert hint in words


@pytest.mark.parametrize("theme", ["qsuite-light", "qsuite-mono", "qsuite-ansi"])
def test_market_in_other_themes(snap_compare: Any, theme: str) -> None:
    app = console(demo())

    async def steps(pilot: Pilot[Any]) -> None:
        app.theme = theme
        await open_market(pilot)
        for text in ("volume by hour", "trader00", "own resting", "O 327"):
            await until_seen(pilot, text)

    assert snap_compare(app, terminal_size=WIDE, run_before=steps)


async def test_the_footer_offers_to_open_a_symbol_once_there_is_one() -> None:
    control = demo()
    answer = control.answers["market.watch"]
    control.answers["market.watch"] = lambda parameters: msgspec.structs.replace(
        answer(parameters), quotes=(), symbols_total=0
    )
    async with console(control).run_test(size=WIDE) as pilot:
        await pilot.press("4")
        await until_gone(pilot, "Loading…")
        assert "Enter Open" not in seen(pilot.app)
        control.answers["market.watch"] = answer
        await pilot.press("r")
        await until_seen(pilot, "40 of 40 symbols")
        await until_seen(pilot, "Enter Open")
