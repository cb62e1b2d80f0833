"""What a person would see and wait for: the screen as text, and conditions instead of sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable

from textual.app import App
from textual.pilot import Pilot

from fakes.control import FakeControl
from qsuite_console.app import ConsoleApp

DEADLINE_S = 10.0


def console(control: FakeControl) -> ConsoleApp:
    """The console on a fake engine, at its clock."""
    return ConsoleApp(control, clock=control.clock)


def seen(app: App[object]) -> str:
    """The screen as it is drawn, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


async def until(pilot: Pilot[object], condition: Callable[[], object], what: str = "") -> None:
    """Wait for a condition; fail with the screen where it never comes."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"never came: {what}\n{seen(pilot.app)}"
        await pilot.pause(0.02)


async def until_seen(pilot: Pilot[object], text: str) -> None:
    """Wait until a text is on the screen."""
    await until(pilot, lambda: text in seen(pilot.app), repr(text))


async def until_gone(pilot: Pilot[object], text: str) -> None:
    """Wait until a text is no longer on the screen."""
    await until(pilot, lambda: text not in seen(pilot.app), f"{text!r} stays")
