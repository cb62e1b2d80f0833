"""What every Control promises of operations: looked at, confirmed, written down, done once; the rest told apart."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from contracts.engines import CONTROLS
from qsuite_console.engine.control import Control
from qsuite_console.model.errors import (
    Conflict,
    ConsoleError,
    InvalidParameters,
    NotFound,
    ReadOnly,
    TimedOut,
    Unconfirmed,
)
from qsuite_console.model.jobs import JobAction, JobState, Submission


@pytest.fixture(params=sorted(CONTROLS))
def control(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Control]:
    with CONTROLS[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=sorted(CONTROLS))
def read_only_control(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Control]:
    with CONTROLS[request.param](tmp_path, is_read_only=True) as made:
        yield made


@pytest.fixture(params=sorted(CONTROLS))
def production_control(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Control]:
    with CONTROLS[request.param](tmp_path, word="PRODUCTION") as made:
        yield made


def audit(tmp_path: Path) -> list[tuple[str, str, str, str]]:
    """Return (origin, action, subject, result) of each entry, oldest first, by a reader of its own."""
    connection = sqlite3.connect(tmp_path / "history.sqlite")
    rows = connection.execute("SELECT origin, action, subject, result FROM audit ORDER BY id").fetchall()
    connection.close()
    return rows


async def test_operations_describe_themselves(control: Control) -> None:
    infos = {info.name: info for info in await control.operations()}
    assert list(infos) == ["test.break", "test.hang", "test.note", "test.slow", "test.switch"]
    assert [spec.name for spec in infos["test.switch"].parameters] == ["lamp", "was"]
    assert (infos["test.switch"].changes_target, infos["test.note"].changes_target) == (True, False)


async def test_a_confirmation_by_another_name_is_refused(control: Control) -> None:
    with pytest.raises(Unconfirmed, match="target is test, not staging"):
        await control.perform("test.note", {"lamp": "hall", "was": False}, confirmation="staging")


async def test_what_is_proposed_can_be_performed_as_it_is(control: Control, tmp_path: Path) -> None:
    proposal = await control.propose("test.switch", {"lamp": "hall"})
    assert (proposal.title, proposal.typed, proposal.parameters) == (
        "Turn hall on?", "", {"lamp": "hall", "was": False},
    )  # fmt: skip
    assert audit(tmp_path) == []
    outcome = await control.perform("test.switch", proposal.parameters, origin="me")
    assert (outcome.operation, outcome.is_done, outcome.message) == ("test.switch", True, "hall is turned")
    assert audit(tmp_path) == [("me", "test.switch", "lamp hall, was False", "done: hall is turned")]


async def test_what_changed_since_the_proposal_refuses(control: Control, tmp_path: Path) -> None:
    proposal = await control.propose("test.switch", {"lamp": "hall"})
    await control.perform("test.switch", proposal.parameters)
    with pytest.raises(Conflict, match="turned meanwhile") as refused:
        await control.perform("test.switch", proposal.parameters)
    assert refused.value.hint == "look again"
    assert [row[3] for row in audit(tmp_path)] == [
        "done: hall is turned",
        "refused: the lamp hall was turned meanwhile",
    ]


async def test_wrong_requests_are_refused_by_name(control: Control) -> None:
    with pytest.raises(NotFound, match="no operation nosuch"):
        await control.propose("nosuch", {})
    with pytest.raises(NotFound):
        await control.perform("no/such?", {})
    with pytest.raises(NotFound, match="no lamp attic"):
        await control.propose("test.switch", {"lamp": "attic"})
    with pytest.raises(InvalidParameters) as refused:
        await control.perform("test.switch", {"lmap": "hall"})
    assert set(refused.value.problems) == {"lmap", "lamp"}


async def test_timed_out_and_failed_are_told_apart(control: Control, tmp_path: Path) -> None:
    given = {"lamp": "hall", "was": False}
    with pytest.raises(TimedOut, match="not known"):
        await control.perform("test.hang", given)
    with pytest.raises(ConsoleError, match="ZeroDivisionError: the lamp is broken") as failed:
        await control.perform("test.break", given)
    assert type(failed.value) is ConsoleError
    assert [row[3].partition(":")[0] for row in audit(tmp_path)] == ["timed out", "failed"]


async def test_whoever_asked_may_go_away(control: Control, tmp_path: Path) -> None:
    call = asyncio.create_task(control.perform("test.slow", {"lamp": "hall", "was": False}, origin="gone"))
    async with asyncio.timeout(10):
        while not audit(tmp_path):
            await asyncio.sleep(0.01)
    assert audit(tmp_path) == [("gone", "test.slow", "lamp hall, was False", "asked")]
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    async with asyncio.timeout(10):
        while audit(tmp_path)[0][3] == "asked":
            await asyncio.sleep(0.01)
    assert audit(tmp_path) == [("gone", "test.slow", "lamp hall, was False", "done: hall is turned")]


async def test_a_read_only_target_refuses_what_changes_it(read_only_control: Control, tmp_path: Path) -> None:
    with pytest.raises(ReadOnly, match="the target test is read-only"):
        await read_only_control.propose("test.switch", {"lamp": "hall"}, origin="me")
    with pytest.raises(ReadOnly, match="switch lamp would change it"):
        await read_only_control.perform("test.switch", {"lamp": "hall", "was": False}, confirmation="test")
    assert [(row[0], row[3].partition(":")[0]) for row in audit(tmp_path)[:1]] == [("me", "refused")]
    assert len(audit(tmp_path)) == 2
    noted = await read_only_control.propose("test.note", {"lamp": "hall"})
    assert (await read_only_control.perform("test.note", noted.parameters)).is_done


async def test_a_production_target_wants_its_name_typed(production_control: Control, tmp_path: Path) -> None:
    proposal = await production_control.propose("test.switch", {"lamp": "hall"})
    assert proposal.typed == "test"
    for wrong in ("", "PRODUCTION", "tes"):
        with pytest.raises(Unconfirmed, match=r"production and its name|target is test, not"):
            await production_control.perform("test.switch", proposal.parameters, confirmation=wrong)
    assert (await production_control.perform("test.switch", proposal.parameters, confirmation="test")).is_done
    assert [row[3].partition(":")[0] for row in audit(tmp_path)] == ["refused"] * 3 + ["done"]
    noted = await production_control.propose("test.note", {"lamp": "hall"})
    assert noted.typed == ""
    assert (await production_control.perform("test.note", noted.parameters)).is_done


async def test_a_job_that_changes_data_wants_the_name_on_production_too(
    production_control: Control, tmp_path: Path
) -> None:
    submission = Submission(kind="greet", parameters={"name": "Ada"}, origin="me")
    with pytest.raises(Unconfirmed, match="greet is not done"):
        await production_control.submit(submission)
    with pytest.raises(Unconfirmed, match="the target is test, not prod"):
        await production_control.submit(msgspec.structs.replace(submission, confirmation="prod"))
    receipt = await production_control.submit(msgspec.structs.replace(submission, confirmation="test"))
    results = [row[3] for row in audit(tmp_path) if row[1] == "jobs.submit"]
    assert [result.partition(":")[0] for result in results] == ["refused", "refused", f"job {receipt.job_id}"]


async def test_the_consoles_own_books_stay_the_operators_on_a_read_only_target(tmp_path: Path) -> None:
    with CONTROLS["local"](tmp_path) as control:
        ids = [(await control.submit(Submission(kind="hold", parameters={"label": label}))).job_id for label in "ab"]
    with CONTROLS["local"](tmp_path, is_read_only=True) as control:
        await control.set_queue("general", is_paused=True, origin="me")
        async with asyncio.timeout(10):
            while (await control.job(ids[0])).job.state is JobState.RUNNING:
                await asyncio.sleep(0.01)
        [refused] = await control.act(JobAction.RETRY, [ids[0]])
        assert not refused.is_done
        for result in await control.act(JobAction.CANCEL, ids):
            assert result.is_done or "is failed" in result.message or "failed" in result.message
        for result in await control.act(JobAction.DELETE, ids, origin="me"):
            assert result.is_done, result.message
    assert [row[:2] for row in audit(tmp_path)][-2:] == [("me", "jobs.delete")] * 2


async def test_an_engine_that_dies_leaves_what_was_asked(tmp_path: Path) -> None:
    """The next one says that nobody knows what came of it."""
    with CONTROLS["local"](tmp_path) as control:
        call = asyncio.create_task(control.perform("test.slow", {"lamp": "hall", "was": False}))
        async with asyncio.timeout(10):
            while not audit(tmp_path):
                await asyncio.sleep(0.01)
        kept = tmp_path / "killed"
        kept.mkdir()
        with sqlite3.connect(tmp_path / "history.sqlite") as source, sqlite3.connect(kept / "history.sqlite") as copy:
            source.backup(copy)
        await call
    assert audit(kept)[0][3] == "asked"
    with CONTROLS["local"](kept):
        pass
    assert audit(kept)[0][3].startswith("unknown: asked, then its process died")
    assert audit(tmp_path)[0][3] == "done: hall is turned"
