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


PLACES: dict[str, Opening] = {
    "overview": overview,
    "tile": tile,
    "jobs": jobs,
    "failed job": failed_job,
    "paused job": paused_job,
    "job": job,
    "attempts": attempts,
    "backfill": backfill,
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


async def press_in(place: str, command_id: str) -> None:
    """Open a place anew, press the key of one command there, and wait until something differs."""
    control = demo(history=60)
    app = console(control)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await PLACES[place](pilot)
        await pilot.pause()
        before = signature(app, control)
        key = live(app)[command_id][0]
        await pilot.press(key)
        await until(pilot, lambda: signature(app, control) != before, f"{command_id} ({key}) does nothing")


async def shown_in(place: str) -> list[str]:
    """The commands in the footer of a place."""
    async with console(demo(history=60)).run_test(size=(120, 40)) as pilot:
        await PLACES[place](pilot)
        active = pilot.app.screen.active_bindings.values()
        return list(dict.fromkeys(b.id for _, b, is_enabled, _ in active if b.show and is_enabled and b.id))


@pytest.mark.parametrize("place", PLACES)
async def test_every_key_in_the_footer_does_something(place: str) -> None:
    shown = await shown_in(place)
    assert len(shown) >= 2
    assert OWN.get(place, set()) <= set(shown)
    for command_id in [i for i in shown if i in OWN.get(place, shown)]:
        await press_in(place, command_id)


@pytest.mark.parametrize("command_id", ["go.jobs", "go.backfill", "app.help", "app.command", "app.palette", "app.go"])
async def test_the_keys_of_the_app_do_something(command_id: str) -> None:
    await press_in("overview", command_id)


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
