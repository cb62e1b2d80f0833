from __future__ import annotations

import pytest

from fakes.platform import job
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.jobs import JobState
from qsuite_console.widgets import job_filter

APPLE = job(12, "backfill AAPL 1Day 2024", JobState.FAILED, error="connection refused")
TESLA = job(
    13, "backfill TSLA 5Min 2025", JobState.RUNNING, queue="general", origin="cli", parameters={"symbols": "TSLA"}
)
CACHE = job(14, "warm prices", JobState.SUCCEEDED, kind="warm.prices", parameters={"symbols": "AAPL"})


@pytest.mark.parametrize(
    ("text", "found"),
    [("", (12, 13, 14)), ("aapl", (12, 14)), ("aapl !warm", (12,)), ("AAPL 1day", (12,)), ("/tsla|aapl 1d/", (12, 13)),
     ("!/backfill/", (14,)), ("state:failed", (12,)), ("state:fail,run", (12, 13)), ("!state:failed", (13, 14)),
     ("state:live", (13,)), ("kind:warm.prices", (14,)), ("queue:general", (13,)), ("from:cli", (13,)),
     ("id:12", (12,)),
     ("refused", (12,)), ("failed", (12,)), ("#12", (12,)), ("kind:backfill !tsla", (12,))],
)  # fmt: skip
def test_a_filter_lets_through_what_it_says(text: str, found: tuple[int, ...]) -> None:
    wanted = job_filter.parse(text)
    assert tuple(j.id for j in (APPLE, TESLA, CACHE) if wanted.matches(j)) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [("/(/", "not a regular expression"), ("state:bogus", "state:bogus is not one of"), ("id:x", "id:x")],
)
def test_what_is_not_understood_is_named(text: str, reason: str) -> None:
    with pytest.raises(UsageProblem, match=reason):
        job_filter.parse(text)


def test_the_engine_is_asked_for_what_it_can_find_itself() -> None:
    query = job_filter.parse("state:failed kind:backfill queue:general tsla").query(before=40, limit=10)
    assert (query.states, query.kinds, query.queues) == ((JobState.FAILED,), ("backfill",), ("general",))
    assert (query.before, query.limit) == (40, 10)
