"""What every store promises the engine, told through the port alone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.jobs import SETTINGS, new_job, opened
from qsuite_console.engine.ports import AuditEntry, Ending, Start, Store
from qsuite_console.model.errors import Conflict, NotFound
from qsuite_console.model.jobs import Job, JobQuery, JobState, LogLine, Outcome, Progress

ME, OTHER = "me", "a dead one"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as opened_store:
        yield opened_store


async def insert(store: Store, key: str | None = None, **changes: object) -> Job:
    inserted = await store.insert(new_job(**changes), dedupe_key=key)
    assert (inserted.is_joined, inserted.previous) == (False, None)
    return inserted.job


async def start(store: Store, owner: str = ME, **changes: object) -> Job:
    job = await insert(store, **changes)
    claim = await store.claim_one(job.id, owner=owner, now=now())
    assert claim is not None
    return claim.job


async def finish(store: Store, job: Job, outcome: Outcome, **ending: object) -> Job:
    return await store.finish(job.id, job.attempt, Ending(outcome=outcome, **ending), owner=ME, now=now())


async def test_a_job_comes_back_as_it_was_stored(store: Store) -> None:
    job = await insert(store, parameters={"symbols": "AAPL", "n": 3}, title="backfill AAPL", priority=8, origin="cli")
    detail = await store.detail(job.id)
    assert detail.job == job
    assert (job.state, job.parameters, job.priority, job.origin) == (
        JobState.QUEUED, {"symbols": "AAPL", "n": 3}, 8, "cli",
    )  # fmt: skip
    assert detail.attempts == ()


async def test_a_page_holds_jobs_as_they_were_stored(store: Store) -> None:
    odd = "\"'\\ \n\t\x1b\u2028 é 漢 🙂 {[null]} \x00 end"
    texts = {"parameters": {"t": odd, "n": 2**60, "f": 0.1, "none": None}, "title": odd, "origin": odd}
    stored = [await insert(store, **{**texts, "queue": f"q{n % 2}"}) for n in range(5)]
    for query in (JobQuery(), JobQuery(states=(JobState.QUEUED, JobState.FAILED)), JobQuery(queues=("q0", "q1"))):
        assert (await store.jobs(query)).jobs == tuple(reversed(stored))
    assert (await store.jobs(JobQuery(text="漢 🙂"))).jobs == tuple(reversed(stored))


async def test_equal_live_jobs_are_joined_and_finished_ones_are_not(store: Store) -> None:
    first = await insert(store, "same")
    again = await store.insert(new_job(), dedupe_key="same")
    assert (again.job.id, again.is_joined) == (first.id, True)
    await store.request_cancel(first.id, now=now())
    fresh = await store.insert(new_job(), dedupe_key="same")
    assert (fresh.job.id > first.id, fresh.is_joined) == (True, False)


async def test_64_submitters_of_one_job_make_one(store: Store) -> None:
    answers = await asyncio.gather(*(store.insert(new_job(), dedupe_key="same") for _ in range(64)))
    assert len({answer.job.id for answer in answers}) == 1
    assert [answer.is_joined for answer in answers].count(False) == 1


async def test_claims_follow_priority_then_age_within_each_queue(store: Store) -> None:
    low = await insert(store, priority=2)
    first, second = await insert(store), await insert(store)
    other = await insert(store, queue="execution", priority=8)
    claims = await store.claim({"general": 2, "execution": 1, "ai": 4}, owner=ME, now=now())
    assert {claim.job.id for claim in claims} == {first.id, second.id, other.id}
    assert [claim.job.id for claim in claims if claim.job.queue == "general"] == [first.id, second.id]
    assert all(claim.number == 1 and claim.job.state is JobState.RUNNING for claim in claims)
    assert [claim.job.id for claim in await store.claim({"general": 9}, owner=ME, now=now())] == [low.id]
    assert await store.claim({"general": 9}, owner=ME, now=now()) == []


async def test_success_keeps_the_result_and_drops_the_checkpoint(store: Store) -> None:
    job = await start(store)
    await store.save_checkpoint(job.id, 1, {"page": 4})
    done = await finish(store, job, Outcome.SUCCEEDED, result={"rows": 7}, run_s=1.5, cpu_s=0.5, memory_delta=4096)
    detail = await store.detail(job.id)
    assert (done.state, done.finished_at is not None, detail.result, detail.checkpoint) == (
        JobState.SUCCEEDED, True, {"rows": 7}, None,
    )  # fmt: skip
    (attempt,) = detail.attempts
    assert (attempt.outcome, attempt.run_s, attempt.cpu_s, attempt.memory_delta, attempt.owner) == (
        Outcome.SUCCEEDED, 1.5, 0.5, 4096, ME,
    )  # fmt: skip


async def test_a_retry_waits_for_its_time_and_keeps_the_checkpoint(store: Store) -> None:
    job = await start(store)
    await store.save_checkpoint(job.id, 1, {"page": 4})
    later = now() + timedelta(seconds=60)
    scheduled = await finish(store, job, Outcome.RETRY, error="503", retry_at=later, reason="soon")
    assert (scheduled.state, scheduled.run_at, scheduled.error) == (JobState.SCHEDULED, later, "503")
    assert (await store.due(now=now()))[0] == []
    moved, following = await store.due(now=later)
    assert ([job.id for job in moved], moved[0].state, following) == ([job.id], JobState.QUEUED, None)
    (claim,) = await store.claim({"general": 1}, owner=ME, now=later)
    assert (claim.number, claim.job.tries, claim.checkpoint) == (2, 2, {"page": 4})


@pytest.mark.parametrize("outcome", [Outcome.PAUSED, Outcome.INTERRUPTED])
async def test_pauses_and_interruptions_use_no_attempt_up(store: Store, outcome: Outcome) -> None:
    job = await start(store)
    stopped = await finish(store, job, outcome)
    assert (stopped.state.value, stopped.attempt, stopped.tries) == (outcome.value, 1, 0)


async def test_an_ending_counts_only_from_the_owner_of_the_running_attempt(store: Store) -> None:
    job = await start(store, OTHER)
    await store.rescue(owner=ME, now=now(), max_rescues=5)
    claim = await store.claim_one(job.id, owner=ME, now=now())
    assert claim is not None
    for number, owner in ((1, OTHER), (2, OTHER), (1, ME)):
        with pytest.raises(Conflict):
            await store.finish(job.id, number, Ending(outcome=Outcome.SUCCEEDED), owner=owner, now=now())
    with pytest.raises(Conflict):
        await store.save_checkpoint(job.id, 1, {"late": True})
    assert (await finish(store, claim.job, Outcome.SUCCEEDED)).state is JobState.SUCCEEDED
    with pytest.raises(Conflict):
        await store.save_checkpoint(job.id, 2, {"late": True})


async def test_the_same_ending_told_twice_is_accepted_once(store: Store) -> None:
    job = await start(store)
    once = await finish(store, job, Outcome.SUCCEEDED, result={"n": 1})
    assert await finish(store, job, Outcome.SUCCEEDED, result={"n": 1}) == once
    assert (await store.counts())["succeeded"] == 1
    with pytest.raises(Conflict):
        await finish(store, job, Outcome.FAILED, error="no")


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.PAUSED, Outcome.INTERRUPTED, Outcome.FAILED])
async def test_a_cancelled_job_never_becomes_available_again(store: Store, outcome: Outcome) -> None:
    job = await start(store)
    asked = (await store.request_cancel(job.id, now=now())).job
    assert (asked.state, asked.cancel_requested) == (JobState.RUNNING, True)
    ended = await finish(store, job, outcome, retry_at=now() if outcome is Outcome.RETRY else None)
    assert ended.state is JobState.CANCELLED


async def test_rescue_takes_over_only_what_another_owner_left(store: Store) -> None:
    mine, lost, cancelled = await start(store), await start(store, OTHER), await start(store, OTHER)
    await store.save_checkpoint(lost.id, 1, {"page": 9})
    await store.request_cancel(cancelled.id, now=now())
    rescued = {job.id: job for job in await store.rescue(owner=ME, now=now(), max_rescues=5)}
    assert {job.id: job.state for job in rescued.values()} == {
        lost.id: JobState.INTERRUPTED, cancelled.id: JobState.CANCELLED,
    }  # fmt: skip
    assert (rescued[lost.id].reason, rescued[lost.id].rescues, rescued[lost.id].tries) == ("its process died", 1, 0)
    (attempt,) = await store.attempts(lost.id)
    assert (attempt.outcome, attempt.error, attempt.owner) == (Outcome.INTERRUPTED, "its process died", OTHER)
    (claim,) = await store.claim({"general": 9}, owner=ME, now=now())
    assert (claim.job.id, claim.number, claim.checkpoint) == (lost.id, 2, {"page": 9})
    assert (await store.detail(mine.id)).job.state is JobState.RUNNING


async def test_a_job_that_keeps_killing_its_process_is_given_up(store: Store) -> None:
    job = await insert(store)
    for round_number in range(3):
        assert await store.claim_one(job.id, owner=f"dead {round_number}", now=now())
        (rescued,) = await store.rescue(owner=ME, now=now(), max_rescues=2)
    assert rescued.state is JobState.FAILED
    assert "died 3 times" in (rescued.error or "")


async def test_a_job_that_others_do_did_not_die_with_its_engine(store: Store) -> None:
    job = await insert(store)
    for round_number in range(3):
        claim = await store.claim_one(job.id, owner=f"dead {round_number}", now=now())
        assert claim is not None
        assert claim.job.handed_out is (round_number > 0)  # said once, known until it is taken back
        if not round_number:
            await store.hand_out(job.id, claim.number)
        (rescued,) = await store.rescue(owner=ME, now=now(), max_rescues=1)
        assert (rescued.state, rescued.rescues, rescued.handed_out) == (JobState.INTERRUPTED, 0, True)
        assert rescued.reason == "the engine died; the work goes on elsewhere"
    with pytest.raises(Conflict, match="attempt 3 of job 1 is over"):
        await store.hand_out(job.id, 3)
    claim = await store.claim_one(job.id, owner="dead", now=now())
    assert claim is not None
    await store.hand_out(job.id, claim.number, is_out=False)
    (rescued,) = await store.rescue(owner=ME, now=now(), max_rescues=1)
    assert (rescued.state, rescued.rescues, rescued.handed_out) == (JobState.INTERRUPTED, 1, False)


async def test_holding_and_releasing(store: Store) -> None:
    job = await insert(store)
    assert (await store.hold(job.id, now=now())).job.state is JobState.PAUSED
    assert await store.claim({"general": 1}, owner=ME, now=now()) == []
    with pytest.raises(Conflict, match="paused already"):
        await store.hold(job.id, now=now())
    assert (await store.release(job.id, now=now())).job.state is JobState.QUEUED
    with pytest.raises(Conflict, match="queued, not paused"):
        await store.release(job.id, now=now())
    later = await insert(store, state=JobState.SCHEDULED, run_at=now() + timedelta(hours=1))
    await store.hold(later.id, now=now())
    assert (await store.release(later.id, now=now())).job.state is JobState.SCHEDULED


async def test_requeue_gives_a_fresh_set_of_attempts_unless_an_equal_job_lives(store: Store) -> None:
    job = (await store.insert(new_job(), dedupe_key="same")).job
    claim = await store.claim_one(job.id, owner=ME, now=now())
    assert claim is not None
    await store.save_checkpoint(job.id, 1, {"page": 2})
    failed = await finish(store, claim.job, Outcome.FAILED, error="no")
    twin = (await store.insert(new_job(), dedupe_key="same")).job
    with pytest.raises(Conflict, match=f"job {twin.id} does the same"):
        await store.requeue(failed.id, now=now())
    await store.request_cancel(twin.id, now=now())
    again = (await store.requeue(failed.id, now=now())).job
    assert (again.state, again.tries, again.error, again.finished_at) == (JobState.QUEUED, 0, None, None)
    assert (await store.detail(job.id)).checkpoint == {"page": 2}


async def test_only_finished_jobs_are_deleted(store: Store) -> None:
    live, done = await insert(store), await start(store)
    await finish(store, done, Outcome.SUCCEEDED, result={"n": 1})
    assert [job.id for job in await store.delete([live.id, done.id, 999])] == [done.id]
    with pytest.raises(NotFound):
        await store.detail(done.id)
    assert (await store.counts())["succeeded"] == 0


async def test_counts_and_depths_follow_every_change(store: Store) -> None:
    await insert(store)
    await insert(store, queue="ai", state=JobState.SCHEDULED, run_at=now() + timedelta(hours=1))
    lost = await start(store, OTHER, queue="execution")
    await store.rescue(owner=ME, now=now(), max_rescues=5)
    counts = await store.counts()
    assert {state: number for state, number in counts.items() if number} == {
        "queued": 1, "scheduled": 1, "interrupted": 1,
    }  # fmt: skip
    depths = await store.queue_depths()
    assert (depths["general"], depths["ai"], depths["execution"]) == ((1, 0), (0, 1), (1, 0))
    assert lost.id


async def test_pages_by_keyset_and_filters(store: Store) -> None:
    ids = [(await insert(store, kind="odd" if n % 2 else "even", title=f"100%_{n}")).id for n in range(10)]
    await store.request_cancel(ids[3], now=now())
    first = await store.jobs(JobQuery(limit=4))
    second = await store.jobs(JobQuery(limit=4, before=first.next_before))
    last = await store.jobs(JobQuery(limit=4, before=second.next_before))
    seen = [job.id for page in (first, second, last) for job in page.jobs]
    assert (seen, last.next_before) == (ids[::-1], None)

    async def found(**query: object) -> list[int]:
        return [job.id for job in (await store.jobs(JobQuery(**query))).jobs]

    assert await found(kinds=("odd",)) == ids[1::2][::-1]
    assert await found(states=(JobState.CANCELLED, JobState.RUNNING)) == [ids[3]]
    assert await found(states=(JobState.QUEUED,), kinds=("odd",)) == [ids[9], ids[7], ids[5], ids[1]]
    assert await found(text="100%_7") == [ids[7]]
    assert await found(queues=("ai",)) == []


async def test_logs_are_numbered_across_attempts(store: Store) -> None:
    def line(job_id: int, message: str, attempt: int = 1) -> LogLine:
        return LogLine(job_id=job_id, number=0, at=now(), level="INFO", message=message, attempt=attempt)

    job, other = await insert(store), await insert(store)
    store.note_logs([line(job.id, "one"), line(other.id, "else"), line(job.id, "two")])
    assert [(found.number, found.message) for found in await store.logs(job.id, after=0, limit=9)] == [
        (1, "one"), (2, "two"),
    ]  # fmt: skip
    store.note_logs([line(job.id, "three", 2)])
    assert [(found.number, found.attempt) for found in await store.logs(job.id, after=2, limit=9)] == [(3, 2)]


async def test_progress_of_a_running_job_is_seen_by_readers(store: Store) -> None:
    job = await start(store)
    store.note_progress(job.id, Progress(done=3, total=4, fraction=0.75, rate=1.5, updated_at=now()))
    detail = await store.detail(job.id)
    assert (detail.job.progress.fraction, [(point.done, point.rate) for point in detail.throughput]) == (
        0.75, [(3.0, 1.5)],
    )  # fmt: skip


async def test_statistics_count_outcomes_and_take_percentiles(store: Store) -> None:
    for run_s in (0.1, 0.1, 0.1, 10.0):
        await finish(store, await start(store), Outcome.SUCCEEDED, run_s=run_s)
    await finish(store, await start(store), Outcome.FAILED, error="no", run_s=0.1)
    await finish(store, await start(store), Outcome.RETRY, error="no", retry_at=now(), run_s=0.1)
    for window_s in (3600.0, 86_400.0, 90 * 86_400.0):
        found = await store.statistics(window_s=window_s, now=now())
        (kind,), (queue,) = found.kinds, found.queues
        assert (kind.name, kind.succeeded, kind.failed, kind.retried, queue.name) == ("task", 4, 1, 1, "general")
        assert kind.run_p50 == pytest.approx(0.1, rel=0.1)
        assert kind.run_p99 == pytest.approx(10.0, rel=0.1)
        assert found.utilisation is not None


async def test_queue_settings_and_audit_are_kept(store: Store) -> None:
    await store.save_queue("general", concurrency=9, is_paused=True)
    assert await store.queue_settings() == {"general": (9, True)}
    await store.audit(AuditEntry(at=now(), who="me", origin="cli", action="queues.set", subject="general", result="9"))
    await store.probe()


async def test_pruning_by_age_count_and_expiry(store: Store) -> None:
    old = await start(store)
    await finish(store, old, Outcome.SUCCEEDED, result={"n": 1})
    live = await insert(store)
    assert await store.prune(now=now()) == 0
    assert (await store.detail(old.id)).result == {"n": 1}
    assert await store.prune(now=now() + timedelta(seconds=SETTINGS.result_ttl_s + 60)) == 0
    assert (await store.detail(old.id)).result is None
    assert await store.prune(now=now() + timedelta(days=SETTINGS.history_max_age_days + 1)) == 1
    assert [job.id for job in (await store.jobs(JobQuery())).jobs] == [live.id]


async def test_unknown_jobs_are_named(store: Store) -> None:
    for ask in (store.detail(7), store.request_cancel(7, now=now()), store.requeue(7, now=now())):
        with pytest.raises(NotFound, match="no job 7"):
            await ask


async def test_a_change_and_its_audit_are_kept_together_or_not_at_all(store: Store, tmp_path: Path) -> None:
    def note(job: Job, previous: JobState | None) -> AuditEntry:
        return AuditEntry(
            at=now(), who="me", origin="cli", action="jobs.x", subject=f"{job.id}", result=f"{previous} {job.state}"
        )

    def broken(job: Job, previous: JobState | None) -> AuditEntry:
        raise ZeroDivisionError("no entry")

    job = (await store.insert(new_job(), dedupe_key="one", note=note)).job
    with pytest.raises(ZeroDivisionError):
        await store.insert(new_job(), dedupe_key="two", note=broken)
    for action in (store.hold, store.release, store.request_cancel):
        with pytest.raises(ZeroDivisionError):
            await action(job.id, now=now(), note=broken)
        change = await action(job.id, now=now(), note=note)
        assert change.job.id == job.id
    with pytest.raises(ZeroDivisionError):
        await store.delete([job.id], note=broken)
    (gone,) = await store.delete([job.id], note=note)
    assert gone.state is JobState.CANCELLED
    connection = sqlite3.connect(tmp_path / "history.sqlite")
    rows = connection.execute("SELECT subject, result FROM audit ORDER BY id").fetchall()
    connection.close()
    assert rows == [
        ("1", "None queued"), ("1", "queued paused"), ("1", "paused queued"), ("1", "queued cancelled"),
        ("1", "cancelled cancelled"),
    ]  # fmt: skip


async def test_an_insert_claims_for_the_free_slot_by_priority(store: Store) -> None:
    alone = await store.insert(new_job(), dedupe_key=None, start=Start(owner=ME))
    assert alone.claim is not None
    assert (alone.claim.job.id, alone.job.state, alone.claim.job.state) == (
        alone.job.id, JobState.QUEUED, JobState.RUNNING,
    )  # fmt: skip
    urgent = await insert(store, priority=9)
    later = await store.insert(new_job(), dedupe_key=None, start=Start(owner=ME))
    assert later.claim is not None
    assert later.claim.job.id == urgent.id
    mine = await store.insert(new_job(), dedupe_key=None, start=Start(owner=ME, only_it=True))
    assert mine.claim is not None
    assert mine.claim.job.id == mine.job.id
