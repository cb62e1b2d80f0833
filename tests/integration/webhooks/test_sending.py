"""Reports with their files by webhook, program and e-mail; the end of one job; runs of schedules that never were."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp.web as web
import pytest

from integration.calls.canary import serving
from integration.webhooks.desk import OLD, START, Desk, HandClock, Verifier, desk, notice, webhook
from integration.webhooks.test_console import configured, page, within
from integration.webhooks.test_ways import Mailbox, mail_server, smtp
from qsuite_console.engine.control import Control
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.deliveries import DeliveryState, EndpointList
from qsuite_console.model.errors import Conflict, InvalidParameters, NotFound
from qsuite_console.model.jobs import TERMINAL, JobState, Submission
from qsuite_console.model.reports import ReportInfo
from qsuite_console.notify.enclosures import MOST, Enclosures
from qsuite_console.paths import resolve
from qsuite_console.reports.storage import Storage

CONTENT = b"%PDF-1.7 \x00\xff not really" * 400


def keep(found: Desk, home: Path, form: str = "pdf", content: bytes = CONTENT, size: int | None = None) -> ReportInfo:
    storage = Storage(resolve(str(home)).ensure())
    found.courier.enclosures = Enclosures(storage)
    info = ReportInfo(
        file=f"market-7-0a1b2c3d.{form}", path="", name="market", format=form, title="Market report", target="default",
        window="a day", created_at=START, expires_at=START + timedelta(days=7), pages=3, job_id=7,
        bytes=len(content) if size is None else size,
    )  # fmt: skip
    return storage.keep(info, [content], ["Market report"])


async def test_a_receiver_that_is_away_for_an_hour_gets_the_file_once_with_one_id(tmp_path: Path) -> None:
    clock = HandClock()
    async with serving(Verifier(OLD, clock=clock)) as receiver:
        assert isinstance(receiver, Verifier)
        async with desk(tmp_path, webhook(receiver.url), clock=clock) as found:
            report = keep(found, tmp_path)
            receiver.answers = [web.Response(status=500) for _ in range(3)]
            number = await found.courier.enclose(report.file, "desk")
            assert await found.courier.enclose(report.file, "desk") == number, "a job tried again sends it once"
            tries = 0
            for _ in range(70):
                tries += await found.tick(60)
            assert tries == 4
            assert [identifier for identifier, _ in receiver.verified] == [receiver.verified[0][0]] * 4
            told = receiver.verified[-1][1]
            assert told["type"] == "report.sent"
            assert base64.b64decode(told["data"]["content"]) == CONTENT
            assert (told["data"]["file"], told["data"]["media_type"]) == (report.file, "application/pdf")
            (kept,) = await found.deliveries()
            assert kept.state is DeliveryState.DELIVERED
            assert "content" not in (await found.store.deliveries.detail("default", kept.number)).delivery.body
            again = await found.courier.enclose(report.file, "desk", is_again=True)
            assert again != number
            await found.tick()
            assert len({identifier for identifier, _ in receiver.verified}) == 2
            with pytest.raises(NotFound):
                await found.courier.enclose("market-8-0a1b2c3d.pdf", "desk")
            keep(found, tmp_path, size=MOST + 1)
            with pytest.raises(Conflict, match="at most 10 MiB are sent"):
                await found.courier.enclose(report.file, "desk")


@pytest.mark.parametrize(("form", "media"), [("pdf", "application/pdf"), ("csv", "text/csv")])
async def test_a_mail_has_the_file_attached(tmp_path: Path, form: str, media: str) -> None:
    async with mail_server(Mailbox()) as box:
        board = notice("board", email=["ada@example.com"])
        async with desk(tmp_path, board, smtp=smtp(box)) as found:
            report = keep(found, tmp_path, form, "symbol,π\r\nAAPL,1\r\n".encode())
            await found.courier.enclose(report.file, "board")
            await found.tick()
            ((_, mail),) = box.mails
            (part,) = mail.iter_attachments()
            assert (part.get_filename(), part.get_content_type()) == (report.file, media)
            assert part.get_payload(decode=True) == "symbol,π\r\nAAPL,1\r\n".encode()
            body = mail.get_body()
            assert body is not None
            assert "Market report" in body.get_content()


async def test_a_program_finds_the_file_and_one_that_is_gone_is_given_up(tmp_path: Path) -> None:
    program = tmp_path / "take"
    program.write_text(f'#!/bin/sh\ncp "$QSUITE_FILE" {tmp_path}/taken\ncat > {tmp_path}/told\n')
    program.chmod(0o700)
    async with desk(tmp_path, notice("press", command=[str(program)])) as found:
        report = keep(found, tmp_path)
        await found.courier.enclose(report.file, "press")
        await found.tick()
        assert (tmp_path / "taken").read_bytes() == CONTENT
        assert report.file in (tmp_path / "told").read_text()
        await found.courier.enclose(report.file, "press", is_again=True)
        Path(report.path).unlink()
        await found.tick()
        lost = (await found.deliveries())[-1]
        assert (lost.state, lost.attempts) == (DeliveryState.DEAD, 1)
        assert "there is no report" in lost.error or "can't be read" in lost.error


async def test_one_job_is_told_whatever_else_an_endpoint_wants(tmp_path: Path) -> None:
    clock = HandClock()
    async with serving(Verifier(OLD, clock=clock)) as receiver:
        assert isinstance(receiver, Verifier)
        async with desk(tmp_path, webhook(receiver.url, events=["alert.fired"]), clock=clock) as found:
            ended = await found.job(JobState.SUCCEEDED)
            await found.tick()
            assert receiver.verified == []
            job, number = await found.courier.tell(ended.id, "desk")
            assert (job.id, number) == (ended.id, 1)
            await found.courier.tell(ended.id, "desk")
            await found.tick(10)
            assert [told["data"]["id"] for _, told in receiver.verified] == [ended.id], "once, not again at the look"
            other = await found.job(JobState.FAILED)
            await found.tick(1)
            assert len(receiver.verified) == 1
            await found.store.deliveries.watches.add(other.id, "desk", clock.now())
            assert await found.store.deliveries.watches.drop(other.id, "desk")
            with pytest.raises(NotFound, match="no job 99"):
                await found.courier.tell(99, "desk")
            with pytest.raises(NotFound, match="under the name x"):
                await found.courier.tell(other.id, "x")


class Later(SystemClock):
    """The machine's time, some while ahead."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return super().now() + self.ahead


async def ended(control: Control, job_id: int) -> Mapping[str, Any]:
    async with asyncio.timeout(90):
        while (await control.job(job_id)).job.state not in TERMINAL:
            await asyncio.sleep(0.05)
    detail = await control.job(job_id)
    assert detail.job.state is JobState.SUCCEEDED, detail.job.error
    return detail.result or {}


async def test_what_a_schedule_makes_is_sent_and_one_job_is_told(tmp_path: Path) -> None:
    async def work(control: Control) -> None:
        given = "name=jobs format=json send=desk"
        saved = {"name": "nightly", "kind": "report", "parameters": given, "cron": "0 3 * * *"}
        assert (await control.perform("schedules.save", saved)).is_done
        with pytest.raises(InvalidParameters):
            await control.submit(Submission(kind="report", parameters={"name": "jobs", "send": "nobody"}))
        assert (await control.perform("schedules.run", {"name": "nightly"})).is_done
        result = await ended(control, 1)
        assert result["sent_to"] == ["desk"]
        made.append(result)
        receipt = await control.submit(Submission(kind="cleanup", parameters={}))
        told = await control.perform("jobs.tell", {"job": receipt.job_id, "endpoint": "desk"})
        assert told.is_done
        listed = await control.ask("webhooks.list", {"job": receipt.job_id})
        assert isinstance(listed, EndpointList)
        assert listed.endpoints[0].is_told_of_job
        await ended(control, receipt.job_id)
        proposal = await control.propose("reports.send", {"file": "last", "endpoint": "desk"})
        assert proposal.asks
        assert proposal.parameters == {"endpoint": "desk", "file": result["file"]}
        assert (await control.perform("reports.send", proposal.parameters)).is_done
        assert (await control.perform("reports.remove", {"file": "last"})).message.startswith("removed jobs-1-")
        with pytest.raises(NotFound):
            await control.propose("reports.remove", {"file": result["file"]})
        async with asyncio.timeout(60):
            while (await page(control, state="waiting")).deliveries or len(receiver.verified) < 3:
                await asyncio.sleep(0.05)

    made: list[Mapping[str, Any]] = []
    async with serving(Verifier(OLD)) as receiver:
        assert isinstance(receiver, Verifier)
        settings, paths = configured(tmp_path, receiver.port, is_read_only=False, events=["schedule.missed"])
        await within(settings, paths, work)
        assert receiver.refused == []
        told = [payload for _, payload in receiver.verified]
        assert sorted(payload["type"] for payload in told) == ["job.succeeded", "report.sent", "report.sent"]
        files = [payload["data"] for payload in told if payload["type"] == "report.sent"]
        assert {len(base64.b64decode(data["content"])) for data in files} == {made[0]["bytes"]}
        assert [payload["data"]["id"] for payload in told if payload["type"] == "job.succeeded"] == [2]


async def test_runs_that_were_missed_are_told_once_the_engine_is_back(tmp_path: Path) -> None:
    async def save(control: Control) -> None:
        for name, when in (("nightly", {"every": "1 h"}), ("other", {"every": "1 h"})):
            saved = {"name": name, "kind": "cleanup", "missed": "skip", "grace": "1 min", **when}
            assert (await control.perform("schedules.save", saved)).is_done
        async with asyncio.timeout(60):
            while not receiver.verified:
                await control.perform("webhooks.test", {"endpoint": "desk"})

    async def wait(control: Control) -> None:
        async with asyncio.timeout(60):
            while not missed():
                await asyncio.sleep(0.05)

    def missed() -> list[dict[str, Any]]:
        return [payload for _, payload in receiver.verified if payload["type"] == "schedule.missed"]

    clock = Later()
    async with serving(Verifier(OLD, clock=clock)) as receiver:
        assert isinstance(receiver, Verifier)
        settings, paths = configured(
            tmp_path, receiver.port, is_read_only=False, events=["schedule.missed"], schedules=["night*"]
        )
        await within(settings, paths, save, clock=clock)
        clock.ahead = timedelta(hours=2, minutes=30)
        await within(settings, paths, wait, clock=clock)
        await within(settings, paths, wait, clock=clock)
        assert receiver.refused == []
        assert {told["data"]["schedule"] for told in missed()} == {"nightly"}
        plans = [told["data"]["planned_at"] for told in missed()]
        assert len(plans) == len(set(plans)) > 0, "each once, also over another restart"
        assert {told["data"]["outcome"] for told in missed()} == {"missed"}
