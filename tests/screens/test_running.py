"""``:run``: any kind of job, filled in, planned, asked and started; the same from the palette."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from fakes.changing import PRODUCTION, STAGING
from fakes.control import FakeControl, demo
from qsuite_console.app import ConsoleApp
from qsuite_console.config.settings import InterfaceSettings
from qsuite_console.engine.state import TargetView
from qsuite_console.model.jobs import Submission
from qsuite_console.model.kinds import FieldProblem, KindInfo, ParameterSpec, Plan, PlanLine
from screens.seeing import seen, until, until_gone, until_seen

SMALL, WIDE = (80, 24), (120, 40)
BACKUP = KindInfo(
    name="command.backup",
    title="Back up the database",
    description="Dump the whole database, compressed.",
    queue="maintenance",
    priority=2,
    soft_limit_s=7200,
    hard_limit_s=7215,
    max_attempts=1,
    parameters=(
        ParameterSpec(
            name="path", type="text", label="Path", help=r"of the form /backup/[a-z0-9-]{1,40}\.dump", is_required=True
        ),
        ParameterSpec(name="level", type="choice", label="Level", choices=("1", "9"), default="1"),
    ),
    can_plan=True,
)
LOOK = KindInfo(
    name="command.look",
    title="Look",
    description="Run ls as declared.",
    queue="general",
    priority=5,
    soft_limit_s=1800,
    hard_limit_s=1815,
    max_attempts=1,
    changes_data=False,
)


def checked(parameters: Mapping[str, Any]) -> tuple[FieldProblem, ...]:
    path = str(parameters.get("path", ""))
    if path.startswith("/backup/"):
        return ()
    return (FieldProblem(field="path", message=f"“{path}” is not of the form /backup/[a-z0-9-]{{1,40}}"),)


def planned(kind: str, parameters: Mapping[str, Any]) -> Plan:
    return Plan(
        kind=kind,
        title=f"Back up the database: path={parameters['path']}, level={parameters.get('level', '1')}",
        lines=(
            PlanLine(label="runs", value=f"/usr/bin/pg_dump --format=custom --file={parameters['path']}"),
            PlanLine(label="in", value="a new empty directory"),
            PlanLine(label="variables", value="HOME, PATH, PGPASSWORD"),
            PlanLine(label="at most", value="7200 s, 1,024 kB of output, 1,024 MB of memory"),
            PlanLine(label="changes data", value="yes"),
        ),
    )


def running(target: TargetView | None = None) -> FakeControl:
    control = demo(target=target, history=5)
    control.kind_infos = (*control.kind_infos, BACKUP, LOOK)
    control.checks = {"command.backup": checked, "command.look": lambda _: ()}
    control.plans = planned
    return control


def console(control: FakeControl) -> ConsoleApp:
    return ConsoleApp(control, clock=control.clock, interface=InterfaceSettings(theme="dark"))


async def type_line(pilot: Pilot[Any], line: str) -> None:
    await pilot.press("colon")
    await until(pilot, lambda: pilot.app.screen.query("#line"), "the command line")
    pilot.app.screen.query_one("#line", Input).value = line
    await pilot.press("enter")


def submitted(control: FakeControl) -> list[Submission]:
    return [arguments[0] for name, arguments in control.calls if name == "submit"]


async def test_a_declared_command_is_typed_shown_and_started() -> None:
    control = running()
    app = console(control)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "run backup path=/backup/monday.dump")
        await until_seen(pilot, "Run command.backup?")
        assert "--file=/backup/monday.dump" in " ".join(seen(app).split())
        assert submitted(control) == []
        await pilot.press("y")
        await until_seen(pilot, "runs it")
    (submission,) = submitted(control)
    assert (submission.kind, submission.parameters) == ("command.backup", {"path": "/backup/monday.dump"})
    assert (submission.origin, submission.confirmation) == ("console", "")


async def test_it_is_chosen_and_filled_in() -> None:
    control = running()
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "run")
        await until_seen(pilot, "Run a job")
        await pilot.press("j", "enter")
        await until_seen(pilot, "see what it would do")
        pilot.app.screen.query_one("#p-path", Input).value = "/etc/passwd"
        pilot.app.screen.query_one("#p-level", Input).value = "9"
        await pilot.press("enter")
        await until_seen(pilot, "✖ Path: “/etc/passwd” is not of the form")
        assert pilot.app.screen.query_one("#p-level", Input).value == "9", "what was typed stays"
        pilot.app.screen.query_one("#p-path", Input).value = "/backup/a.dump"
        await pilot.press("enter")
        await until_seen(pilot, "Run command.backup?")
        await pilot.press("escape")
        await until_gone(pilot, "Run command.backup?")
    assert submitted(control) == []


async def test_the_palette_finds_it() -> None:
    control = running()
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await pilot.press("ctrl+p")
        await until(pilot, lambda: pilot.app.screen.query(Input), "the palette")
        pilot.app.screen.query_one(Input).value = "command.look"
        await until_seen(pilot, "(command.look)")
        await pilot.press("enter")
        await until_seen(pilot, "Run command.look?")
        await pilot.press("y")
        await until(pilot, lambda: submitted(control), "the job")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("run bakup", "did you mean"),
        ("run nothing-like-it", "there is no kind of job nothing-like-it"),
        ("run backup /backup/x", "is no name=value"),
        ("run backup path=/etc/passwd", "is not of the form"),
    ],
)
async def test_what_is_wrong_is_told(line: str, told: str) -> None:
    control = running()
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, line)
        await until(pilot, lambda: told in " ".join(seen(pilot.app).split()), told)
    assert submitted(control) == []


async def test_a_read_only_target_refuses_what_changes_data_only() -> None:
    control = running(STAGING)
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "run backup path=/backup/a.dump")
        await until_seen(pilot, "is read-only")
        await type_line(pilot, "run look")
        await until_seen(pilot, "Run command.look?")
        await pilot.press("y")
        await until(pilot, lambda: submitted(control), "the job")


async def test_production_wants_its_name() -> None:
    control = running(PRODUCTION)
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "run backup path=/backup/a.dump")
        await until_seen(pilot, "type eu1 to confirm")
        await pilot.press(*"eu1", "enter")
        await until(pilot, lambda: submitted(control), "the job")
    assert submitted(control)[0].confirmation == "eu1"


@pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])
def test_pictures_of_the_form_and_the_question(size: tuple[int, int], snap_compare: Callable[..., bool]) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        await type_line(pilot, "run backup path=/backup/monday.dump level=9")
        await until_seen(pilot, "Run command.backup?")

    assert snap_compare(console(running()), terminal_size=size, run_before=ask)
