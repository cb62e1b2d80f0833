"""The pane of what others were told: how each delivery stands, its tries, delivering again."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from fakes.telling import telling
from qsuite_console.model.deliveries import DeliveryPage
from screens.seeing import console, seen, until, until_seen

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


async def shown(pilot: Pilot[Any]) -> None:
    await pilot.press("8")
    await until_seen(pilot, "connections in use")
    for _ in range(4):
        await pilot.press("tab")
    await until_seen(pilot, "given up")


@SIZES
def test_deliveries(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await shown(pilot)
        await pilot.press("down")
        await until_seen(pilot, "try 3")

    assert snap_compare(console(telling()), terminal_size=size, run_before=steps)


async def test_standing_is_told_in_words_and_glyphs() -> None:
    async with console(telling()).run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        lines = seen(pilot.app).split("\n")
        for glyph, word, of in (
            ("…", "waiting", "59"),
            ("▲", "trying", "58"),
            ("✔", "arrived", "57"),
            ("✖", "given up", "31"),
        ):
            assert any(glyph in line and word in line and of in line for line in lines), (word, lines)
        assert "nothing arrives at desk now · 7 deliveries, 2 given up" in seen(pilot.app)


async def test_delivering_again_and_what_does_not_go_there() -> None:
    control = telling()
    async with console(control).run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        await pilot.press("down")
        await until_seen(pilot, "try 3")
        await pilot.press("D")
        await until(pilot, lambda: any(name == "perform" for name, _ in control.calls), "the delivery")
        performed = [arguments[:2] for name, arguments in control.calls if name == "perform"]
        assert performed == [("webhooks.redeliver", {"number": 58})]
        assert not pilot.app.screen.holds("subject")  # a job can't be silenced here
        await pilot.press("up")
        await until(pilot, lambda: pilot.app.screen.holds("subject"), "the alert")
        await pilot.press("slash", *"archive", "enter")
        await until(pilot, lambda: "desk" not in seen(pilot.app).split("LAST TRY")[1].split("job 398")[0], "the filter")
        assert "job 398" in seen(pilot.app)


async def test_nobody_is_told() -> None:
    control = telling()
    control.answers["webhooks.log"] = lambda given: DeliveryPage()
    async with console(control).run_test(size=(80, 24)) as pilot:
        await pilot.press("8")
        await until_seen(pilot, "connections in use")
        for _ in range(4):
            await pilot.press("tab")
        await until_seen(pilot, "Nobody was told of anything yet")
