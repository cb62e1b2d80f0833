"""What every pane does alike: it asks while it is seen, says that it loads, is stale, refused or read in part."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import msgspec
import pytest
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.pilot import Pilot

from fakes.control import FakeControl, demo
from qsuite_console import commands
from qsuite_console.model import wire
from qsuite_console.model.advice import Unread
from qsuite_console.model.errors import ConsoleError
from qsuite_console.screens.panes import Pane, PaneScreen, contains
from qsuite_console.widgets.entry_table import EntryTable
from qsuite_console.widgets.live_table import Column
from screens.seeing import console, seen, until, until_gone, until_seen

WIDE, SMALL = (120, 40), (80, 24)


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""

    names: tuple[str, ...] = ()
    cost_ms: float = 14.2
    unread: tuple[Unread, ...] = ()


class FirstPane(Pane[Sessions]):
    """Asks every two seconds."""

    NAME, TITLE, PROBE, KIND = "first", "First", "test.first", Sessions
    EMPTY = "No session at all"
    FILTER = "words of a name"

    def __init__(self) -> None:
        super().__init__()
        self.table = EntryTable[str]([Column("name", "NAME", 12, is_flexible=True)], self._row, id="names")
        self.other = EntryTable[str]([Column("name", "OTHER", 12, is_flexible=True)], self._row, id="others")

    @staticmethod
    def _row(name: str) -> dict[str, str]:
        return {"name": name}

    def compose_pane(self) -> ComposeResult:
        yield self.table
        yield self.other

    def has_nothing(self, answer: Sessions) -> bool:
        return not answer.names

    def show_answer(self, answer: Sessions, now: datetime) -> None:
        self.table.show({name: name for name in answer.names if contains(self.text, name)})


class SlowPane(FirstPane):
    """Asks every minute."""

    NAME, TITLE, PROBE, PERIOD_S = "slow", "Slow", "test.slow", 60.0


class PanedScreen(PaneScreen):
    """Two panes about PostgreSQL."""

    SCOPE = "system"
    SOURCE = "postgresql"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("system")
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = (FirstPane, SlowPane)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a probe answers with must be of the model to leave an engine; this is not."""
    monkeypatch.setitem(wire._structs(), f"{__name__.rpartition('.')[2]}.{Sessions.__name__}", Sessions)


def control_with(answer: Sessions) -> FakeControl:
    control = demo()
    control.answers["test.first"] = control.answers["test.slow"] = lambda parameters: answer
    return control


async def open_panes(pilot: Pilot[Any]) -> PanedScreen:
    screen = PanedScreen()
    await pilot.app.push_screen(screen)
    return screen


def asked(control: FakeControl, probe: str) -> int:
    return sum(call == "ask" and arguments[0] == probe for call, arguments in control.calls)


@pytest.mark.parametrize("size", [(60, 15), SMALL, WIDE, (200, 60)], ids=str)
async def test_an_answer_shows_with_its_cost_and_age(size: tuple[int, int]) -> None:
    control = control_with(Sessions(names=("anna", "bert")))
    async with console(control).run_test(size=size) as pilot:
        screen = await open_panes(pilot)
        await until_seen(pilot, "bert")
        await until_seen(pilot, "14 ms · now")
        await until(
            pilot, lambda: screen.focused is not None and screen.focused.id == "names", "the list has the focus"
        )
        control.clock.advance(1)
        await until_seen(pilot, "14 ms · 1 s ago")


async def test_only_the_pane_that_is_seen_is_asked_about() -> None:
    control = control_with(Sessions(names=("anna",)))
    async with console(control).run_test(size=SMALL) as pilot:
        await open_panes(pilot)
        await until_seen(pilot, "anna")
        assert (asked(control, "test.first"), asked(control, "test.slow")) == (1, 0)
        await pilot.press("tab")
        await until(pilot, lambda: asked(control, "test.slow") == 1)
        control.clock.advance(10)
        await pilot.press("left")
        await until(pilot, lambda: asked(control, "test.first") == 2)
        assert asked(control, "test.slow") == 1


async def test_no_answer_yet_an_empty_one_and_none_at_all_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    control = control_with(Sessions())
    ask = control.ask
    waiting: list[str] = []
    released: list[bool] = []  # seen by the loop of the engine too, which may be another

    async def late(probe: str, parameters: Mapping[str, Any]) -> msgspec.Struct:
        waiting.append(probe)
        while not released:
            await asyncio.sleep(0.01)
        return await ask(probe, parameters)

    monkeypatch.setattr(control, "ask", late)
    async with console(control).run_test(size=SMALL) as pilot:
        await open_panes(pilot)
        await until_seen(pilot, "Loading…")
        await until(pilot, lambda: waiting, "the question")
        control.clock.advance(7)
        await until_seen(pilot, "Loading… 7 s")
        released.append(True)
        await until_seen(pilot, "No session at all")
        control.failures["ask"] = ConsoleError("connection refused", hint="start it")
        await pilot.press("tab")
        for text in ("✖ connection refused", "start it", "read again by itself", "✖ no answer"):
            await until_seen(pilot, text)
        del control.failures["ask"]
        control.clock.advance(2)
        await until_seen(pilot, "No session at all")


async def test_what_is_not_answered_again_is_stale_within_three_seconds_and_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    control = control_with(Sessions(names=("anna", "bert")))
    async with console(control).run_test(size=SMALL) as pilot:
        await open_panes(pilot)
        await until_seen(pilot, "anna")

        async def never(probe: str, parameters: Mapping[str, Any]) -> msgspec.Struct:
            await asyncio.Event().wait()
            raise AssertionError

        with monkeypatch.context() as patch:
            patch.setattr(control, "ask", never)
            control.clock.advance(2.5)
            await pilot.pause(0.5)
            assert "stale" not in seen(pilot.app)
            control.clock.advance(0.3)
            await until_seen(pilot, "◌ stale 2 s: no newer answer yet")
            await until_seen(pilot, "bert")
            control.clock.advance(10)
            await until_seen(pilot, "◌ stale 12 s")
            await pilot.press("j")
            screen = pilot.app.screen
            assert screen.query_one("#names", EntryTable).entry == "bert"
        control.failures["ask"] = ConsoleError("PostgreSQL does not answer")
        await pilot.press("r")
        await until_seen(pilot, "◌ stale 12 s: PostgreSQL does not answer")
        del control.failures["ask"]
        control.clock.advance(1)
        await until_gone(pilot, "stale")


async def test_a_pane_that_asks_seldom_learns_from_the_sampler_that_its_server_is_silent() -> None:
    control = control_with(Sessions(names=("anna",)))
    async with console(control).run_test(size=SMALL) as pilot:
        await open_panes(pilot)
        await pilot.press("tab")
        await until_seen(pilot, "14 ms")
        control.sample(control.state.snapshot.readings)
        silent = [
            msgspec.structs.replace(reading, error="PostgreSQL did not answer within 0.9 s")
            for reading in control.state.snapshot.readings
        ]
        control.clock.advance(2.8)
        control.sample(silent)
        await until_seen(pilot, "◌ stale 2 s: PostgreSQL did not answer within 0.9 s")
        control.sample([msgspec.structs.replace(reading, sampled_at=control.clock.now()) for reading in silent])
        await until_gone(pilot, "stale")


async def test_what_could_not_be_read_is_named_with_what_to_do() -> None:
    unread = (Unread(what="waits of others", why="needs pg_monitor", hint="GRANT pg_monitor TO console"),)
    control = control_with(Sessions(names=("anna",), unread=unread))
    async with console(control).run_test(size=WIDE) as pilot:
        await open_panes(pilot)
        await until_seen(pilot, "⊘ can't read waits of others: needs pg_monitor  GRANT pg_monitor TO console")
        await until_seen(pilot, "anna")
        control.answers["test.slow"] = lambda parameters: Sessions(unread=unread)
        await pilot.press("tab")
        await until_gone(pilot, "anna")
        await until_seen(pilot, "GRANT pg_monitor TO console")
        assert "No session" not in seen(pilot.app)


async def test_filter_parts_and_back() -> None:
    control = control_with(Sessions(names=("anna", "bert")))
    async with console(control).run_test(size=SMALL) as pilot:
        screen = await open_panes(pilot)
        await until_seen(pilot, "bert")
        await pilot.press("/")
        await until_seen(pilot, "words of a name")
        await pilot.press(*"ber", "enter")
        await until_gone(pilot, "anna")
        assert screen.focused is not None
        assert screen.focused.id == "names"
        await pilot.press("w")
        await until(pilot, lambda: screen.focused is not None and screen.focused.id == "others", "the second part")
        await pilot.press("escape")
        await until_seen(pilot, "anna")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is not screen, "Esc leaves")


async def test_a_verb_leads_to_a_pane_by_its_name_or_its_beginning() -> None:
    control = control_with(Sessions(names=("anna", "bert")))
    async with console(control).run_test(size=SMALL, notifications=True) as pilot:
        await open_panes(pilot)
        command = commands.BY_ID["go.system"]
        screen = pilot.app.screen
        assert isinstance(screen, PanedScreen)
        await screen.take(command, "sl bert")
        await until(pilot, lambda: asked(control, "test.slow") == 1)
        await until_seen(pilot, "bert")
        await until_gone(pilot, "anna")
        await screen.take(command, "nowhere")
        await until_seen(pilot, "no pane 'nowhere'")
        await until_seen(pilot, "known: first, slow")
