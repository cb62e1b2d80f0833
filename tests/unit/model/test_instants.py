"""Instants at the ends of the calendar, or without a zone: refused by name wherever a program may state one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from fakes.jobs import Doing, nothing, running
from qsuite_console.engine.timing import read_timing
from qsuite_console.model.errors import InvalidParameters, UsageProblem
from qsuite_console.model.instants import stated
from qsuite_console.model.jobs import Submission

NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12)))
FIRST = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
BAD = [LAST, FIRST, datetime.max.replace(tzinfo=UTC), datetime.fromisoformat("2026-01-01T00:00:00")]


def test_a_usual_one_is_told_in_utc() -> None:
    assert stated(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "start") == datetime(
        2026, 1, 1, tzinfo=UTC
    )


@pytest.mark.parametrize("at", BAD, ids=str)
async def test_others_are_refused_by_name(at: datetime, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="start must"):
        stated(at, "start")
    with running(tmp_path, Doing(nothing)) as engine, pytest.raises(UsageProblem, match="run_at must"):
        await engine.control.submit(Submission(kind="task", run_at=at))


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_a_schedule_of_such_a_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameters, match="is not a time like"):
        read_timing("", "", text, "UTC", NOW)
