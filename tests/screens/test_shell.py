"""Moving through the console: places, palette, command line, layers, themes, leaving."""

from __future__ import annotations

import msgspec
import pytest
from textual.dom import DOMNode
from textual.widget import Widget

from fakes.control import demo, empty
from fakes.platform import readings
from qsuite_console import commands
from qsuite_console.engine.state import TargetView
from qsuite_console.messages import Leaving
from qsuite_console.model.health import Level
from qsuite_console.model.jobs import JobAction
from qsuite_console.widgets.strips import ScoreLine
from screens.seeing import console, seen, until, until_gone, until_seen


@pytest.mark.parametrize(
    ("keys", "mode"), [("2", "jobs"), ("3", "backfill"), ("gj", "jobs"), ("gb", "backfill"), ("2go", "overview")]
)
async def test_places_are_reached_by_number_and_by_letter(keys: str, mode: str) -> None:
    app = console(demo())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*keys)
        await until(pilot, lambda: app.current_mode == mode)


async def test_g_shows_what_may_follow_and_any_other_key_leaves() -> None:
    app = console(demo())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("g")
        await until_seen(pilot, "top of the list")
        await pilot.press("x")
        await until_gone(pilot, "top of the list")
        assert app.current_mode == "overview"


async def test_g_g_goes_to_the_top_of_a_list() -> None:
    app = console(demo())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await until_seen(pilot, "426")
        await pilot.press("G")
        table = app.screen.query_one("#jobs")
        await until(pilot, lambda: table.cursor > 100)
        await pilot.press("g", "g")
        await until(pilot, lambda: table.cursor == 0)


async def test_escape_leaves_one_layer_at_a_time_and_never_quits() -> None:
    app = console(demo())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("2")
        await until_seen(pilot, "426")
        await pilot.press("/", *"state:queued", "enter")
        await until_seen(pilot, "12 of 426")
        await pilot.press("space", "enter")
        await until_seen(pilot, "Throughput")
        await pilot.press("?")
        await until_seen(pilot, "Keys here")
        for gone in ("Keys here", "Throughput", "1 marked", "/state:queued"):
            assert gone in seen(app)
            await pilot.press("escape")
            await until_gone(pilot, gone)
        for _ in range(3):
            await pilot.press("escape")
        await pilot.pause()
        assert app.is_running
        assert app.current_mode == "jobs"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("jobs failed", "Jobs /failed"),
        ("j", "newest first"),
        ("job 412", "Throughput"),
        ("cancel 412", "Cancel job 412?"),
        ("help", "Keys here"),
        ("theme nosuch", "no theme nosuch"),
        ("job 99999", "no job 99999"),
        ("cancel", "Cancel works on: Jobs"),
    ],
)
async def test_what_is_typed_after_a_colon_is_done(line: str, text: str) -> None:
    app = console(demo())
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("colon", *line, "enter")
        await until_seen(pilot, text)


async def test_a_command_that_is_not_understood_stays_with_its_reason() -> None:
    app = console(demo())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"cancle 4", "enter")
        await until_seen(pilot, "did you mean cancel?")
        await pilot.press("escape")
        await until_gone(pilot, "did you mean")


async def test_tab_completes_a_command() -> None:
    app = console(demo())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"the", "tab", *"light", "enter")
        await until(pilot, lambda: app.theme == "qsuite-light")


async def test_a_typed_cancel_acts_after_it_is_confirmed() -> None:
    control = demo()
    app = console(control)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("colon", *"cancel 412 415", "enter")
        await until_seen(pilot, "2 running jobs stop within a second.")
        await pilot.press("y")
        await until_seen(pilot, "2 jobs cancelled")
        assert ("act", (JobAction.CANCEL, (412, 415), "console")) in control.calls


async def test_the_palette_finds_screens_jobs_and_themes() -> None:
    app = console(demo())
    async with app.run_test(size=(120, 40)) as pilot:
        for typed, found in (("go to jo", "Go to Jobs"), ("412", "Job 412"), ("theme li", "Theme light")):
            await pilot.press("ctrl+p", *typed)
            await until_seen(pilot, found)
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1)
        await pilot.press("ctrl+p", *"theme light")
        await until_seen(pilot, "Use the light theme.")
        await pilot.press("enter")
        await until(pilot, lambda: app.theme == "qsuite-light")


async def test_nothing_running_leaves_at_once() -> None:
    app = console(empty())
    async with app.run_test() as pilot:
        await pilot.press("q")
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is Leaving.LEFT


@pytest.mark.parametrize(("key", "leaving"), [("d", Leaving.DRAIN), ("n", Leaving.NOW)])
@pytest.mark.parametrize("asked_by", ["q", "ctrl+q"])
async def test_leaving_asks_while_jobs_run(asked_by: str, key: str, leaving: Leaving) -> None:
    app = console(demo())
    async with app.run_test() as pilot:
        await pilot.press(asked_by)
        await until_seen(pilot, "3 jobs are running")
        await pilot.press(key)
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is leaving


async def test_escape_stays() -> None:
    app = console(demo())
    async with app.run_test() as pilot:
        await pilot.press("q")
        await until_seen(pilot, "3 jobs are running")
        await pilot.press("escape")
        await until_gone(pilot, "3 jobs are running")
        assert app.is_running


async def test_an_attached_console_simply_leaves() -> None:
    control = demo()
    control.set_state(is_attached=True, owner="pid 4711")
    app = console(control)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "engine: pid 4711")
        await pilot.press("q")
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is Leaving.LEFT


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 40), (200, 60)])
async def test_a_production_target_is_unmistakable_at_any_width(size: tuple[int, int]) -> None:
    control = demo(target=TargetView(name="eu1", word="PRODUCTION", colour="error"))
    control.set_state(is_read_only=True)
    app = console(control)
    async with app.run_test(size=size) as pilot:
        await until_seen(pilot, "PRODUCTION eu1")
        assert "read-only" in seen(app)
        bar = next(iter(app.screen._compositor.render_strips()))
        badge = next(segment for segment in bar if "PRODUCTION" in segment.text)
        assert badge.style is not None
        assert badge.style.bgcolor is not None
        assert badge.style.bgcolor.get_truecolor().hex == app.theme_variables["badge"].lower()


async def test_trouble_is_told_under_the_status_bar_until_it_is_over() -> None:
    control = demo()
    app = console(control)
    async with app.run_test(size=(80, 24)) as pilot:
        control.set_state(trouble="the history can't be written: disk full (/var is at 100 %)")
        await until_seen(pilot, "disk full (/var is at 100 %)")
        control.set_state(trouble="")
        await until_gone(pilot, "disk full")


async def test_every_screen_survives_every_size() -> None:
    app = console(demo())
    async with app.run_test(size=(120, 40)) as pilot:
        for key in ("1", "2", "3"):
            await pilot.press(key)
            for size in ((20, 5), (60, 15), (1, 1), (300, 100), (80, 24), (120, 40)):
                await pilot.resize_terminal(*size)
                await pilot.pause()
        await pilot.press("2")
        await until_seen(pilot, "426")
        await pilot.press("enter")
        await until_seen(pilot, "Facts")
        for size in ((20, 5), (60, 15), (300, 100), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert app.is_running


async def test_a_dialog_or_page_left_twice_takes_nothing_else_with_it() -> None:
    async with console(demo()).run_test(size=(80, 24)) as pilot:
        app = pilot.app
        await pilot.press("2")
        await until_seen(pilot, "newest first")
        app.open_page("job", 412)
        await until_seen(pilot, "running for")
        page = app.screen
        for leave in (lambda s: s.dismiss(None), lambda s: s.action_leave()):
            app.action_prefix()
            app.action_prefix()  # g pressed again before the dialog was there
            dialog = app.screen
            assert len(app.screen_stack) == 3
            leave(dialog)
            leave(dialog)
            assert app.screen is page
        page.action_back()
        page.action_back()
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert app.is_running


async def test_a_question_asked_twice_is_answered_once() -> None:
    control = demo()
    async with console(control).run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await until_seen(pilot, "C Cancel")
        screen = pilot.app.screen
        screen.action_act("cancel")
        screen.action_act("cancel")
        await until_seen(pilot, "Cancel job 426?")
        await pilot.press("y")
        await until(pilot, lambda: pilot.app.screen is screen)
        await until(pilot, lambda: len([c for c in control.calls if c[0] == "act"]) == 1)


async def test_brackets_go_to_neighbours_and_minus_back() -> None:
    async with console(demo()).run_test(size=(80, 24), notifications=True) as pilot:
        app = pilot.app
        names = [place.name for place in commands.PLACES]
        steps = [*(("]", name) for name in (*names[1:], names[0])), ("[", names[-1]), ("-", names[0]), ("-", names[-1])]
        for key, mode in steps:
            await pilot.press(key)
            await until(pilot, lambda mode=mode: app.current_mode == mode, f"{key} to {mode}")


async def test_brackets_on_a_job_go_along_the_list_on_the_same_page() -> None:
    async with console(demo()).run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("2")
        await until_seen(pilot, "C Cancel")
        await pilot.press("enter", "tab")
        await until_seen(pilot, "▸ Log")
        await until_seen(pilot, "#426")
        await pilot.press("[")
        await until_seen(pilot, "No job above in that list")
        await pilot.press("]")
        await until_seen(pilot, "#425")
        await until_seen(pilot, "▸ Log")
        await pilot.press("escape")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        assert pilot.app.screen.query_one("#jobs").current == 425


async def test_plus_shows_new_figures_more_seldom_but_what_is_wrong_at_once() -> None:
    control = demo()
    async with console(control).run_test(size=(120, 40), notifications=True) as pilot:
        await until_seen(pilot, "78 % memory")
        await pilot.press("+", "+")
        await until_seen(pilot, "every 15 s")

        def host(text: str, level: Level) -> None:
            now = control.clock.now()
            control.sample([
                msgspec.structs.replace(
                    r, level=level, headline=msgspec.structs.replace(r.headline, text=text, level=level)
                ) if r.source == "host" else r
                for r in readings(now)
            ])  # fmt: skip

        host("77 %", Level.WARNING)
        await pilot.pause(0.3)
        await until_seen(pilot, "78 % memory")
        control.clock.advance(15)
        await until_seen(pilot, "77 % memory")
        host("99 %", Level.CRITICAL)
        await until_seen(pilot, "99 % memory")


async def test_a_second_that_passes_while_it_closes_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    app, passed = console(demo()), list[int]()
    prune = app._prune

    async def pruned(*nodes: Widget, parent: DOMNode | None = None) -> None:
        for score in app.screen.query(ScoreLine):
            await prune(score)  # of a screen that is closed, widgets go one by one
        app._pulse()
        passed.append(len(nodes))
        await prune(*nodes, parent=parent)

    async with app.run_test(size=(80, 24)) as pilot:
        await until_seen(pilot, "PostgreSQL")
        app.screen._tiles_at = None  # type: ignore[attr-defined]  # the tiles are due
        monkeypatch.setattr(app, "_prune", pruned)
    assert passed
