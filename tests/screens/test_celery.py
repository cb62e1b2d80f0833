"""The Celery screen by its keys: every pane at both sizes, troubles in words, changes behind the gate."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from fakes.celery import HOSTILE, ONE, TWO, celery_answers
from fakes.control import FakeControl, demo
from fakes.platform import NOW
from qsuite_console.model.advice import Unread
from qsuite_console.model.celery import CeleryQueues, CeleryTasks
from qsuite_console.model.health import Figure, Level, Reading
from qsuite_console.model.kinds import ParameterSpec
from qsuite_console.model.operations import OperationInfo, Proposal
from screens.seeing import console, seen, until, until_gone, until_seen
from screens.session_steps import focused

WIDE, SMALL = (120, 40), (80, 24)
PANES = {
    "queues": "legacy",
    "workers": "pricing@calc1",
    "tasks": "reports.nightly",
    "kinds": "prices.refresh",
    "history": "MemoryError",
}


def watched() -> FakeControl:
    control = demo(history=5)
    control.answers.update(celery_answers(control.clock.now))
    return control


async def open_pane(pilot: Pilot[Any], pane: str) -> None:
    await pilot.press("g", "q")
    await until_seen(pilot, "legacy")
    for name in PANES:
        if name == pane:
            break
        await pilot.press("tab")
    await until_seen(pilot, PANES[pane])
    await focused(pilot)


@pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])
@pytest.mark.parametrize("pane", list(PANES))
def test_pictures(snap_compare: Any, pane: str, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_pane(pilot, pane)

    assert snap_compare(console(watched()), terminal_size=size, run_before=steps)


def reading(**levels: Level) -> Reading:
    told = {
        "rate": ("tasks ended", "3.1 /s"),
        "in_flight": ("taken by workers", "4"),
        "workers": ("workers", "2"),
        "failures": ("tasks failed", "0 %"),
        "unconsumed": ("queues nobody consumes", "1"),
    }
    figures = (
        Figure(name=name, label=label, text=text, level=levels.get(name, Level.OK))
        for name, (label, text) in told.items()
    )
    waiting = Figure(name="waiting", label="messages waiting", text="1,204", value=1204)
    level = max(levels.values(), default=Level.OK, key=list(Level).index)
    return Reading(
        source="celery", title="Celery", level=level, headline=waiting, figures=tuple(figures), sampled_at=NOW
    )


async def test_the_overview_has_a_line_where_there_is_a_celery() -> None:
    control = demo(history=5)
    readings, alerts = control.state.snapshot.readings, control.state.snapshot.alerts
    async with console(control).run_test(size=SMALL) as pilot:
        await until_seen(pilot, "PostgreSQL")
        assert not pilot.app.screen.query_one("#celery").display
        control.sample([*readings, reading()], alerts)
        await until_seen(pilot, "● Celery  messages waiting 1,204  workers 2  taken by workers 4")
        control.sample([*readings, reading(unconsumed=Level.WARNING)], alerts)
        await until_seen(pilot, "▲ Celery  ▲ queues nobody consumes 1  messages waiting 1,204")
        pilot.app.screen.query_one("#celery").focus()
        await pilot.press("i")
        await until_seen(pilot, "tasks ended")
        await pilot.press("escape")
        control.answers.update(celery_answers(control.clock.now))
        await pilot.press("enter")
        await until_seen(pilot, "legacy")  # the queues


async def test_what_is_wrong_is_said_in_words() -> None:
    async with console(watched()).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "queues")
        assert "oldest ▲ 52:00 of 1:00:00" in seen(pilot.app)
        assert "qsuite.general (ours)" in seen(pilot.app)
        await pilot.press("down")
        await until_seen(pilot, "no worker takes from it: what waits is never done")
        await pilot.press("tab")
        await until_seen(pilot, "✖ 1 lost")
        assert "its heartbeats stopped 1m ago" in seen(pilot.app), "trouble comes first"
        await pilot.press("end")
        await until_seen(pilot, "it said goodbye 10m ago")
        await pilot.press("up")
        await until_seen(pilot, "its clock is 31 s behind ours")
        await pilot.press("tab")
        await until_seen(pilot, "handed out again")
        assert "[b]evil[/b]" in seen(pilot.app), "markup is shown, not obeyed"
        await pilot.press("tab")
        await until_seen(pilot, f"▲ {TWO} tells of no task")


async def test_a_name_leads_to_its_tasks_and_a_kind_to_its_ends() -> None:
    control = watched()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "workers")
        await pilot.press("down", "o")
        await until(pilot, lambda: ("ask", ("celery.tasks", {"text": ONE})) in control.calls, "its tasks are asked for")
        await pilot.press("tab")
        await until_seen(pilot, "38,112 succeeded")
        await pilot.press("o")
        await until_seen(pilot, "2 tasks of 2,000")
        assert "reports.nightly" not in seen(pilot.app)


async def test_an_empty_broker_says_what_to_set() -> None:
    control = watched()
    control.answers["celery.queues"] = lambda _: CeleryQueues(at=control.clock.now(), where="x")
    why = Unread(what="what workers have and are", why="the target is read-only", hint="their heartbeats are heard")
    control.answers["celery.tasks"] = lambda _: CeleryTasks(at=control.clock.now(), where="x", unread=(why,))
    async with console(control).run_test(size=SMALL) as pilot:
        await pilot.press("g", "q")
        await until_seen(pilot, "celery.broker_url names another")
        await pilot.press("tab", "tab")
        await until_seen(pilot, "the target is read-only")


@pytest.mark.parametrize(
    ("pane", "keys", "operation", "given"),
    [
        ("queues", ("X",), "celery.purge", {"queue": "reports"}),
        ("queues", ("T",), "celery.consume", {"queue": "reports", "enabled": False}),
        ("queues", ("down", "T"), "celery.consume", {"queue": "legacy", "enabled": True}),
        ("workers", ("down", "K"), "celery.shutdown", {"worker": ONE}),
        ("workers", ("E",), "celery.events", {"enabled": True}),
        ("tasks", ("K",), "celery.revoke", {"terminate": True, "name": "reports.nightly"}),
        ("tasks", ("down", "down", "R"), "celery.revoke", {"terminate": False, "name": HOSTILE}),
    ],
)
async def test_keys_propose_what_the_row_is(
    pane: str, keys: tuple[str, ...], operation: str, given: dict[str, Any]
) -> None:
    control = watched()
    control.operation_infos = (OperationInfo(name=operation, title="T", help="H."),)
    proposed: list[dict[str, Any]] = []

    def propose(parameters: Any) -> Proposal:
        proposed.append(dict(parameters))
        return Proposal(operation=operation, title="Sure?", parameters=dict(parameters))

    control.proposals[operation] = propose
    async with console(control).run_test(size=WIDE, notifications=True) as pilot:
        await open_pane(pilot, pane)
        await pilot.press(*keys)
        await until_seen(pilot, "Sure?")
        assert given.items() <= proposed[0].items()
        await pilot.press("escape")
        await until_gone(pilot, "Sure?")
        assert not [name for name, _ in control.calls if name == "perform"]


async def test_what_is_lost_for_good_is_typed() -> None:
    control = watched()
    control.operation_infos = (OperationInfo(name="celery.purge", title="T", help="H."),)
    control.proposals["celery.purge"] = lambda given: Proposal(
        operation="celery.purge", title="Empty it?", named="reports", parameters=dict(given)
    )
    async with console(control).run_test(size=WIDE, notifications=True) as pilot:
        await open_pane(pilot, "queues")
        await pilot.press("X")
        await until_seen(pilot, "lost for good: reports")
        await pilot.press(*"report", "enter")
        await until_seen(pilot, "that is not reports")
        await pilot.press(*"reports", "enter")
        await until_gone(pilot, "Empty it?")
        await until(pilot, lambda: [name for name, _ in control.calls if name == "perform"], "it is done")


async def test_a_limit_is_asked_for_and_proposed() -> None:
    control = watched()
    spec = ParameterSpec(name="task", label="Task", type="text", is_required=True)
    rate = msgspec.structs.replace(spec, name="rate", label="Rate")
    control.operation_infos = (OperationInfo(name="celery.rate-limit", title="L", help="H.", parameters=(spec, rate)),)
    seen_by: list[dict[str, Any]] = []

    def propose(given: Any) -> Proposal:
        seen_by.append(dict(given))
        return Proposal(operation="celery.rate-limit", title="Limit it?", parameters=dict(given))

    control.proposals["celery.rate-limit"] = propose
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "kinds")
        await pilot.press("L")
        await until_seen(pilot, "see what it would do")
        await pilot.press(*"10", "slash", "m", "enter")
        await until_seen(pilot, "Limit it?")
        assert seen_by == [{"task": "orders.check", "rate": "10/m"}]


async def test_a_job_of_a_queue_that_others_work_on_says_so() -> None:
    control = watched()
    views = control.state.queues
    away = tuple(msgspec.structs.replace(view, execution="celery") for view in views)
    control.set_state(queues=away)
    async with console(control).run_test(size=(160, 40)) as pilot:
        await pilot.press("2")
        await until_seen(pilot, "⇄")
        await focused(pilot)
        await pilot.press("enter")
        await until_seen(pilot, "priority 5, done by")
