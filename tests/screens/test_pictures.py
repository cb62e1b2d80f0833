"""Pictures of the screens; read them when they change, then accept with --snapshot-update."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from fakes.control import demo, empty
from fakes.platform import readings
from qsuite_console.app import ConsoleApp
from qsuite_console.config.settings import InterfaceSettings
from screens.seeing import console, until_seen

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


@SIZES
def test_overview(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await until_seen(pilot, "34 / 100")

    assert snap_compare(console(demo()), terminal_size=size, run_before=steps)


@SIZES
def test_overview_empty(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await until_seen(pilot, "No job is running")

    assert snap_compare(console(empty()), terminal_size=size, run_before=steps)


@SIZES
def test_overview_with_a_dead_source_and_a_stale_one(snap_compare: Any, size: tuple[int, int]) -> None:
    control = demo()
    postgresql, redis, host, jobs = readings()
    dead = msgspec.structs.replace(
        redis, sampled_at=None, history=(), figures=(), error="connection refused (db-1:6379)"
    )
    control.clock.advance(40)
    now = control.clock.now()
    control.sample([postgresql, dead, *(msgspec.structs.replace(r, sampled_at=now) for r in (host, jobs))])

    async def steps(pilot: Pilot[Any]) -> None:
        await until_seen(pilot, "stale 41 s")

    assert snap_compare(console(control), terminal_size=size, run_before=steps)


@SIZES
def test_jobs(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("2")
        await until_seen(pilot, "426  backfill")
        await pilot.press("j", "space", "space", "j")
        await until_seen(pilot, "2 marked")

    assert snap_compare(console(demo()), terminal_size=size, run_before=steps)


@SIZES
def test_job(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        pilot.app.open_page("job", 412)
        await until_seen(pilot, "14:20")
        await until_seen(pilot, "running for")

    assert snap_compare(console(demo()), terminal_size=size, run_before=steps)


def test_help(snap_compare: Any) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("2")
        await until_seen(pilot, "426  backfill")
        await pilot.press("?")
        await until_seen(pilot, "Keys here")

    assert snap_compare(console(demo()), terminal_size=(120, 40), run_before=steps)


@pytest.mark.parametrize("theme", ["qsuite-light", "qsuite-contrast", "qsuite-mono", "qsuite-ansi"])
def test_themes(snap_compare: Any, theme: str) -> None:
    control = demo()
    app = ConsoleApp(control, clock=control.clock, interface=InterfaceSettings(theme=theme))

    async def steps(pilot: Pilot[Any]) -> None:
        await until_seen(pilot, "34 / 100")

    assert snap_compare(app, terminal_size=(80, 24), run_before=steps)
