"""The sessions of a platform in trouble, and the keys that lead to their panes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.pilot import Pilot

from fakes.control import FakeControl, demo
from qsuite_console.model.operations import Proposal
from qsuite_console.widgets.live_table import LiveTable
from screens.seeing import seen, until, until_seen

SMALL, WIDE = (80, 24), (120, 40)


def control() -> FakeControl:
    made = demo()

    def propose(title: str, does: str) -> Any:
        def proposed(parameters: Mapping[str, Any]) -> Proposal:
            return Proposal(
                operation="",
                title=title.format(**parameters),
                lines=("query: UPDATE orders", "It frees the 3 sessions that wait behind it."),
                do=does,
                parameters=dict(parameters),
            )

        return proposed

    made.proposals["database.cancel"] = propose("Cancel the statement of pid {pid}?", "cancel it")
    made.proposals["database.terminate"] = propose("Terminate the session of pid {pid}?", "terminate it")
    return made


def calls(made: FakeControl, name: str) -> list[tuple[Any, ...]]:
    return [arguments for call, arguments in made.calls if call == name]


def line_of(pilot: Pilot[Any], text: str) -> str:
    return next(line for line in seen(pilot.app).split("\n") if text in line)


async def open_activity(pilot: Pilot[Any]) -> None:
    await pilot.press("5")
    await until_seen(pilot, "14 sessions")
    await focused(pilot)


async def open_blocking(pilot: Pilot[Any]) -> None:
    await pilot.press(":", *"database blocking", "enter")
    await until_seen(pilot, "SESSION")
    await focused(pilot)


async def focused(pilot: Pilot[Any]) -> None:
    """Wait until the list has the focus, as it has before anybody can press a key."""
    await until(pilot, lambda: isinstance(pilot.app.focused, LiveTable), "the focus")
