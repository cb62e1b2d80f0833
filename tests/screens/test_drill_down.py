"""From a tile or an alert to the pane that shows its cause: every rule leads somewhere that exists."""

from __future__ import annotations

import msgspec
import pytest

from fakes.control import demo
from fakes.platform import NOW, alerts, readings
from qsuite_console import commands
from qsuite_console.config.rules import RULES
from qsuite_console.model.health import AlertState, Figure, Level
from qsuite_console.screens import causes
from qsuite_console.screens.jobs import JobsScreen
from qsuite_console.screens.panes import PaneScreen
from qsuite_console.widgets.live_table import LiveTable
from screens.seeing import console, until, until_gone, until_seen

PLACES = {place.name: place for place in commands.PLACES}


@pytest.mark.parametrize("rule_id", sorted(RULES))
def test_every_rule_leads_to_a_pane_that_exists(rule_id: str) -> None:
    source, _, figure = rule_id.partition(".")
    is_told = source in causes.SOURCES if figure == "answers" else rule_id in causes.RULES
    assert is_told, "say in screens/causes.py where its cause is to be seen"
    cause = causes.cause_of(rule_id)
    assert cause.place in PLACES
    if PLACES[cause.place].panes:
        assert cause.pane in PLACES[cause.place].panes
    else:
        assert cause.pane == ""


def test_nothing_leads_from_a_rule_that_does_not_exist() -> None:
    assert set(causes.RULES) <= set(RULES)
    for cause in causes.SOURCES.values():
        assert cause.pane in (*PLACES[cause.place].panes, "")


def test_a_source_that_does_not_answer_leads_to_its_own_screen() -> None:
    assert causes.cause_of("postgresql.answers") == causes.Cause("database", "activity")
    assert causes.cause_of("redis.answers").place == "cache"
    assert causes.cause_of("something.else") == causes.Cause("alerts")


@pytest.mark.parametrize("tile", ["postgresql", "redis", "jobs"])
async def test_enter_on_a_tile_goes_to_its_screen(tile: str) -> None:
    app = console(demo())
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "34 / 100")
        app.screen.query_one(f"#tile-{tile}").focus()
        await pilot.press("enter")
        place = causes.source_of(tile).place
        await until(pilot, lambda: app.current_mode == place)
        screen = app.screen
        if isinstance(screen, PaneScreen) and screen.PANES:
            await until(pilot, lambda: screen.pane is not None and causes.source_of(tile).pane == screen.pane.NAME)
        await pilot.press("minus")
        await until(pilot, lambda: app.current_mode == "overview")


@pytest.mark.parametrize(
    ("name", "level", "pane"),
    [("lock_waits", Level.WARNING, "blocking"), ("replication_lag", Level.CRITICAL, "replication")],
)
async def test_enter_on_a_tile_goes_where_its_worst_figure_has_its_cause(name: str, level: Level, pane: str) -> None:
    made = demo()
    postgresql, *others = readings()
    bad = Figure(name=name, label="what is wrong", text="3", value=3, level=level)
    warned = Figure(name="connections", label="connections", text="90", value=90, level=Level.WARNING)
    worse = msgspec.structs.replace(postgresql, level=level, figures=(*postgresql.figures, bad))
    if level is Level.CRITICAL:  # it comes before a warning that stands above it
        worse = msgspec.structs.replace(worse, headline=warned)
    made.set_state(snapshot=msgspec.structs.replace(made.state.snapshot, readings=(worse, *others)))
    app = console(made)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_seen(pilot, "3 what is wrong")  # where there is room for one figure, it is that one
        app.screen.query_one("#tile-postgresql").focus()
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "database")
        screen = app.screen
        assert isinstance(screen, PaneScreen)
        await until(pilot, lambda: screen.pane is not None and pane == screen.pane.NAME)


async def test_while_nothing_runs_enter_alone_leads_to_the_cause_of_what_burns() -> None:
    made = demo()
    burning = msgspec.structs.replace(alerts()[0], id="postgresql.lock_waits", source="postgresql")
    quiet = msgspec.structs.replace(made.state.snapshot, alerts=())
    over = msgspec.structs.replace(burning, state=AlertState.CLEARED, cleared_at=NOW)
    made.set_state(running=(), recent=(), snapshot=quiet)
    app = console(made)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_seen(pilot, "Nothing needs attention")
        made.set_state(snapshot=msgspec.structs.replace(quiet, alerts=(over,)))
        await until_seen(pilot, "cleared")  # that needs nobody's attention
        assert app.focused is app.screen.query_one("#running")
        made.set_state(snapshot=msgspec.structs.replace(quiet, alerts=(burning,)))
        await until(pilot, lambda: app.focused is app.screen.query_one("#attention"))
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "database")
        screen = app.screen
        assert isinstance(screen, PaneScreen)
        await until(pilot, lambda: screen.pane is not None and screen.pane.NAME == "blocking")


async def test_the_cursor_leaves_an_alert_that_is_over_while_nobody_is_in_the_list() -> None:
    made = demo()
    first, *_ = alerts()
    later = msgspec.structs.replace(first, id="host.cpu", since=NOW)
    over = msgspec.structs.replace(first, state=AlertState.CLEARED, cleared_at=NOW)
    snapshot = msgspec.structs.replace(made.state.snapshot, alerts=(first,))
    made.set_state(snapshot=snapshot)
    app = console(made)
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.screen.query_one("#attention", LiveTable)
        await until(pilot, lambda: bool(table.keys))
        table.focus()
        await until(pilot, lambda: table.has_focus)
        made.set_state(snapshot=msgspec.structs.replace(snapshot, alerts=(later, over)))
        await until(pilot, lambda: table.cursor == 1)  # somebody looks at it
        app.screen.query_one("#running").focus()
        await until(pilot, lambda: not table.has_focus)
        made.set_state(snapshot=msgspec.structs.replace(snapshot, alerts=(later, over), scores=()))
        await until(pilot, lambda: table.cursor == 0)


async def test_enter_on_an_alert_goes_to_its_cause_with_the_filter_and_leaves_pages_behind() -> None:
    control = demo()
    app = console(control)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "34 / 100")
        firing = next(iter(alerts()))
        control.sample(readings(), [msgspec.structs.replace(firing, id="jobs.failure_rate", source="jobs")])
        await pilot.press("2")
        await until_seen(pilot, "newest first")
        await pilot.press("enter")  # a page over the list
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press("1")
        await until_seen(pilot, "1 firing")
        app.screen.query_one("#attention").focus()
        await pilot.press("home", "enter")
        await until_seen(pilot, "/state:failed")
        assert isinstance(app.screen, JobsScreen)


async def test_the_command_line_offers_the_panes_of_a_screen_and_completes_them() -> None:
    app = console(demo())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"database ")
        for pane in ("activity", "blocking", "statements", "settings"):
            await until_seen(pilot, f"database {pane}")
        await pilot.press(*"rep", "tab")
        await until_seen(pilot, ":database replication")
        await until_gone(pilot, "database activity")
        await pilot.press("escape", "colon", *"s proc", "tab", "enter")
        await until(pilot, lambda: app.current_mode == "system")
        screen = app.screen
        assert isinstance(screen, PaneScreen)
        await until(pilot, lambda: screen.pane is not None and screen.pane.NAME == "processes", "the pane")
