"""Steps that the tests of the backfill screen share."""

from __future__ import annotations

from typing import Any

import msgspec
from textual.pilot import Pilot

from fakes.control import FakeControl, demo
from qsuite_console.model.jobs import LIVE, JobDetail, JobState, Submission
from qsuite_console.screens.backfill import BackfillScreen
from qsuite_console.screens.backfill_map import MapPane
from screens.seeing import until

WIDE, SMALL, TINY = (120, 40), (80, 24), (60, 15)


async def open_backfill(pilot: Pilot[Any], *, is_read: bool = True) -> None:
    """Go to the screen; wait for its form and, if it is shown and can be read, for its map."""
    await pilot.press("3")
    await until(pilot, lambda: isinstance(pilot.app.screen, BackfillScreen) and pilot.app.screen.focused is not None)
    pane = pilot.app.screen.query_one(MapPane)
    await until(pilot, lambda: pane.grid.rows or not pane.region.width or not is_read)


def asked(control: FakeControl, name: str) -> list[tuple[Any, ...]]:
    return [arguments for call, arguments in control.calls if call == name]


def submissions(control: FakeControl) -> list[Submission]:
    return [arguments[0] for arguments in asked(control, "submit")]


async def type_symbols(pilot: Pilot[Any], text: str) -> None:
    await pilot.press("enter", *text, "enter")


def without_live_jobs(*, is_verified: bool) -> FakeControl:
    control = demo()
    for job in list(control.all_jobs.values()):
        if job.kind == "backfill" and job.state in LIVE:
            del control.all_jobs[job.id]
    control.set_state(running=())
    newest = max((j for j in control.all_jobs.values() if j.kind == "backfill"), key=lambda j: (j.finished_at, j.id))
    done = msgspec.structs.replace(newest, state=JobState.SUCCEEDED, error=None)
    control.all_jobs[newest.id] = done
    result = {
        "symbols": 200, "requests": 1950, "rows_expected": 5000, "rows_present": 5000 if is_verified else 4998,
        "rows_written": 4000, "quarantined": 2, "http_429": 0, "rows_per_s": 41200.0, "symbols_per_s": 1.6,
        "verified": is_verified,
        "missing": [] if is_verified else [
            {"symbol": "AAPL", "from": "2025-03-03T05:00:00", "to": "2025-03-28T04:00:00", "fetched": 20, "present": 18}
        ],
        "restored": [] if is_verified else [{"symbol": "AAPL", "fetched": 20, "present": 11}],
    }  # fmt: skip
    control.details[newest.id] = JobDetail(job=done, result=result)
    return control
