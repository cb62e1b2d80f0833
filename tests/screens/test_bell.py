"""The terminal rings when an alert fires or becomes critical, and at no other time."""

from __future__ import annotations

import pytest
from msgspec import structs

from fakes.alerting import CONNECTIONS, DISK, HITS, MEMORY
from fakes.control import FakeControl, demo
from fakes.platform import NOW, readings
from qsuite_console.app import ConsoleApp
from qsuite_console.config.settings import InterfaceSettings
from qsuite_console.model.health import Alert, Level, Snapshot
from qsuite_console.screens.bell import Bell
from screens.seeing import until

WARNING = structs.replace(CONNECTIONS, level=Level.WARNING)


def snapshot(*alerts: Alert) -> Snapshot:
    return Snapshot(at=NOW, alerts=alerts)


@pytest.mark.parametrize(
    ("wanted", "rung"),
    [("off", [0, 0, 0, 0, 0, 0, 0]), ("critical", [0, 0, 1, 0, 0, 0, 1]), ("warning", [0, 1, 1, 0, 0, 0, 1])],
)
def test_it_rings_on_change_only(wanted: str, rung: list[int]) -> None:
    bell = Bell(wanted)
    assert not bell.rings(Snapshot(alerts=(CONNECTIONS,)))  # nothing is known yet
    again = structs.replace(CONNECTIONS, since=NOW)
    steps = [
        snapshot(MEMORY, HITS, DISK),  # taken, silenced, cleared: and the first look
        snapshot(MEMORY, HITS, WARNING),
        snapshot(MEMORY, HITS, CONNECTIONS),
        snapshot(MEMORY, HITS, structs.replace(CONNECTIONS, message="another figure")),
        snapshot(structs.replace(CONNECTIONS, acknowledged_by="ada")),
        snapshot(),
        snapshot(again),
    ]
    assert [int(bell.rings(step)) for step in steps] == rung


async def test_the_console_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    control: FakeControl = demo()
    control.sample(readings(), alerts=(MEMORY,))
    app = ConsoleApp(control, clock=control.clock, interface=InterfaceSettings(theme="dark"))
    rung: list[int] = []
    monkeypatch.setattr(app, "bell", lambda: rung.append(1))
    async with app.run_test(size=(80, 24)) as pilot:
        control.sample(readings(), alerts=(MEMORY, CONNECTIONS))
        await until(pilot, lambda: rung, "the bell")
        control.sample(readings(), alerts=(MEMORY, CONNECTIONS))
        await pilot.pause()
        assert rung == [1]
