"""Text from databases, APIs and logs is shown, never obeyed: no escape sequence, no markup, on any screen."""

from __future__ import annotations

import unicodedata

import msgspec
import pytest

from fakes.control import FakeControl, demo
from fakes.platform import alerts, readings
from qsuite_console.engine.state import TargetView
from qsuite_console.model.events import JobChanged
from qsuite_console.model.jobs import JobState, LogLine, Progress
from screens.seeing import console, seen, until, until_seen

HOSTILE = "\x1b]2;owned\x1b\\ \x9b5m \u202egnol\u202c [/x] [@click=app.quit]press[/] [bold]b\x07\x00\t\r\nZ"
FORBIDDEN = ("\x1b", "\x9b", "\u202e", "\x07", "\x00", "\r")


def assert_harmless(text: str) -> None:
    for character in FORBIDDEN:
        assert character not in text, f"{character!r} reaches the terminal"
    assert not [c for c in text if unicodedata.category(c) == "Cc" and c != "\n"]


def hostile_platform() -> FakeControl:
    """The demo platform with every text that comes from outside turned against the terminal."""
    control = demo(target=TargetView(name=HOSTILE, word=HOSTILE, database=HOSTILE), history=20)
    now = control.clock.now()
    bad = [
        msgspec.structs.replace(
            r,
            title=HOSTILE,
            error=HOSTILE,
            headline=msgspec.structs.replace(r.headline, label=HOSTILE, text=HOSTILE, unit=HOSTILE, limit=HOSTILE),
            figures=tuple(msgspec.structs.replace(f, label=HOSTILE, text=HOSTILE, limit=HOSTILE) for f in r.figures),
        )
        for r in readings(now)
    ]
    control.sample(bad, [msgspec.structs.replace(a, message=HOSTILE, source=HOSTILE) for a in alerts(now)])
    for job_id in (412, 415):
        progress = Progress(fraction=0.5, done=1, unit=HOSTILE, message=HOSTILE, figures={HOSTILE: HOSTILE, "rows": 3})
        evil = msgspec.structs.replace(
            control.all_jobs[job_id], title=HOSTILE, error=HOSTILE, reason=HOSTILE, kind=HOSTILE, queue=HOSTILE,
            origin=HOSTILE, correlation_id=HOSTILE, parameters={HOSTILE: HOSTILE, "n": {"a": HOSTILE}},
            progress=progress,
        )  # fmt: skip
        control.emit(JobChanged(at=now, job=evil, previous=JobState.RUNNING))
    control.change(3, state=JobState.FAILED, error=HOSTILE, title=HOSTILE)
    control.log_lines[412] = [
        LogLine(job_id=412, number=n, at=now, level="INFO", message=HOSTILE) for n in range(1, 40)
    ]
    control.set_state(trouble=HOSTILE, owner=HOSTILE, is_attached=True)
    return control


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_hostile_text_is_harmless_on_every_screen(size: tuple[int, int]) -> None:
    control = hostile_platform()
    app = console(control)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until_seen(pilot, "owned")
        assert_harmless(seen(app))
        app.screen.query_one("#tile-redis").focus()
        await pilot.press("i")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.pause()
        assert_harmless(seen(app))
        await pilot.press("escape", "2")
        await until_seen(pilot, "412")
        assert_harmless(seen(app))
        app.open_page("job", 412)
        await until_seen(pilot, "#412")
        for _ in range(5):
            await pilot.press("tab")
            await pilot.pause()
            assert_harmless(seen(app))
        await pilot.press("y")
        assert_harmless(app.clipboard.replace("\t", " "))
        await pilot.press("C")
        await until_seen(pilot, "Cancel job 412?")
        assert_harmless(seen(app))
        await pilot.press("escape", "ctrl+p", *"412")
        await until_seen(pilot, "Job 412")
        assert_harmless(seen(app))
        assert app.is_running
