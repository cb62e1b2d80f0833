"""What changes the platform, and which platform it is: asked by consequence, refused in words, the same everywhere."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from fakes.changing import OPERATIONS, PRODUCTION, STAGING, FakeTargets, changing
from fakes.control import FakeControl
from qsuite_console.app import ConsoleApp
from qsuite_console.config.settings import InterfaceSettings
from qsuite_console.engine.state import TargetView
from qsuite_console.messages import Leaving
from qsuite_console.model.errors import Conflict, HistoryOwned, TimedOut, UsageProblem
from qsuite_console.model.operations import Outcome
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.changing import parse_act
from qsuite_console.screens.dialogs.confirm import ConfirmDialog
from screens.seeing import seen, until, until_gone, until_seen
from screens.session_steps import focused

SMALL, WIDE, TINY = (80, 24), (120, 40), (60, 15)
SRC = Path(__file__).parents[2] / "src" / "qsuite_console"


def console(control: FakeControl, *, theme: str = "dark") -> ConsoleApp:
    targets = FakeTargets(control.state.target)
    return ConsoleApp(control, clock=control.clock, interface=InterfaceSettings(theme=theme), targets=targets)


def calls(control: FakeControl, name: str) -> list[tuple[Any, ...]]:
    return [arguments for called, arguments in control.calls if called == name]


async def type_line(pilot: Pilot[Any], line: str) -> None:
    await pilot.press("colon")
    await until(pilot, lambda: pilot.app.screen.query("#line"), "the command line")
    pilot.app.screen.query_one("#line", Input).value = line
    await pilot.press("enter")


async def test_an_operation_is_asked_for_with_its_consequence_and_done() -> None:
    control = changing()
    app = console(control)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "act database.terminate pid=4711")
        await until_seen(pilot, "Terminate the session of pid 4711?")
        assert "It frees 4 sessions behind it." in " ".join(seen(app).split())
        assert calls(control, "perform") == []
        await pilot.press("y")
        await until_seen(pilot, "database.terminate is done")
    [(operation, parameters, confirmation, origin)] = calls(control, "perform")
    assert (operation, confirmation, origin) == ("database.terminate", "", "console")
    assert parameters == {"pid": 4711, "backend_start": "2026-11-22T05:20:59Z"}, "those of the proposal"


async def test_escape_leaves_everything_as_it_is() -> None:
    control = changing()
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "act database.terminate pid=4711")
        await until_seen(pilot, "terminate it")
        await pilot.press("escape")
        await until_gone(pilot, "terminate it")
    assert calls(control, "perform") == []


@pytest.mark.parametrize("theme", ["dark", "mono"])
async def test_on_production_the_name_is_typed(theme: str) -> None:
    control = changing(PRODUCTION)
    app = console(control, theme=theme)
    async with app.run_test(notifications=True, size=TINY) as pilot:
        await until_seen(pilot, "PRODUCTION eu1")
        await type_line(pilot, "act database.terminate pid=4711")
        await until_seen(pilot, "type eu1 to confirm")
        await pilot.press("y", "enter")
        await until_seen(pilot, "that is not eu1")
        assert calls(control, "perform") == []
        await pilot.press("e", "u", "1", "enter")
        await until(pilot, lambda: calls(control, "perform"), "the operation")
    assert calls(control, "perform")[0][2] == "eu1"


async def test_a_read_only_target_refuses_before_anything_is_asked() -> None:
    control = changing(STAGING)
    app = console(control)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "act database.terminate pid=4711")
        await until_seen(pilot, "the target staging is read-only")
        assert isinstance(app.screen, ConsoleScreen)
    assert calls(control, "perform") == []


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Conflict("pid 4711 is another session now", hint="look again"), "is another session now"),
        (TimedOut("Terminate session did not end within 10 s; whether it took effect is not known"), "is not known"),
    ],
)
async def test_what_was_refused_and_what_nobody_knows_are_told(failure: Exception, words: str) -> None:
    control = changing()
    control.failures["perform"] = failure  # type: ignore[assignment]
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "act database.terminate pid=4711")
        await until_seen(pilot, "terminate it")
        await pilot.press("y")
        await until(pilot, lambda: words in " ".join(seen(pilot.app).replace("│", " ").split()), words)


async def test_what_was_not_done_is_no_success() -> None:
    control = changing()
    control.outcomes["cache.reset-slowlog"] = lambda _: Outcome(
        operation="cache.reset-slowlog", is_done=False, message="somebody emptied it before"
    )
    app = console(control)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "act cache.reset-slowlog")
        await until_seen(pilot, "Empty the slow log?")
        await pilot.press("y")
        await until_seen(pilot, "somebody emptied it before")
        assert [each.severity for each in app._notifications] == ["warning"]


async def test_act_without_a_name_lists_the_operations_and_asks_for_parameters() -> None:
    control = changing()
    app = console(control)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "act")
        await until_seen(pilot, "Change the platform")
        await pilot.press("j", "enter")
        await until_seen(pilot, "the server's process number")
        await pilot.press("enter")
        await until_seen(pilot, "Pid is needed")
        await pilot.press("4", "2", "enter")
        await until_seen(pilot, "Terminate the session of pid 42?")
        await pilot.press("y")
        await until(pilot, lambda: calls(control, "perform"), "the operation")


async def test_the_palette_knows_operations_and_targets() -> None:
    control = changing()
    app = console(control)
    async with app.run_test(notifications=True, size=WIDE) as pilot:
        await pilot.press("ctrl+p")
        await until(pilot, lambda: app.screen.query(Input), "the palette")
        app.screen.query_one(Input).value = "slow log"
        await until_seen(pilot, "(cache.reset-slowlog)")
        await pilot.press("enter")
        await until_seen(pilot, "Empty the slow log?")
        await pilot.press("escape")
        await until_gone(pilot, "Empty the slow log?")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: app.screen.query(Input), "the palette")
        app.screen.query_one(Input).value = "target eu1"
        await until_seen(pilot, "db.eu1:5432/market")
        await pilot.press("escape")


def test_the_line_after_act_is_understood_or_refused_in_words() -> None:
    known = OPERATIONS
    assert parse_act("database.terminate pid=4 why='it blocks'", known) == (
        "database.terminate", {"pid": "4", "why": "it blocks"},
    )  # fmt: skip
    for line, words in (
        ("nosuch", "there is no operation nosuch"),
        ("database.terminate 4711", "is no name=value"),
        ("database.terminate why='x", "a quote is not closed"),
    ):
        with pytest.raises(UsageProblem, match=words):
            parse_act(line, known)


async def test_the_targets_are_listed_and_one_is_chosen() -> None:
    control = changing()
    control.set_state(running=(), counts={})
    app = console(control)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await pilot.press("@")
        await until_seen(pilot, "you are here")
        await pilot.press("j", "enter")
        await until(pilot, lambda: app.return_value is not None, "the switch")
    assert app.return_value is Leaving.SWITCH
    assert isinstance(app.targets, FakeTargets)
    assert app.targets.prepared == ["eu1"]


async def test_leaving_running_jobs_is_asked_first() -> None:
    app = console(changing())
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "target eu1")
        await until_seen(pilot, "Leave sandbox for eu1?")
        assert "3 jobs are running on sandbox." in seen(app)
        await pilot.press("escape")
        await until_gone(pilot, "Leave sandbox")
        assert app.return_value is None
        await type_line(pilot, "target eu1")
        await until_seen(pilot, "Leave sandbox for eu1?")
        await pilot.press("y")
        await until(pilot, lambda: app.return_value is Leaving.SWITCH, "the switch")


async def test_a_target_that_cannot_be_opened_leaves_the_operator_here() -> None:
    control = changing()
    control.set_state(running=(), counts={})
    app = console(control)
    assert isinstance(app.targets, FakeTargets)
    app.targets.failures["eu1"] = HistoryOwned("pid 7 owns the history of eu1 and doesn't answer", hint="end it")
    async with app.run_test(notifications=True, size=WIDE) as pilot:
        await type_line(pilot, "target eu1")
        await until_seen(pilot, "eu1 can't be opened")
        assert "still on sandbox" in seen(app)
        assert app.return_value is None
        await until_seen(pilot, "SANDBOX")


async def test_one_target_alone_says_so() -> None:
    control = changing()
    app = ConsoleApp(control, clock=control.clock, interface=InterfaceSettings(theme="dark"))
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await pilot.press("@")
        await until_seen(pilot, "There is only this target")


async def test_the_audit_says_who_did_what_and_finds_it() -> None:
    app = console(changing())
    async with app.run_test(notifications=True, size=WIDE) as pilot:
        await type_line(pilot, "audit terminate")
        await until_seen(pilot, "Audit /terminate")
        await until_seen(pilot, "newest 2 entries")
        await focused(pilot)
        await pilot.press("j", "enter")
        await until_seen(pilot, "pid 4711 is another session now")


def test_screens_change_the_platform_only_where_it_is_asked_for() -> None:
    """What ``operate``, the forms of jobs and the plan (which asks once for all its steps) do is tested; nothing else
    may call the engine for a change.
    """
    allowed = {
        "perform": {"screens/operating.py", "screens/optimize.py"},
        "submit": {
            "screens/backfill_form.py",
            "screens/backfill_cells.py",
            "screens/cache_jobs.py",
            "screens/database/submitting.py",
            "screens/optimize.py",
            "screens/running.py",
        },
        "act": {"screens/acting.py"},
    }
    found: dict[str, set[str]] = {name: set() for name in allowed}
    for path in [*SRC.joinpath("screens").rglob("*.py"), SRC / "app.py", *SRC.joinpath("widgets").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in allowed and _is_control(node.value):
                found[node.attr].add(str(path.relative_to(SRC)))
    assert found == allowed


def _is_control(node: ast.expr) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "control") or (
        isinstance(node, ast.Name) and node.id == "control"
    )


@pytest.mark.parametrize(
    ("target", "is_production"),
    [
        (TargetView(name="eu1", word="PRODUCTION"), True),
        (TargetView(name="prod"), True),
        (TargetView(name="eu-prod-1"), True),
        (TargetView(name="x", word="Live trading"), True),
        (TargetView(name="prod", production=False), False),
        (TargetView(name="eu1", production=True), True),
        (TargetView(name="product-demo"), False),
        (TargetView(name="alive"), False),
        (TargetView(name="sandbox", word="SANDBOX"), False),
    ],
)
def test_production_is_decided_in_one_place(target: TargetView, is_production: bool) -> None:
    assert target.is_production is is_production


@pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])
def test_pictures_of_the_dialogs(size: tuple[int, int], snap_compare: Callable[..., bool]) -> None:
    async def choose(pilot: Pilot[Any]) -> None:
        await pilot.press("@")
        await until_seen(pilot, "you are here")

    assert snap_compare(console(changing()), terminal_size=size, run_before=choose)


@pytest.mark.parametrize("theme", ["dark", "mono"])
def test_pictures_of_a_question_on_production(theme: str, snap_compare: Callable[..., bool]) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        await type_line(pilot, "act database.terminate pid=4711")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog), "the question")

    assert snap_compare(console(changing(PRODUCTION), theme=theme), terminal_size=TINY, run_before=ask)


@pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])
def test_pictures_of_the_audit(size: tuple[int, int], snap_compare: Callable[..., bool]) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        await type_line(pilot, "audit")
        await until_seen(pilot, "newest 6 entries")

    assert snap_compare(console(changing()), terminal_size=size, run_before=look)
