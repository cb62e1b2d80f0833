"""Whoever may only look is told so at the key that would change something: never after a question or a form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Input

from fakes.alerting import alerting
from fakes.changing import changing
from fakes.control import FakeControl, demo
from fakes.timetable import scheduled
from screens.seeing import console, until, until_seen

WHY: Final = "the token wall has the scope read: it changes nothing"
HINT: Final = "use one that may operate"
CHANGES: Final = {"submit", "act", "perform", "propose", "set_queue"}


async def line(pilot: Pilot[Any], text: str) -> None:
    await pilot.press("colon")
    await until(pilot, lambda: pilot.app.screen.query("#line"), "the command line")
    pilot.app.screen.query_one("#line", Input).value = text
    await pilot.press("enter")


def told(pilot: Pilot[Any]) -> list[str]:
    return [one.message for one in pilot.app._notifications]


@pytest.mark.parametrize(
    ("make", "place", "what"),
    [
        (demo, "2", "C"),
        (demo, "2", "p"),
        (demo, "2", ":cancel 426"),
        (demo, "2", ":run"),
        (alerting, "8", "a"),
        (alerting, "8", "s"),
        (scheduled, "9", "n"),
        (scheduled, "9", "D"),
        (changing, "1", ":act"),
        (changing, "1", ":act database.terminate pid=4711"),
    ],
)
async def test_it_is_told_before_anything_is_asked(make: Callable[[], FakeControl], place: str, what: str) -> None:
    control = make()
    control.set_state(is_read_only=True, forbids=f"{WHY}\n{HINT}")
    async with console(control).run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press(place)
        await until_seen(pilot, "read-only")
        if what.startswith(":"):
            await line(pilot, what[1:])
        else:
            await until(pilot, lambda: _is_offered(pilot, what), "the key")
            await pilot.press(what)
        await until(pilot, lambda: told(pilot), "the refusal")
        assert told(pilot) == [f"{WHY}\n{HINT}"]
        assert not isinstance(pilot.app.screen, ModalScreen)
    assert not [name for name, _ in control.calls if name in CHANGES]


def _is_offered(pilot: Pilot[Any], key: str) -> bool:
    found = pilot.app.screen.active_bindings.get(key)
    return found is not None and found.enabled
