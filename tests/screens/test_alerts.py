"""The Alerts screen: what is told of each alert, taking and silencing it, the way to its cause, past and rules."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from fakes.alerting import CONNECTIONS, alerting
from fakes.control import FakeControl, empty
from qsuite_console.config.rules import RULES
from qsuite_console.model.errors import ConsoleError
from qsuite_console.screens.dialogs.silence import SilenceDialog, minutes_of, till_tomorrow
from screens.seeing import console, seen, until, until_gone, until_seen

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


def performed(control: FakeControl) -> list[tuple[str, dict[str, Any]]]:
    return [(arguments[0], arguments[1]) for name, arguments in control.calls if name == "perform"]


async def shown(pilot: Pilot[Any], pane: str = "") -> None:
    await pilot.press("8")
    await until_seen(pilot, "connections in use")
    for _ in range(["", "history", "silences", "rules"].index(pane)):
        await pilot.press("tab")


@SIZES
@pytest.mark.parametrize(
    ("pane", "text"),
    [("", "critical 95 %"), ("history", "200 alerts, older"), ("silences", "warming"), ("rules", "1 changed (*)")],
    ids=["open", "history", "silences", "rules"],
)
def test_alerts(snap_compare: Any, size: tuple[int, int], pane: str, text: str) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await shown(pilot, pane)
        await until_seen(pilot, text)
        if pane in ("", "history"):
            await until_seen(pilot, "━ ▲ ")

    assert snap_compare(console(alerting()), terminal_size=size, run_before=steps)


@SIZES
def test_silencing(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await shown(pilot)
        await pilot.press("s")
        await until_seen(pilot, "till tomorrow")

    assert snap_compare(console(alerting()), terminal_size=size, run_before=steps)


@SIZES
def test_overview_with_scores(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await until_seen(pilot, "Score 63")

    assert snap_compare(console(alerting()), terminal_size=size, run_before=steps)


async def test_standing_is_told_in_words_and_glyphs() -> None:
    async with console(alerting()).run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        lines = [line for line in seen(pilot.app).split("\n") if "warn" in line]
        for glyph, word, what in (
            ("✖", "critical", "connections in use"),
            ("▲", "acknowledged", "memory in use"),
            ("▲", "silenced", "hit rate"),
            ("✔", "cleared", "disk in use"),
        ):
            assert any(glyph in line and word in line and what in line for line in lines), (word, lines)
        assert "✖ 1 alert  ✓ 1 acknowledged  ∅ 1 silenced" in seen(pilot.app).split("\n")[0]


async def test_one_alert_in_full() -> None:
    async with console(alerting()).run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        await until_seen(pilot, "postgresql connections in use")
        for text in ("34 / 100", "warn 80 %, critical 95 %", "with 96.9 %", "12:34", "Sessions of max_connections"):
            assert text in seen(pilot.app).replace("│", " "), text
        await pilot.press("j")
        await until_seen(pilot, "ada@desk")
        await pilot.press("j")
        await until_seen(pilot, "bob@night")


async def test_a_takes_the_alert_without_a_question() -> None:
    control = alerting()
    async with console(control).run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot)
        await pilot.press("a")
        await until(pilot, lambda: performed(control), "taken")
        assert performed(control) == [("alerts.acknowledge", {"alert": "postgresql.connections"})]
        await pilot.press("j", "a")  # taken already: the key is dim
        await pilot.pause()
        assert len(performed(control)) == 1


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("1", "enter"), {"alert": "postgresql.connections", "minutes": 15.0, "reason": ""}),
        (("2", *"known", "enter"), {"alert": "postgresql.connections", "minutes": 60.0, "reason": "known"}),
        (("j", "enter", "enter"), {"alert": "postgresql.connections", "minutes": 240.0, "reason": ""}),
        (("5", *"2 d", "enter", "enter"), {"alert": "postgresql.connections", "minutes": 2880.0, "reason": ""}),
        (("5", *"soon", "enter", *"6h", "enter", "enter"),
         {"alert": "postgresql.connections", "minutes": 360.0, "reason": ""}),
        (("ctrl+t", "3", "enter"), {"alert": "postgresql", "minutes": 240.0, "reason": ""}),
    ],
)  # fmt: skip
async def test_s_asks_for_how_long_and_why(keys: tuple[str, ...], expected: dict[str, Any]) -> None:
    control = alerting()
    async with console(control).run_test(size=(80, 24)) as pilot:
        await shown(pilot)
        await pilot.press("s")
        await until(pilot, lambda: isinstance(pilot.app.screen, SilenceDialog), "the question")
        for key in keys:
            await pilot.press("space" if key == " " else key)
        await until(pilot, lambda: performed(control), "silenced")
        assert performed(control) == [("alerts.silence", expected)]


async def test_escape_silences_nothing() -> None:
    control = alerting()
    async with console(control).run_test(size=(80, 24)) as pilot:
        await shown(pilot)
        await pilot.press("s")
        await until_seen(pilot, "till tomorrow")
        await pilot.press("2", "escape")
        await until_gone(pilot, "till tomorrow")
        assert performed(control) == []


@pytest.mark.parametrize("pane", ["", "silences"])
async def test_capital_s_ends_a_silence(pane: str) -> None:
    control = alerting()
    async with console(control).run_test(size=(80, 24)) as pilot:
        await shown(pilot, pane)
        if pane:
            await until_seen(pilot, "everything of redis")
        else:
            await pilot.press("j", "j")
        await pilot.press("S")
        await until(pilot, lambda: performed(control), "ended")
        assert performed(control) == [("alerts.unsilence", {"alert": "redis" if pane else "redis.hit_rate"})]


async def test_a_refusal_is_told() -> None:
    control = alerting()
    control.failures["propose"] = ConsoleError("nothing is watched here", hint="start an engine")
    async with console(control).run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot)
        await pilot.press("a")
        await until_seen(pilot, "nothing is watched here")


async def test_enter_leads_to_the_cause() -> None:
    async with console(alerting()).run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.current_mode == "database", "the Database screen")


async def test_the_filter_works_on_every_pane() -> None:
    async with console(alerting()).run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        for text, there, gone in (("silenced", "hit rate", "disk in use"), ("ada", "memory in use", "hit rate:")):
            await pilot.press("slash", *text, "enter")
            await until_gone(pilot, gone)
            await until_seen(pilot, there)
            await pilot.press("escape")
            await until_seen(pilot, gone)
        await pilot.press("slash", *"zzz", "enter")
        await until_seen(pilot, "No alert matches “zzz”")
        await pilot.press("escape", "left", "left")
        await until_seen(pilot, f"{len(RULES)} rules")
        await pilot.press("slash", *"bar_age", "enter")
        await until_seen(pilot, "application.bar_age")
        await until_gone(pilot, "postgresql.connections")


async def test_the_past_goes_on_below() -> None:
    control = alerting()
    async with console(control).run_test(size=(120, 40)) as pilot:
        await shown(pilot, "history")
        await until_seen(pilot, "200 alerts, older below")
        await pilot.press("G")
        await until_seen(pilot, "400 alerts, older below")
        await pilot.press("G")
        await until_seen(pilot, "454 alerts")
        await pilot.press("slash", *"disk", "enter")
        await until_seen(pilot, "1 alert")


async def test_y_copies_what_the_configuration_would_say(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    app = console(alerting())
    monkeypatch.setattr(app, "copy_text", copied.append)
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        await pilot.press("y")
        await until(pilot, lambda: copied)
        assert copied == [f"{CONNECTIONS.since.isoformat()}  postgresql.connections  critical  {CONNECTIONS.message}"]
        await pilot.press("left", "left")
        await until_seen(pilot, f"{len(RULES)} rules")
        await pilot.press("j", "y")
        await until(pilot, lambda: len(copied) == 2)
    assert copied[1].split("\n")[:3] == ['[thresholds."postgresql.connections"]', "warning = 80", "critical = 95"]


async def test_nothing_burns_and_nothing_measured_are_told_apart() -> None:
    async with console(empty()).run_test(size=(80, 24)) as pilot:
        await pilot.press("8")
        await until_seen(pilot, "Nothing has been measured yet")


async def test_scores_explain_themselves_and_say_what_to_do() -> None:
    async with console(alerting()).run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "▲ Score 63 of 100  ✖ database 38  cache 91  system 100")
        await until_seen(pilot, "Trading  newest bar 42 s old  orders, last minute 224  orders pending 3,470")
        pilot.app.screen.query_one("#scores").focus()
        await pilot.press("enter")
        for text in ("scores 12", "93 % of what counts", "plain formula: 88.1", "Nearly every connection is taken",
                     "94 of 97", "ALTER SYSTEM SET max_connections = 200;"):  # fmt: skip
            await until_seen(pilot, text)
        await pilot.press("escape")
        await until_gone(pilot, "plain formula")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("90 min", 90), ("1.5h", 90), ("6 hours", 360), ("2d", 2880), ("", None), ("x", None), ("0", None),
     ("-5", None), ("31 d", None), ("1e9", None)],
)  # fmt: skip
def test_lengths_as_they_are_typed(text: str, minutes: float | None) -> None:
    assert minutes_of(text) == minutes


def test_tomorrow_begins_in_the_morning() -> None:
    since = CONNECTIONS.since.replace(hour=22, minute=30, second=0, microsecond=0)
    assert till_tomorrow(since, since.tzinfo) == 9.5 * 60
