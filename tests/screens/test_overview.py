"""The overview: what it says about a platform that is well, sick, silent or new, and where Enter leads."""

from __future__ import annotations

import msgspec
import pytest

from fakes.control import FakeControl, demo, empty
from fakes.platform import readings
from qsuite_console.model.events import JobProgressed
from qsuite_console.model.health import Level
from qsuite_console.model.jobs import JobState, Progress
from qsuite_console.screens.dialogs.reading import ReadingDialog
from qsuite_console.widgets.live_table import LiveTable
from qsuite_console.widgets.tile import Tile
from screens.seeing import console, seen, until, until_gone, until_seen


def with_reading(control: FakeControl, source: str, **changes: object) -> None:
    now = control.clock.now()
    control.sample([msgspec.structs.replace(r, **changes) if r.source == source else r for r in readings(now)])


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 40), (200, 60)])
async def test_every_size_shows_health_and_what_runs(size: tuple[int, int]) -> None:
    async with console(demo()).run_test(size=size) as pilot:
        for text in ("34 / 100", "97.4 %", "78 %", "3 / 18 slots", "412", "62%", "03:57", "host", "memory 78 %"):
            await until_seen(pilot, text)


async def test_a_warning_is_told_by_glyph_word_and_limit() -> None:
    async with console(demo()).run_test(size=(80, 24)) as pilot:
        await until_seen(pilot, "Host · warning")
        line = next(line for line in seen(pilot.app).split("\n") if "78 %" in line)
        assert "▲ 78 % memory" in line
        assert "▲ 75 %  ✖ 90 %" in line


async def test_a_reading_grows_old_before_the_eyes() -> None:
    control = demo()
    async with console(control).run_test(size=(80, 24)) as pilot:
        await until_seen(pilot, "PostgreSQL · ok")
        control.clock.advance(40)
        await until_seen(pilot, "PostgreSQL · stale")
        await until_seen(pilot, "stale 41 s")
        await until_seen(pilot, "◌ 34 / 100")
        control.sample(readings(control.clock.now()))
        await until_seen(pilot, "PostgreSQL · ok")


async def test_a_source_that_never_answered_says_why() -> None:
    control = demo()
    async with console(control).run_test(size=(120, 40)) as pilot:
        with_reading(
            control, "redis", sampled_at=None, history=(), figures=(), error="connection refused (127.0.0.1:6379)"
        )
        await until_seen(pilot, "Redis · no answer")
        await until_seen(pilot, "connection refused")
        await until_seen(pilot, "never measured")
        assert "✖ Redis" in seen(pilot.app).split("\n")[0]


async def test_a_new_console_says_what_it_waits_for_and_what_to_press() -> None:
    async with console(empty()).run_test(size=(80, 24)) as pilot:
        await until_seen(pilot, "waiting for the first sample…")
        await until_seen(pilot, "No job is running · 3 to start a backfill")
        await until_seen(pilot, "Nothing needs attention: no alert, no failed job")


async def test_a_full_queue_without_a_slot_is_not_called_idle() -> None:
    control = empty()
    async with console(control).run_test(size=(80, 24)) as pilot:
        control.set_state(counts={JobState.QUEUED: 12})
        await until_seen(pilot, "No job is running; 12 jobs wait for a free slot")


async def test_progress_moves() -> None:
    control = demo()
    async with console(control).run_test(size=(80, 24)) as pilot:
        await until_seen(pilot, "62%")
        control.emit(JobProgressed(at=control.clock.now(), job_id=412, progress=Progress(fraction=0.71, eta_s=93)))
        await until_seen(pilot, "71%")
        await until_seen(pilot, "01:33")


async def test_a_job_that_ends_leaves_what_runs_and_a_failure_is_told() -> None:
    control = demo()
    async with console(control).run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "3 running · 12 queued")
        control.change(412, state=JobState.FAILED, error="soft time limit reached", finished_at=control.clock.now())
        await until_seen(pilot, "2 running · 12 queued")
        await until_seen(pilot, "backfill AAPL, MSFT, NVDA +197 1Min 2024: soft time limit reached")


async def test_a_tile_and_an_alert_show_their_figures_and_enter_opens_a_job() -> None:
    app = console(demo())
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "34 / 100")
        app.screen.query_one("#tile-redis").focus()
        await pilot.press("i")
        await until_seen(pilot, "hit rate, last 8 min")
        await until_seen(pilot, "evicted")
        await pilot.press("escape")
        app.screen.query_one("#attention").focus()
        await until_seen(pilot, "i Figures")
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, ReadingDialog))
        await until_seen(pilot, "memory used")
        await pilot.press("escape")
        app.screen.query_one("#running").focus()
        await pilot.press("j", "enter")
        await until_seen(pilot, "#415")


async def test_every_panel_is_reached_by_keys_and_back() -> None:
    app = console(demo())
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "34 / 100")
        seen_ids = []
        for _ in range(7):
            seen_ids.append(app.screen.focused.id if app.screen.focused else None)
            await pilot.press("tab")
        assert len(set(seen_ids)) == 7
        assert app.screen.focused is not None
        assert app.screen.focused.id == seen_ids[0]
        await pilot.press("shift+tab")
        assert app.screen.focused.id == seen_ids[-1]


async def test_the_row_under_the_cursor_stays_there_while_others_end() -> None:
    control = demo()
    app = console(control)
    async with app.run_test(size=(120, 40)) as pilot:
        table = app.screen.query_one("#running", LiveTable)
        await until(pilot, lambda: len(table.keys) == 3)
        await pilot.press("j")
        assert table.current == 415
        control.change(412, state=JobState.SUCCEEDED, finished_at=control.clock.now())
        await until(pilot, lambda: len(table.keys) == 2)
        assert table.current == 415


async def test_a_calm_tile_is_not_drawn_again() -> None:
    control = demo()
    app = console(control)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "34 / 100")
        tile = app.screen.query_one("#tile-postgresql", Tile)
        control.sample(readings(control.clock.now()))

        def is_heard() -> bool:
            return app.state is app.control.state and app.state.snapshot == control.state.snapshot

        await until(pilot, is_heard)
        drawn: list[object] = []
        tile.refresh = lambda *regions, **more: drawn.append(regions) or tile  # type: ignore[method-assign]
        for _ in range(3):
            control.clock.advance(1.5)  # not so long that a tile looks stale
            control.sample(readings(control.clock.now()))
            await until(pilot, is_heard)
        assert drawn == []
        with_reading(control, "postgresql", headline=msgspec.structs.replace(readings()[0].headline, text="35 / 100"))
        await until(pilot, lambda: drawn)
        assert len(drawn[-1]) == 1  # one line


async def test_a_critical_reading_is_loud() -> None:
    control = demo()
    async with console(control).run_test(size=(80, 24)) as pilot:
        with_reading(control, "postgresql", level=Level.CRITICAL)
        await until_seen(pilot, "PostgreSQL · critical")
        await until_seen(pilot, "✖ PG")
        with_reading(control, "postgresql", level=Level.OK)
        await until_gone(pilot, "critical")
