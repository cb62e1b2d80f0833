"""The System screen: every pane by its keys, with what is missing named, and as it looks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from fakes import system
from fakes.control import FakeControl, demo
from qsuite_console.model.advice import Unread
from qsuite_console.model.system import DisksView
from qsuite_console.model.traffic import RequestsView
from screens.seeing import console, seen, until, until_gone, until_seen

TINY, SMALL, WIDE, HUGE = (60, 15), (80, 24), (120, 40), (200, 60)
# what is on each pane for certain, whatever the size
PANES = {
    "host": "46 % busy",
    "disks": "/var/lib/pos",
    "network": "eth0",
    "processes": "1200",
    "console": "148 MiB",
    "requests": "GET /prices",
}


def machine() -> FakeControl:
    control = demo()
    control.answers |= system.system_answers(control.clock.now)
    control.answers["metrics.series"] = lambda parameters: system.series(control.clock.now(), parameters)
    return control


async def go_to(pilot: Pilot[Any], pane: str) -> None:
    await pilot.press("7", *["tab"] * list(PANES).index(pane))
    await until_seen(pilot, PANES[pane])
    await until_seen(pilot, "now")


@pytest.mark.parametrize("size", [TINY, SMALL, WIDE, HUGE], ids=["60x15", "80x24", "120x40", "200x60"])
async def test_every_pane_shows_itself_in_every_size(size: tuple[int, int]) -> None:
    async with console(machine()).run_test(size=size) as pilot:
        await pilot.press("7")
        for text in PANES.values():
            await until_seen(pilot, text)
            await until_seen(pilot, "ms · now")
            await pilot.press("tab")
        await pilot.press(*["shift+tab"] * len(PANES))
        await until_seen(pilot, PANES["host"])


async def test_the_host_tells_cores_memory_swap_and_pressure() -> None:
    async with console(machine()).run_test(size=WIDE) as pilot:
        await go_to(pilot, "host")
        for text in (
            "46 % busy of 4 cores: user 38 %, system 6 %, disk wait 2 %",
            "  0 ━━━━━━━━╸───  71 %",
            "2.41 in 1 min, 1.87 in 5, 1.62 in 15: 0.60 a core",
            "12.5 GiB of 16.0 GiB used, 78 %; 3.5 GiB available",
            "▲ warning",
            "600 MiB of 4.0 GiB used; 0 B/s in, 46.9 KiB/s out",
            "memory  all                       2.0 %   0.8 %   0.3 %",
            "41d 03:00",
        ):
            await until_seen(pilot, text)


async def test_curves_have_units_and_their_limits_are_named() -> None:
    async with console(machine()).run_test(size=WIDE) as pilot:
        await go_to(pilot, "host")
        await until_seen(pilot, "CPU, last 30 min")
        await until_seen(pilot, "▲ 80 %")
        await until_seen(pilot, "✖ 95 %")
        await until_seen(pilot, "% · UTC")


async def test_curves_are_asked_for_only_where_they_are_seen() -> None:
    control = machine()
    async with console(control).run_test(size=SMALL) as pilot:
        await go_to(pilot, "host")
        assert not [call for call in control.calls if call[0] == "ask" and call[1][0] == "metrics.series"]


async def test_a_full_disk_one_that_hangs_and_an_interface_that_drops_are_marked() -> None:
    async with console(machine()).run_test(size=WIDE) as pilot:
        await go_to(pilot, "disks")
        lines = seen(pilot.app).split("\n")
        assert any("✖ /var/lib/postgresql" in line and "96%" in line and "20.0 GiB" in line for line in lines)
        assert any("◌ /mnt/archive" in line and "does not answer" in line for line in lines)
        assert any("nvme1n1" in line and "64 %" in line and "42.0 MiB/s" in line and "2.6 ms" in line for line in lines)
        await pilot.press("tab")
        await until_seen(pilot, "2.5/s, 18.2k ever")
        await until_seen(pilot, "⊘ can't read TCP segments sent again")
        await until_seen(pilot, "eth1 (down)")
        await until_seen(pilot, "TCP sockets: 182 in use, 0 orphaned, 41 waiting to be forgotten")


async def test_what_a_container_does_not_tell_is_named() -> None:
    control = machine()
    unread = (Unread(what="read and write rates of disks", why="the kernel does not tell it here"),)
    control.answers["system.disks"] = lambda parameters: msgspec.structs.replace(
        system.disks(control.clock.now()), devices=(), unread=unread
    )
    async with console(control).run_test(size=SMALL) as pilot:
        await go_to(pilot, "disks")
        await until_seen(pilot, "⊘ can't read read and write rates of disks: the kernel does not tell it here")
        await until_seen(pilot, "does not tell how its disks are used")
        assert isinstance(control.answers["system.disks"]({}), DisksView)


async def test_processes_are_ordered_filtered_and_shown_whole() -> None:
    control = machine()
    async with console(control).run_test(size=WIDE) as pilot:
        await go_to(pilot, "processes")
        await until_seen(pilot, "by processor time")
        await pilot.press("o")
        await until_seen(pilot, "by memory")
        await pilot.press("/", *"celery", "enter")
        await until_gone(pilot, "redis-server")
        await until_seen(pilot, "Processes /celery")
        await pilot.press("enter")
        await until_seen(pilot, "-m celery worker --number")
        await until_seen(pilot, "resident")
        await pilot.press("escape", "escape")
        await until_seen(pilot, "redis-server")
        asked = [call[1][1] for call in control.calls if call[0] == "ask" and call[1][0] == "system.processes"]
        assert {"order": "memory", "limit": 100, "text": "celery"} in asked


async def test_the_console_tells_its_own_lag_connections_and_costs() -> None:
    async with console(machine()).run_test(size=WIDE) as pilot:
        await go_to(pilot, "console")
        for text in (
            "2.3 % of one core",
            "34 of 20,000 it may open",
            "4 to PostgreSQL 10.20.0.5:5432",
            "36.0 MiB: samples.sqlite 31.0 MiB, history.sqlite 4.0 MiB",
            "database.activity",
            "screen lag",
        ):
            await until_seen(pilot, text)


async def test_what_programs_ask_and_what_was_slow_is_told() -> None:
    control = machine()
    async with console(control).run_test(size=WIDE) as pilot:
        await go_to(pilot, "requests")
        for text in (
            "30,206 requests in 6:12:00",
            "by dashboard 27,800, this machine 2,375, loader 31 · 4 turned away · http://127.0.0.1:8765",
            "2 kept, 1 very slow · slow from 2 s, very slow from 5 s",
            "✖ 7.4 s",
            "▲ 2.5 s",
        ):
            await until_seen(pilot, text)
        lines = seen(pilot.app).split("\n")
        assert any("POST /bars" in line and "loader" in line and "✖" in line for line in lines)
        assert any("GET /jobs/{job_id}/status" in line and "1.4 ms" in line and "17" in line for line in lines)


async def test_an_engine_that_nobody_asked_says_so() -> None:
    control = machine()
    control.answers["system.requests"] = lambda parameters: RequestsView(at=control.clock.now())
    async with console(control).run_test(size=SMALL) as pilot:
        await pilot.press("7", *["tab"] * list(PANES).index("requests"))
        await until_seen(pilot, "No program has asked this engine anything yet")


async def test_hostile_names_reach_no_terminal() -> None:
    control = machine()
    now = control.clock.now()
    evil = "\x1b]2;owned\x07[bold]x[/]"
    row = msgspec.structs.replace(system.processes(now, "cpu", "").rows[0], name=evil, user=evil, command=evil)
    control.answers["system.processes"] = lambda parameters: msgspec.structs.replace(
        system.processes(now, "cpu", ""), rows=(row,), states={evil: 1}
    )
    async with console(control).run_test(size=WIDE) as pilot:
        await go_to(pilot, "processes")
        await until_seen(pilot, "[bold]x[/]")
        assert "\x1b" not in seen(pilot.app)
        await pilot.press("enter")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2, "the process")
        assert "\x1b" not in seen(pilot.app)


@pytest.mark.parametrize("pane", PANES)
@pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])
def test_pictures(snap_compare: Any, pane: str, size: tuple[int, int]) -> None:
    app = console(machine())
    app.lag = type("Still", (), {"worst_s": 0.021})()  # type: ignore[assignment]  # the real one is never the same

    async def steps(pilot: Pilot[Any]) -> None:
        await go_to(pilot, pane)
        if size == WIDE and pane in ("host", "console"):
            await until_seen(pilot, "▲ 0.5 s" if pane == "console" else "✖ 95 %")

    assert snap_compare(app, terminal_size=size, run_before=steps)
