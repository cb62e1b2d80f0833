"""The pure parts: when to retry, which state follows which, how events fold, how logs and progress are measured."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.jobs import new_job
from qsuite_console.db.errors import DatabaseDown, DatabaseFull
from qsuite_console.engine import retry
from qsuite_console.engine.bus import RING, SUBSCRIPTION, Bus
from qsuite_console.engine.context import Pace
from qsuite_console.engine.joblog import REPEATS, AttemptLog
from qsuite_console.engine.lifecycle import ACTIONS, TRANSITIONS, fits, may_follow
from qsuite_console.engine.ports import Permanent, Retryable
from qsuite_console.engine.state import RECENT_LIMIT, ConsoleState, reduce, reduce_all
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.events import EngineTrouble, JobChanged, JobDeleted, JobProgressed
from qsuite_console.model.jobs import LIVE, TERMINAL, JobAction, JobState, LogLine, Progress

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(tries=st.integers(0, 5000), seed=st.integers())
def test_backoff_is_bounded_for_any_number_of_tries(tries: int, seed: int) -> None:
    delay = retry.backoff_s(tries, random.Random(seed))
    assert retry.FLOOR_S <= delay <= min(retry.CAP_S, 2.0 ** max(1, min(tries, 32)))


def test_jitter_spreads_a_thundering_herd_over_the_whole_interval() -> None:
    dice = random.Random(1)
    delays = [retry.backoff_s(9, dice) for _ in range(10_000)]
    per_tenth = [sum(low <= delay < low + 51.2 for delay in delays) for low in (n * 51.2 for n in range(10))]
    assert min(per_tenth) > 800


def test_what_is_retried_and_when() -> None:
    def when(error: BaseException | None, tries: int = 1) -> datetime | None:
        return retry.retry_at(error, tries=tries, max_attempts=4, now=NOW, dice=random.Random(1))

    assert when(Permanent("no")) is None
    assert when(InvalidParameters({"a": "b"})) is None
    assert when(ValueError("odd"), tries=4) is None
    assert NOW < (when(ValueError("odd")) or NOW) <= NOW + timedelta(seconds=2)
    asked = when(Retryable("429", after_s=30))
    assert asked is not None
    assert NOW + timedelta(seconds=30) <= asked <= NOW + timedelta(seconds=31)


def test_three_waits_for_a_server_that_is_away_outlast_its_restart() -> None:
    def waits(error: ConsoleError) -> list[float]:
        dice = random.Random(1)
        found = [retry.retry_at(error, tries=tries, max_attempts=4, now=NOW, dice=dice) for tries in (1, 2, 3)]
        return [(at - NOW).total_seconds() for at in found if at is not None]

    first, second, third = waits(DatabaseDown("away"))
    assert 2 <= first <= 3
    assert 8 <= second <= 9
    assert 32 <= third <= 33
    assert all(60 <= wait <= 61 for wait in waits(DatabaseFull("no space")))
    assert waits(ConsoleError("it will not pass")) == []


def test_errors_are_told_in_one_line() -> None:
    assert retry.describe(Permanent("no key", hint="set one")) == "no key (set one)"
    assert retry.describe(ConsoleError("down")) == "down"
    assert retry.describe(KeyError("x")) == "KeyError: 'x'"
    assert retry.describe(TimeoutError()) == "TimeoutError"


def test_every_state_is_covered_and_terminal_ones_only_reopen_by_hand() -> None:
    assert set(TRANSITIONS) == set(JobState)
    assert set(ACTIONS) == set(JobAction)
    assert may_follow(None, JobState.QUEUED)
    assert not may_follow(None, JobState.RUNNING)
    for state in TERMINAL:
        assert TRANSITIONS[state] <= {JobState.QUEUED}
    for state in JobState:
        assert fits(JobAction.CANCEL, state) == (state in LIVE)
        assert fits(JobAction.DELETE, state) == (state in TERMINAL)


def events() -> list[JobChanged | JobProgressed | JobDeleted | EngineTrouble]:
    made: list[JobChanged | JobProgressed | JobDeleted | EngineTrouble] = []
    for number in range(1, 80):
        queued = new_job(id=number)
        started = msgspec.structs.replace(queued, state=JobState.RUNNING)
        done = msgspec.structs.replace(queued, state=JobState.SUCCEEDED, finished_at=NOW)
        made.append(JobChanged(at=NOW, job=queued))
        made.append(JobChanged(at=NOW, job=started, previous="queued"))
        made.append(JobProgressed(at=NOW, job_id=number, progress=Progress(done=number)))
        if number % 9:
            made.append(JobChanged(at=NOW, job=done, previous="running"))
    made.append(JobDeleted(at=NOW, job_id=79, previous="succeeded"))
    made.append(EngineTrouble(at=NOW, message="full"))
    return made


def test_folding_a_batch_equals_folding_one_by_one() -> None:
    one_by_one = ConsoleState()
    made = events()
    for event in made:
        one_by_one = reduce(one_by_one, event)
    assert reduce_all(ConsoleState(), made) == one_by_one
    assert one_by_one.counts == {"queued": 0, "running": 8, "succeeded": 70}
    assert [job.id for job in one_by_one.running] == list(range(9, 80, 9))
    assert [job.progress.done for job in one_by_one.running] == list(range(9, 80, 9))
    assert len(one_by_one.recent) == RECENT_LIMIT - 1
    assert one_by_one.recent[0].id == 78
    assert one_by_one.trouble == "full"


def test_what_changes_nothing_leaves_the_very_same_state() -> None:
    state = ConsoleState(trouble="full")
    assert reduce(state, EngineTrouble(at=NOW, message="full")) is state
    assert reduce(state, JobProgressed(at=NOW, job_id=7, progress=Progress())) is state


async def test_the_bus_numbers_events_without_gaps_and_shows_when_some_are_gone() -> None:
    bus = Bus(ConsoleState(), SystemClock())
    for number in range(RING + 10):
        bus.publish(EngineTrouble(at=NOW, message=str(number)))
    newest, found = bus.events(RING)
    assert (newest, [event.message for event in found if isinstance(event, EngineTrouble)]) == (
        RING + 10, [str(RING + n) for n in range(10)],
    )  # fmt: skip
    newest, found = bus.events(0)
    assert len(found) < newest
    assert bus.events(newest) == (newest, ())
    bus.flush()
    assert (bus.state.trouble, bus.state.sequence) == (str(RING + 9), newest)
    bus.close()


async def test_a_subscriber_that_lags_is_cut_off_and_the_others_are_not() -> None:
    bus = Bus(ConsoleState(), SystemClock())
    slow, quick = bus.subscribe(), bus.subscribe()
    seen = []

    async def read() -> None:
        async for event in quick:
            seen.append(event)

    reader = asyncio.create_task(read())
    for _ in range(SUBSCRIPTION + 1):
        bus.publish(EngineTrouble(at=NOW, message="x"))
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (slow.is_cut, quick.is_cut, len(seen)) == (True, False, SUBSCRIPTION + 1)
    bus.close()
    await asyncio.wait_for(reader, 5)


def test_pace_follows_a_steady_rate_and_starts_afresh() -> None:
    pace = Pace()
    for second in range(30):
        pace.measure(1000 + second * 50, "rows", float(second))
    assert pace.rate == pytest.approx(50)
    assert pace.left_s(2450, 3450) == pytest.approx(20)
    assert pace.left_s(2450, None) is None
    pace.measure(0, "rows", 31.0)
    assert pace.rate is None


def test_equal_warnings_collapse_and_are_counted_and_secrets_stay_out() -> None:
    kept: list[LogLine] = []
    log = AttemptLog(1, 2, kept.extend)
    for _ in range(REPEATS + 4):
        log.add("WARNING", "down", NOW, collapses=True)
    log.add("INFO", "fine\x1b[2J", NOW, collapses=False)
    log.close(NOW)
    assert [line.message for line in kept] == ["down"] * REPEATS + ["fine␛[2J", "(4 more times) down"]
    assert {line.attempt for line in kept} == {2}
