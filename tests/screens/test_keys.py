"""Footer and help promise nothing that isn't so: every key that is shown leads to an action that exists and acts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.actions import parse
from textual.pilot import Pilot

from fakes.control import FakeControl, demo
from qsuite_console.app import ConsoleApp
from qsuite_console.config.settings import InterfaceSettings
from screens.seeing import console, seen, until, until_seen

Opening = Callable[[Pilot[Any]], Awaitable[None]]


async def overview(pilot: Pilot[Any]) -> None:
    await until_seen(pilot, "Running")


async def tile(pilot: Pilot[Any]) -> None:
    await overview(pilot)
    pilot.app.screen.query_one("#tile-host").focus()
    await pilot.pause()


async def jobs(pilot: Pilot[Any]) -> None:
    await pilot.press("2")
    await until_seen(pilot, "newest first")
    await until_seen(pilot, "newest first")


async def failed_job(pilot: Pilot[Any]) -> None:
    await jobs(pilot)
    await pilot.press("/", *"failed", "enter")
    await until_seen(pilot, "/failed ─")


async def paused_job(pilot: Pilot[Any]) -> None:
    await jobs(pilot)
    await pilot.press("/", *"state:paused", "enter")
    await until_seen(pilot, "/state:paused ─")
    await until_seen(pilot, "p Resume")


async def job(pilot: Pilot[Any]) -> None:
    pilot.app.open_page("job", 412)
    await until_seen(pilot, "running for")


async def attempts(pilot: Pilot[Any]) -> None:
    await job(pilot)
    await pilot.press("tab", "tab")
    await until_seen(pilot, "OUTCOME")


async def backfill(pilot: Pilot[Any]) -> None:
    await pilot.press("3")
    await until_seen(pilot, "Symbols")


async def market(pilot: Pilot[Any]) -> None:
    await pilot.press("4")
    await until_seen(pilot, "own resting orders")
    await until_seen(pilot, "trader0014")


async def processes(pilot: Pilot[Any]) -> None:
    await pilot.app.go("system", pane="processes")
    await until_seen(pilot, "1200")
    await pilot.pause()


PLACES: dict[str, Opening] = {
    "overview": overview,
    "tile": tile,
    "jobs": jobs,
    "failed job": failed_job,
    "paused job": paused_job,
    "job": job,
    "attempts": attempts,
    "backfill": backfill,
    "market": market,
    "processes": processes,
}


# Places that differ from another one only in these keys of their footer: the others are pressed there.
OWN = {
    "failed job": {"jobs.retry", "jobs.delete"},
    "paused job": {"jobs.resume"},
    "attempts": {"table.open"},
}


def live(app: ConsoleApp) -> dict[str, tuple[str, Any, str]]:
    """Command id -> (key, node, action) of every enabled binding."""
    return {
        binding.id: (key, node, binding.action)
        for key, (node, binding, is_enabled, _) in app.screen.active_bindings.items()
        if is_enabled and binding.id
    }


@pytest.mark.parametrize("place", PLACES)
async def test_every_binding_has_an_action_that_exists(place: str) -> None:
    async with console(demo()).run_test(size=(120, 40)) as pilot:
        await PLACES[place](pilot)
        for key, (node, binding, _, _) in pilot.app.screen.active_bindings.items():
            namespace, name, _ = parse(binding.action)
            target = {"app": pilot.app, "screen": pilot.app.screen}.get(namespace, node)
            assert any(hasattr(target, f"{prefix}{name}") for prefix in ("action_", "_action_")), f"{key}: {name}"


def signature(app: ConsoleApp, control: FakeControl) -> tuple[object, ...]:
    return (
        seen(app),
        len(app.screen_stack),
        len(control.calls),
        app.clipboard,
        app.theme,
        app.return_value,
        app.screen.focused,
    )


async def press(pilot: Pilot[Any], control: FakeControl, place: str, command_id: str) -> None:
    """Press the key of one command in a place that is open, and wait until something differs."""
    app = pilot.app
    before = signature(app, control)
    key = live(app)[command_id][0]
    await pilot.press(key)
    await until(pilot, lambda: signature(app, control) != before, f"{command_id} ({key}) does nothing in {place}")


async def leave(pilot: Pilot[Any]) -> None:
    """Go back to the overview, through whatever a key has opened."""
    for _ in range(8):
        if len(pilot.app.screen_stack) == 1 and pilot.app.current_mode == "overview":
            break
        await pilot.press("escape")
        await pilot.pause()
        if len(pilot.app.screen_stack) == 1:
            await pilot.press("1")
    pilot.app.clear_notifications()


def shown(app: ConsoleApp) -> list[str]:
    """The commands in the footer."""
    active = app.screen.active_bindings.values()
    return list(dict.fromkeys(b.id for _, b, is_enabled, _ in active if b.show and is_enabled and b.id))


@pytest.mark.parametrize("place", PLACES)
async def test_every_key_in_the_footer_does_something(place: str) -> None:
    """In one app as long as a key leaves things as they were; anew after one that changed what can be done."""
    left: list[str] | None = None
    while left is None or left:
        control = demo(history=60)
        app = console(control)
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            while left is None or left:
                await PLACES[place](pilot)
                await pilot.pause()
                if left is None:
                    left = [i for i in shown(app) if i in OWN.get(place, shown(app))]
                    assert len(shown(app)) >= 2
                    assert OWN.get(place, set()) <= set(left)
                calls = len(control.calls)
                await press(pilot, control, place, left.pop(0))
                if any(call[0] in ("act", "submit") for call in control.calls[calls:]):
                    break
                await leave(pilot)


async def test_the_keys_of_the_app_do_something() -> None:
    control = demo(history=60)
    app = console(control)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        for command_id in ("go.jobs", "go.backfill", "app.help", "app.command", "app.palette", "app.go", "app.next",
                           "app.previous", "app.last"):  # fmt: skip
            await overview(pilot)
            await press(pilot, control, "overview", command_id)
            await leave(pilot)


async def test_help_shows_the_keys_as_they_are_bound_now() -> None:
    control = demo()
    app = ConsoleApp(
        control, clock=control.clock, interface=InterfaceSettings(keymap={"jobs.cancel": "x", "jobs.nonsense": "z"})
    )
    async with app.run_test(size=(120, 60), notifications=True) as pilot:
        await until_seen(pilot, "jobs.nonsense: no such command")
        app.clear_notifications()
        await jobs(pilot)
        await until_seen(pilot, "x Cancel")
        await pilot.press("?")
        await until_seen(pilot, "Keys here")
        lines = seen(app).split("\n")
        assert any(" x  Cancel the marked jobs" in line for line in lines)
        assert not any(" C  Cancel" in line for line in lines)
        for title in ("Jobs", "Lists", "Everywhere"):
            assert any(f"  {title}  " in line for line in lines), title


async def test_a_remapped_key_acts_and_its_old_one_does_not() -> None:
    control = demo()
    app = ConsoleApp(control, clock=control.clock, interface=InterfaceSettings(keymap={"jobs.cancel": "x"}))
    async with app.run_test(size=(120, 40)) as pilot:
        await jobs(pilot)
        await pilot.press("C")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        await pilot.press("x")
        await until_seen(pilot, "Cancel job 426?")
