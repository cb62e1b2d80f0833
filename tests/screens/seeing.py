"""What a person would see and wait for: the screen as text, and conditions instead of sleeps."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

from textual.app import App
from textual.pilot import Pilot

from fakes.control import FakeControl
from qsuite_console.app import ConsoleApp
from qsuite_console.config.settings import InterfaceSettings
from screens.attached import ATTACHED, Twin

DEADLINE_S = 10.0
SOON_S, LATER_S = 0.05, 0.4  # a timer due by then belongs to what was just done; one that comes again does not
PATIENCE_S = 3.0  # some tests show what is seen while no answer comes
FRAMES: WeakKeyDictionary[App[object], int] = WeakKeyDictionary()  # how often each app has painted


def console(control: FakeControl) -> ConsoleApp:
    """The console on a fake engine, at its clock, in the dark theme whatever terminal the tests run in."""
    return ConsoleApp(ATTACHED.reached(control), clock=control.clock, interface=InterfaceSettings(theme="dark"))


_drawn: tuple[object, int, str] = (None, -1, "")  # screen, its number of frames, what they show


def seen(app: App[object]) -> str:
    """The screen as it is drawn, line by line; where frames are counted, drawn again only if the app has painted."""
    global _drawn
    if app not in FRAMES:
        return _draw(app)
    frames = FRAMES[app]
    if _drawn[0] is not app.screen or _drawn[1] != frames:
        _drawn = (app.screen, frames, _draw(app))
    return _drawn[2]


def _draw(app: App[object]) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


async def until_idle(min_sleep: float = 0.0, max_sleep: float = 5.0) -> None:
    """Wait until the loop has nothing to do and no timer is due soon.

    Textual looks at the processor's time every 20 ms instead: it waits where there is nothing to wait for, and a
    process that another one keeps from running looks idle to it.
    """
    loop = asyncio.get_running_loop()
    began, calm = loop.time(), 0
    end = began + max_sleep
    while calm < 2 and loop.time() < end:
        await asyncio.sleep(0)
        due = min((timer.when() for timer in loop._scheduled if not timer.cancelled()), default=math.inf)
        if loop._ready:
            calm = 0
        elif due > min(loop.time() + SOON_S, began + LATER_S):
            calm += 1
        else:
            calm = 0
            await asyncio.sleep(max(0.0, due - loop.time()))


async def until(pilot: Pilot[object], condition: Callable[[], object], what: str | Callable[[], str] = "") -> None:
    """Wait for a condition; fail with what it was about and the screen where it never comes."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"never came: {what() if callable(what) else what}\n{seen(pilot.app)}"
        await pilot.pause(0.02)


async def until_seen(pilot: Pilot[object], text: str) -> None:
    """Wait until a text is on the screen."""
    await until(pilot, lambda: text in seen(pilot.app), repr(text))


async def until_gone(pilot: Pilot[object], text: str) -> None:
    """Wait until a text is no longer on the screen."""
    await until(pilot, lambda: text not in seen(pilot.app), f"{text!r} stays")


async def until_still(pilot: Pilot[object], still_s: float = 0.3) -> None:
    """Wait until nothing more is to come over HTTP, and every cell and colour has been the same for a while."""
    control = pilot.app.control if isinstance(pilot.app, ConsoleApp) else None
    began = since = time.monotonic()
    shown: object = None
    while (now := time.monotonic()) < min(began + DEADLINE_S, since + still_s):
        await pilot.pause(0.05)
        is_coming = isinstance(control, Twin) and not control.is_calm and now < began + PATIENCE_S
        drawn = pilot.app.screen._compositor.render_strips()
        if is_coming or drawn != shown:
            shown, since = drawn, time.monotonic()
