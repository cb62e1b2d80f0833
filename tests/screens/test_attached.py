"""Every screen over HTTP shows what it shows beside its engine.

The first pane of each place here; with ``QSUITE_SCREENS_ATTACHED=1`` all panes, and all other tests of screens so.
"""

from __future__ import annotations

import difflib
import re

import pytest

from fakes.celery import celery_answers
from fakes.control import FakeControl
from fakes.made_reports import report_answers
from fakes.optimizing import plan
from fakes.pipelining import pipeline_answers
from fakes.timetable import scheduled
from qsuite_console import commands
from qsuite_console.app import ConsoleApp
from qsuite_console.config.settings import InterfaceSettings
from screens.attached import ATTACHED
from screens.seeing import seen, until
from screens.shots import machine

SIZE = (120, 40)
_THUMB = re.compile("[▁-█](?= ?│)")
IS_WHOLE = ATTACHED.is_wanted
WAYS = [
    (place.name, pane) for place in commands.PLACES for pane in (place.panes if IS_WHOLE else place.panes[:1]) or ("",)
]


def everything() -> FakeControl:
    """A platform that answers the questions of every screen."""
    control = machine()
    now = control.clock.now
    control.answers |= {**pipeline_answers(now), **celery_answers(now), **report_answers(now), "optimize": plan(now)}
    return scheduled(control=control)


def told(app: ConsoleApp) -> str:
    """What the screen says; where its scrollbars end depends on when they were laid out."""
    return _THUMB.sub(" ", seen(app))


def differences(beside: ConsoleApp, attached: ConsoleApp) -> str:
    """The lines that differ, those of the console beside its engine first."""
    return "\n".join(difflib.unified_diff(told(beside).split("\n"), told(attached).split("\n"), n=0))


def is_drawn(app: ConsoleApp) -> bool:
    """Whether every question of the screen was answered."""
    return not any(word in seen(app) for word in ("Loading", "Reading", "reading what", "reading the"))


@pytest.mark.slow
async def test_every_screen_shows_the_same_over_http() -> None:
    shown: list[str] = []
    beside = ConsoleApp(control := everything(), clock=control.clock, interface=InterfaceSettings(theme="dark"))
    control = everything()
    attached = ConsoleApp(ATTACHED.twin(control), clock=control.clock, interface=InterfaceSettings(theme="dark"))
    for app in (beside, attached):
        app.lag = type("Still", (), {"worst_s": 0.021})()  # type: ignore[assignment]  # the real one is never the same
    async with beside.run_test(size=SIZE), attached.run_test(size=SIZE) as pilot:
        for place, pane in WAYS:
            for app in (beside, attached):
                with app._context():
                    await app.go(place, pane=pane)
            await until(pilot, lambda: is_drawn(beside), f"{place} {pane} beside its engine")
            await until(
                pilot,
                lambda: told(attached) == told(beside),
                lambda place=place, pane=pane: f"{place} {pane}\n{differences(beside, attached)}",  # type: ignore[misc]
            )
            shown.append(told(attached))
    assert len(set(shown)) == len(WAYS)
