from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from fakes.platform import NOW, readings
from qsuite_console.model.health import Level
from qsuite_console.model.jobs import JobState
from qsuite_console.widgets import looks

READING = readings()[0]


def test_no_two_states_share_glyph_or_word() -> None:
    for family in (looks.JOBS.values(), looks.LEVELS.values()):
        entries = list(family)
        assert len({look.glyph for look in entries}) == len(entries)
        assert len({look.word for look in entries}) == len(entries)
    assert set(looks.JOBS) == set(JobState)
    assert set(looks.LEVELS) == set(Level)


@pytest.mark.parametrize(
    ("age_s", "error", "word"), [(1, None, "ok"), (2.6, None, "ok"), (2.8, None, "stale"), (40, "refused", "no answer")]
)
def test_an_old_reading_is_never_shown_as_a_good_one(age_s: float, error: str | None, word: str) -> None:
    old = msgspec.structs.replace(READING, sampled_at=NOW - timedelta(seconds=age_s), error=error)
    assert looks.of_reading(old, NOW).word == word


def test_what_was_never_measured_is_neither_good_nor_bad() -> None:
    never = msgspec.structs.replace(READING, sampled_at=None, level=Level.OK)
    assert looks.of_reading(never, NOW).word == "waiting"
    assert looks.of_reading(msgspec.structs.replace(never, error="refused"), NOW).word == "no answer"


def test_a_job_that_waits_for_its_next_try_differs_from_one_that_waits_for_its_time() -> None:
    assert looks.of_job(JobState.SCHEDULED).word == "scheduled"
    assert looks.of_job(JobState.SCHEDULED, attempt=1).word == "retrying"
    assert looks.of_job(JobState.RUNNING, is_cancelling=True).word == "cancelling"
