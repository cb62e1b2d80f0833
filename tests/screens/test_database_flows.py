"""Replication, settings, PgBouncer, TimescaleDB: what is seen, told apart, applied, taken back, written to a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from fakes.control import FakeControl, demo
from fakes.flows import give_flows, standby_side
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.operations import Proposal
from screens.seeing import console, seen, until, until_gone, until_seen

WIDE, SMALL = (120, 40), (80, 24)
SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])
PANES = ("replication", "settings", "pooler", "timescale")
MARKS = {"replication": "replica-b", "settings": "fsync", "pooler": "loader", "timescale": "price_ticks"}


def control(**options: bool) -> FakeControl:
    made = give_flows(demo(), **options)

    def propose(parameters: Mapping[str, Any]) -> Proposal:
        return Proposal(
            operation="",
            title=f"Set {parameters['name']}?",
            lines=("It counts at once.",),
            do="set it",
            parameters={**parameters, "was": "4GB"},
        )

    made.proposals["database.apply-setting"] = made.proposals["database.reset-setting"] = propose
    return made


def calls(made: FakeControl, name: str) -> list[tuple[Any, ...]]:
    return [arguments for call, arguments in made.calls if call == name]


def line_of(pilot: Pilot[Any], text: str) -> str:
    return next(line for line in seen(pilot.app).split("\n") if text in line)


async def open_pane(pilot: Pilot[Any], name: str) -> None:
    await pilot.app.go("database", pane=name)
    await until_seen(pilot, MARKS[name])
    await until(pilot, lambda: pilot.app.focused is not None and pilot.app.focused.id == f"{name}-table")


@SIZES
@pytest.mark.parametrize("pane", PANES)
def test_pictures(snap_compare: Any, size: tuple[int, int], pane: str) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_pane(pilot, pane)
        await pilot.press("j")
        await pilot.pause()

    assert snap_compare(console(control()), terminal_size=size, run_before=steps)


@pytest.mark.parametrize("pane", PANES)
@pytest.mark.parametrize("size", [(60, 15), SMALL, WIDE, (200, 60)], ids=str)
async def test_every_line_fits_and_every_row_can_be_read(pane: str, size: tuple[int, int]) -> None:
    async with console(control()).run_test(size=size) as pilot:
        await open_pane(pilot, pane)
        await pilot.press("enter")
        await until_seen(pilot, "y copy")
        assert all(len(line) <= size[0] for line in seen(pilot.app).split("\n"))
        await pilot.press("escape")
        await until_gone(pilot, "y copy")


async def test_lag_and_lost_wal_are_told_with_their_stage() -> None:
    async with console(control()).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "replication")
        assert "✖" in line_of(pilot, "replica-b")
        assert "1.4 GiB" in line_of(pilot, "replica-b")
        await until_seen(pilot, "flushed and not replayed: its CPU, disk, or queries in the way")
        await until_seen(pilot, "FAILING since 12s at 00000001000000420000009C")
        await until_seen(pilot, "▲ checkpoints")
        await until_seen(pilot, "1 timed, 6 requested in 15:00")
        for key, text in (("j", "follows"), ("j", "keeps 38.0 GiB of WAL: drop it"), ("j", "lost (wal removed)")):
            await pilot.press(key)
            await until_seen(pilot, text)
        await pilot.press("slash", *"ware", "enter")
        await until_gone(pilot, "old_replica")
        await until_seen(pilot, "8.0 GiB more until it loses WAL")


async def test_a_standby_says_where_its_wal_comes_from_and_what_it_cancelled() -> None:
    made = control()
    made.answers["database.replication"] = lambda parameters: standby_side()
    async with console(made).run_test(size=WIDE) as pilot:
        await pilot.app.go("database", pane="replication")
        await until_seen(pilot, "streaming from 10.0.0.10:5432")
        await until_seen(pilot, "PAUSED")
        await until_seen(pilot, "3 queries cancelled by replay in 15:00: snapshot")
        await until_seen(pilot, "can't read size of the WAL directory")
        await until_seen(pilot, "GRANT pg_monitor TO ada")
        await until_seen(pilot, "No standby, no replication slot, no subscription")


async def test_a_setting_is_applied_only_after_it_was_agreed_to() -> None:
    made = control()
    async with console(made).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "settings")
        await pilot.press("j", "j")
        await until_seen(pilot, "What the planner believes is cached: memory x 3/4")
        await pilot.press("a")
        await until_seen(pilot, "Set effective_cache_size?")
        await pilot.press("escape")
        await until_gone(pilot, "Set effective_cache_size?")
        assert not calls(made, "perform")
        await pilot.press("a")
        await until_seen(pilot, "Set effective_cache_size?")
        await pilot.press("y")
        await until(pilot, lambda: calls(made, "perform"))
        (performed,) = calls(made, "perform")
        assert performed[:2] == (
            "database.apply-setting", {"name": "effective_cache_size", "value": "12GB", "was": "4GB"},
        )  # fmt: skip


async def test_what_was_set_is_taken_back_and_what_can_not_be_set_is_not_offered() -> None:
    made = control()
    async with console(made).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "settings")
        await pilot.press("a")  # fsync is set on the command line
        await pilot.press("Z")  # and ALTER SYSTEM did not set it
        await pilot.press("G")
        await until_seen(pilot, "work_mem: set by ALTER SYSTEM")
        assert not calls(made, "propose")
        await pilot.press("Z")
        await until_seen(pilot, "Set work_mem?")
        await pilot.press("y")
        await until(pilot, lambda: calls(made, "perform"))
        assert calls(made, "perform")[0][0] == "database.reset-setting"


async def test_severities_are_words_and_can_be_chosen() -> None:
    made = control()
    async with console(made).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "settings")
        for name, word in (("fsync", "critical"), ("shared_buffers", "warning"), ("wal_buffers", "pending")):
            assert word in line_of(pilot, name)
        await until_seen(pilot, "1 critical · 1 warning · 2 info · 1 waiting for a restart")
        await pilot.press("t")
        await until_gone(pilot, "effective_cache_size")
        await until_seen(pilot, "shown: critical and warning")
        await pilot.press("t")
        await until_gone(pilot, "shared_buffers")
        await pilot.press("t")
        await until_seen(pilot, "work_mem")
        await pilot.press("t", "o")
        await until(pilot, lambda: ("database.settings", {"workload": "oltp"}) in calls(made, "ask"))


async def test_the_advice_is_written_to_a_file_and_never_over_another_one_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with console(control()).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "settings")
        for suffix in ("sql", "conf", "json"):
            await pilot.press("e")
            await until_seen(pilot, "Export the settings advice")
            await pilot.press("end", "ctrl+u", *f"advice.{suffix}", "enter")
            await until_gone(pilot, "Export the settings advice")
        sql, conf = (tmp_path / "advice.sql").read_text(), (tmp_path / "advice.conf").read_text()
        assert "ALTER SYSTEM SET \"effective_cache_size\" = '12GB';" in sql.splitlines()
        assert {"fsync = on", "effective_cache_size = 12GB", "random_page_cost = 1.1"} <= set(conf.splitlines())
        assert {line["name"] for line in json.loads((tmp_path / "advice.json").read_text())["lines"]} >= {"fsync"}
        (tmp_path / "advice.sql").write_text("mine")
        await pilot.press("e")
        await until_seen(pilot, "Export the settings advice")
        await pilot.press("end", "ctrl+u", *"advice.txt", "enter")
        await until_seen(pilot, "end its name with .sql, .conf, .json")
        await pilot.press(*(["backspace"] * 3), *"sql", "enter")
        await until_seen(pilot, "exists: Enter again overwrites it")
        assert (tmp_path / "advice.sql").read_text() == "mine"
        await pilot.press("enter")
        await until_gone(pilot, "Export the settings advice")
        assert (tmp_path / "advice.sql").read_text() == sql


async def test_who_waits_at_the_pooler_and_why() -> None:
    async with console(control()).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "pooler")
        await until_seen(pilot, "14 clients waiting, the longest for 6.2 s: all its server connections work")
        await until_seen(pilot, "first in the queue: celery loader@10.0.0.31:50122, for 6.2 s")
        assert "✖" in line_of(pilot, "market/loader")
        await until_seen(pilot, "Prepared statements of clients break in transaction pooling")
        await pilot.press("enter")
        await until_seen(pilot, "SETTINGS OTHER THAN DEFAULT")
        await until_seen(pilot, "max_db_connections = 77")


async def test_failed_jobs_of_timescale_come_first_with_their_error() -> None:
    async with console(control()).run_test(size=WIDE) as pilot:
        await open_pane(pilot, "timescale")
        await until_seen(pilot, "its last run failed; 4 of 40 runs failed")
        await until_seen(pilot, "No space left on device")
        rows = [line for line in seen(pilot.app).split("\n") if "job 1000" in line or "hypertable" in line]
        assert any("7.5x" in row for row in rows)
        await pilot.press("j")
        await until_seen(pilot, "2 compressed chunks written to since: recompress")


async def test_tabs_of_what_is_not_here_stay_out_until_they_are_typed() -> None:
    made = control(has_pooler=False, has_timescale=False)
    async with console(made).run_test(size=(200, 40)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: ("database.timescale", {}) in calls(made, "ask"))
        await until_seen(pilot, "Settings")
        tabs = seen(pilot.app).split("\n")[1]
        assert "PgBouncer" not in tabs
        assert "TimescaleDB" not in tabs
        await pilot.press("left")
        await until_seen(pilot, "sized for")  # the last tab that is there
        await pilot.app.go("database", pane="timescale")
        await until_seen(pilot, "TimescaleDB is not installed in this database")


async def test_tabs_of_what_is_here_appear_by_themselves() -> None:
    made = control()
    made.failures["ask"] = ConsoleError("PostgreSQL does not answer")
    async with console(made).run_test(size=(200, 40)) as pilot:
        await pilot.press("5")
        await until_seen(pilot, "PgBouncer")
        assert "TimescaleDB" not in seen(pilot.app)
        made.failures.clear()
        made.clock.advance(11)
        await until_seen(pilot, "TimescaleDB")


async def test_the_overview_has_a_line_for_the_pooler_that_leads_to_its_pane() -> None:
    async with console(control()).run_test(size=WIDE) as pilot:
        await until_seen(pilot, "PgBouncer")
        await until_seen(pilot, "▲ PgBouncer  transactions 840 /s")
        pilot.app.screen.query_one("#pooler").focus()
        await pilot.press("enter")
        await until_seen(pilot, "14 clients waiting")
    async with console(control(has_pooler=False)).run_test(size=WIDE) as pilot:
        await until_seen(pilot, "PostgreSQL")
        assert not pilot.app.screen.query_one("#pooler").display
