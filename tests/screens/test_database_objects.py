"""The panes of objects by their keys: what stands out, what is asked, how it is acted on."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from fakes import objects
from fakes.control import FakeControl, demo
from qsuite_console.engine.state import TargetView
from qsuite_console.model.advice import Unread
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.objects import Tables
from qsuite_console.model.operations import Proposal
from qsuite_console.model.statements import Statements
from screens.seeing import console, seen, until, until_gone, until_seen
from screens.session_steps import focused

WIDE, SMALL = (120, 40), (80, 24)
SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])
FIRST = {"statements": "SELECT t.symbol", "tables": "market_data_marketdata", "indexes": "invalid", "limits": "trading"}


def made() -> FakeControl:
    control = demo()
    control.answers.update(objects.object_answers(control.clock.now))
    control.answers["database.explain"] = lambda parameters: objects.demo_explained(control.clock.now(), parameters)
    control.plans = lambda kind, parameters: Plan(
        kind=kind,
        title="vacuum",
        lines=(PlanLine(label="dead rows", value="5,800,000", note="of 12,000,000"),),
    )
    return control


def asked(control: FakeControl, probe: str) -> list[dict[str, Any]]:
    return [arguments[1] for call, arguments in control.calls if call == "ask" and arguments[0] == probe]


async def open_pane(pilot: Pilot[Any], name: str) -> None:
    await pilot.press("colon", *f"database {name}", "enter")
    await until_seen(pilot, FIRST[name])
    await focused(pilot)


def told(pilot: Pilot[Any]) -> str:
    """What the operator was told in passing."""
    return " ".join(each.message for each in pilot.app._notifications)


def line(pilot: Pilot[Any], text: str) -> str:
    return next(found for found in seen(pilot.app).split("\n") if text in found)


@SIZES
@pytest.mark.parametrize("pane", list(FIRST))
def test_pictures(snap_compare: Any, size: tuple[int, int], pane: str) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_pane(pilot, pane)

    assert snap_compare(console(made()), terminal_size=size, run_before=steps)


async def test_statements_are_sorted_windowed_and_filtered_by_the_server() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "statements")
        first = line(pilot, "SELECT t.symbol")
        assert "59 %" in first
        assert "44.6 ms" in first
        await until_seen(pilot, "reset 3d ago")
        await pilot.press("s")
        await until(pilot, lambda: asked(control, "database.statements")[-1]["order"] == "mean")
        await until_seen(pilot, "5 statements by time of a call")
        await pilot.press("t")
        await until(pilot, lambda: asked(control, "database.statements")[-1]["recent"] is True)
        await until_seen(pilot, "last 30 s")
        await pilot.press("slash", *"insert into", "enter")
        await until(pilot, lambda: asked(control, "database.statements")[-1]["text"] == "insert into")
        await until_seen(pilot, "1 statement by")


async def test_enter_shows_the_whole_statement_and_x_its_plan() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "statements")
        await pilot.press("j", "enter")
        await until_seen(pilot, "share of all time")
        await until_seen(pilot, "1,204,331")
        await until_seen(pilot, " WHERE id = $3")
        await pilot.press("escape")
        await pilot.press("x")
        await until_seen(pilot, "Index Cond: (id = $3)")
        assert asked(control, "database.explain")[-1]["query"].startswith("UPDATE execution_engine_order SET status")


async def test_without_the_extension_the_pane_says_what_to_do() -> None:
    control = made()
    said = Unread(what="statements", why="the extension is not created in trading", hint="CREATE EXTENSION it")
    control.answers["database.statements"] = lambda _: Statements(at=control.clock.now(), unread=(said,))
    async with console(control).run_test(size=SMALL) as pilot:
        await pilot.press("colon", *"database statements", "enter")
        await until_seen(pilot, "can't read statements")
        await until_seen(pilot, "CREATE EXTENSION it")


async def test_tables_tell_which_are_in_trouble_and_why() -> None:
    async with console(made()).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "tables")
        await until_seen(pilot, "1,204 tables by size · 1,198 more: / finds them")
        await until_seen(pilot, "● market_data_marketdata")
        await until_seen(pilot, "▲ execution_engine_order")
        await until_seen(pilot, "✖ task_runs")
        assert "~920 MiB" in line(pilot, "Legacy Audit"), "an estimate is told from a size"
        assert "≈57 %" in line(pilot, "Legacy Audit")
        await pilot.press("j", "j")
        await until_seen(pilot, "vacuum is late: dead rows are 4.7 times what starts autovacuum")
        await pilot.press("j")
        await until_seen(pilot, "autovacuum is off")


async def test_parts_open_and_close_under_their_root() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "tables")
        await until_seen(pilot, "▸ price_ticks (7 parts)")
        await pilot.press("j", "e")
        await until_seen(pilot, "└ price_ticks_p202611")
        await until_seen(pilot, "▾ price_ticks (7 parts)")
        await until_seen(pilot, "4 smaller parts not listed")
        await pilot.press("j", "e")
        await until_gone(pilot, "└ price_ticks_p202611")
        assert asked(control, "database.tables")[-1]["expand"] == []


async def test_v_asks_and_makes_a_job_whose_number_is_told() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "tables")
        await pilot.press("j", "j", "v")
        await until_seen(pilot, "Vacuum public.execution_engine_order?")
        await until_seen(pilot, "dead rows     5,800,000")
        assert "queries and writes go on" in " ".join(seen(pilot.app).replace("│", " ").split())
        await pilot.press("escape")
        await until_gone(pilot, "Vacuum public")
        assert not [call for call in control.calls if call[0] == "submit"]
        await pilot.press("a")
        await until_seen(pilot, "Analyze public.execution_engine_order?")
        await pilot.press("y")
        await until(pilot, lambda: any(call == "submit" for call, _ in control.calls), "submitted")
        await until(pilot, lambda: "will analyze public.execution_engine_order" in told(pilot), "told")
        (submission,) = next(arguments for call, arguments in control.calls if call == "submit")
        assert submission.kind == "vacuum"
        assert submission.parameters == {"table": "public.execution_engine_order", "mode": "analyze"}


async def test_on_a_read_only_target_v_refuses_before_it_asks() -> None:
    control = made()
    control.set_state(target=TargetView(name="prod", word="PRODUCTION", is_read_only=True))
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "tables")
        await pilot.press("v")
        await until(pilot, lambda: "the target prod is read-only" in told(pilot), "told")
        assert not [call for call in control.calls if call[0] in ("plan", "submit")]


async def test_on_production_the_name_is_typed_for_a_vacuum() -> None:
    control = made()
    control.set_state(target=TargetView(name="prod", word="PRODUCTION"))
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "tables")
        await pilot.press("v")
        await until_seen(pilot, "type prod to confirm")
        await pilot.press(*"prod", "enter")
        await until(pilot, lambda: any(call == "submit" for call, _ in control.calls), "submitted")


async def test_the_detail_of_a_table_and_of_an_index_can_be_read() -> None:
    async with console(made()).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "tables")
        await pilot.press("enter")
        await until_seen(pilot, "204 by autovacuum; last vacuum 30d ago; last autovacuum 9d ago")
        for text in ("fillfactor=90", "61% of rows", "unique", "✖ invalid", "CHECK (quantity > 0)", "(51 % HOT)"):
            assert text in seen(pilot.app), text
        await pilot.press("escape")
        await open_pane(pilot, "indexes")
        await pilot.press(*"jjjjj", "enter")
        await until_seen(pilot, "DROP INDEX CONCURRENTLY public.execution_engine_order_user_old;")
        await until_seen(pilot, "execution_engine_order_user_idx can do the same")


async def test_indexes_in_trouble_come_first_then_the_missing() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "indexes")
        lines = seen(pilot.app).split("\n")
        rows = [number for number, text in enumerate(lines) if text[:6].strip("│ ")[:1] in ("✖", "▲", "●", "◌")]
        words = [lines[number] for number in rows]
        assert "invalid" in words[0]
        assert "execution_engine_order_book_idx" in words[1]
        assert "missing" in words[1]
        assert "name taken" in words[2]
        assert "missing? foreign key" in words[3]
        assert "missing? full scans" in words[4]
        assert "left prefix" in words[5]
        await until_seen(pilot, "2 of 3 recommended missing")
        await until_seen(pilot, "2 may be missing")
        await pilot.press(*"jjj")
        await until_seen(pilot, "CREATE INDEX CONCURRENTLY ON public.execution_engine_order (strategy_id);")
        await pilot.press("t")
        await until_gone(pilot, "price_ticks_pkey")
        assert asked(control, "database.indexes")[-1]["troubled"] is True


def submissions(control: FakeControl) -> list[Any]:
    return [arguments[0] for call, arguments in control.calls if call == "submit"]


async def test_b_builds_what_is_recommended_after_asking() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "indexes")
        await pilot.press("b")
        await pilot.press("j")
        await until_seen(pilot, "recommended, missing; the book of a symbol in price order")
        await pilot.press("enter")
        await until_seen(pilot, "It serves:")
        await pilot.press("escape", "b")
        await until_seen(pilot, "Build execution_engine_order_book_idx?")
        await pilot.press("escape")
        await until_gone(pilot, "Build execution_engine_order_book_idx?")
        assert not submissions(control)
        await pilot.press("b")
        await until_seen(pilot, "Build execution_engine_order_book_idx?")
        await pilot.press("y")
        await until(pilot, lambda: bool(submissions(control)), "submitted")
        (submission,) = submissions(control)
        assert submission.kind == "indexes"
        assert submission.parameters == {"action": "build", "which": "execution_engine_order_book_idx"}


async def test_u_repairs_what_is_broken_and_rebuilds_the_rest_and_no_constraint_is_dropped() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "indexes")
        await pilot.press("u")
        await until_seen(pilot, "Repair public.execution_engine_order_side_idx?")
        await pilot.press("escape")
        await pilot.press(*"jjjjj", "D")
        await until_seen(pilot, "Drop public.execution_engine_order_user_old?")
        await pilot.press("y")
        await until(pilot, lambda: bool(submissions(control)), "submitted")
        assert submissions(control)[0].parameters == {
            "action": "drop",
            "which": "public.execution_engine_order_user_old",
        }
        await pilot.press("G", "D")
        await until_seen(pilot, "primary key")
        await pilot.press("u")
        await until_seen(pilot, "Rebuild public.execution_engine_order_pkey?")


async def test_limits_name_what_is_near_and_what_holds_freezing_back() -> None:
    async with console(made()).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "limits")
        lines = seen(pilot.app).split("\n")
        rows = [text for text in lines if text[:6].strip("│ ")[:1] in ("✖", "▲", "●")]
        assert "task_runs_id_seq" in rows[0]
        assert "94 %" in rows[0]
        await until_seen(pilot, "▲ database  trading")
        await until_seen(pilot, "held back by 342M transactions by session 4711 (etl, open for 3d 02:00)")
        await until_seen(pilot, "129,279,316 numbers left, then every insert fails")
        await pilot.press("j", "enter")
        await until_seen(pilot, "FREEZING IS HELD BACK BY")


async def test_z_names_what_a_reset_takes_away() -> None:
    control = made()
    control.proposals["database.reset-statistics"] = lambda parameters: Proposal(
        operation="database.reset-statistics",
        title="Reset the statistics of the table?",
        lines=("Lost for good",),
        parameters=dict(parameters),
    )
    async with console(control).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "tables")
        await pilot.press("Z")
        await until_seen(pilot, "Lost for good")
        await pilot.press("y")
        await until(pilot, lambda: any(call == "perform" for call, _ in control.calls), "performed")
        assert next(arguments for call, arguments in control.calls if call == "perform")[1]["what"] == "table"


async def test_a_database_without_tables_says_so() -> None:
    control = made()
    control.answers["database.tables"] = lambda _: Tables(at=control.clock.now())
    async with console(control).run_test(size=SMALL) as pilot:
        await pilot.press("colon", *"database tables", "enter")
        await until_seen(pilot, "This database has no table")
