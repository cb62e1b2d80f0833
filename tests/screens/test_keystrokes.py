"""Keys that come in one piece, as over a slow line: each is taken where the one before has led."""

from __future__ import annotations

from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from fakes.control import demo
from qsuite_console.screens.leaving import Dialog
from qsuite_console.widgets.filter_bar import FilterBar
from screens.seeing import console, until, until_seen

NAMES = {"/": "slash", ":": "colon", " ": "space", "\r": "enter", "\x1b": "escape"}


def burst(pilot: Pilot[Any], text: str) -> None:
    """Put all keys into the app's queue at once, as the driver does with one read of the terminal."""
    for one in text:
        key = NAMES.get(one, one)
        pilot.app.post_message(events.Key(key, one if one.isprintable() else None))


async def test_what_follows_a_slash_is_the_filter_and_presses_nothing() -> None:
    app = console(demo())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("2")
        await until_seen(pilot, "backfill")
        burst(pilot, "/quit")
        line = app.screen.query_one(FilterBar).query_one(Input)
        await until(pilot, lambda: line.value == "quit", "the filter")
        assert app.is_running
        assert app.return_value is None, "q has not quit"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_follows_a_colon_is_the_command_to_its_end(size: tuple[int, int]) -> None:
    app = console(demo())
    async with app.run_test(size=size) as pilot:
        await until_seen(pilot, "PostgreSQL")
        burst(pilot, ":jobs state:failed\r")
        await until(pilot, lambda: app.current_mode == "jobs", "the jobs")
        await until_seen(pilot, "state:failed")
        burst(pilot, ":cache keys\r")
        await until(pilot, lambda: app.current_mode == "cache", "the cache")


async def test_letters_after_g_and_keys_after_a_screen_are_taken_in_their_order() -> None:
    app = console(demo())
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "PostgreSQL")
        burst(pilot, "gj")
        await until(pilot, lambda: app.current_mode == "jobs", "the jobs")
        burst(pilot, "gs1" * 5 + "gd")
        await until(pilot, lambda: app.current_mode == "database", "the last of them")


async def test_a_line_that_is_left_takes_nothing_more() -> None:
    app = console(demo())
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "PostgreSQL")
        burst(pilot, ":jobs\x1b3")
        await until(pilot, lambda: app.current_mode == "backfill", "the screen of the key behind Esc")
        assert not isinstance(app.screen, Dialog)
