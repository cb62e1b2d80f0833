"""The kind ``webhook``: somebody is told something as a job, once, and the job says how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp.web as web
import pytest

from integration.calls.canary import serving
from integration.webhooks.desk import OLD, Verifier
from integration.webhooks.test_console import configured, page, within
from qsuite_console.engine.control import Control
from qsuite_console.model.deliveries import DeliveryState
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.jobs import TERMINAL, JobAction, JobDetail, JobState, Submission

SAID = {"endpoint": "desk", "message": "bars of AAPL are complete", "data": '{"run": 7, "symbols": ["AAPL"]}'}


async def tell(control: Control, **changes: Any) -> int:
    return (await control.submit(Submission(kind="webhook", parameters={**SAID, **changes}))).job_id


async def over(control: Control, job_id: int) -> JobDetail:
    async with asyncio.timeout(60):
        while (detail := await control.job(job_id)).job.state not in TERMINAL:
            await asyncio.sleep(0.05)
    return detail


async def test_it_arrives_signed_and_the_job_says_how(tmp_path: Path) -> None:
    async def work(control: Control) -> Mapping[str, Any]:
        plan = await control.plan("webhook", SAID)
        assert [(line.label, line.value) for line in plan.lines] == [
            ("to", "desk"), ("message", SAID["message"]), ("data", "28 B"),
        ]  # fmt: skip
        assert (plan.warnings, receiver.verified) == ((), [])
        detail = await over(control, await tell(control))
        assert detail.job.state is JobState.SUCCEEDED, detail.job.error
        (kept,) = (await page(control)).deliveries
        assert (kept.event, kept.subject, kept.state) == ("message", "job 1", DeliveryState.DELIVERED)
        return detail.result or {}

    async with serving(Verifier(OLD)) as receiver:
        assert isinstance(receiver, Verifier)
        settings, paths = configured(tmp_path, receiver.port, events=["alert.fired"])  # on a read-only target, too
        result = await within(settings, paths, work)
        ((identifier, told),) = receiver.verified
    assert (told["type"], told["data"]["message"], told["data"]["job"]) == ("message", SAID["message"], 1)
    assert told["data"]["data"] == {"run": 7, "symbols": ["AAPL"]}
    assert (result["endpoint"], result["id"], result["tries"], result["status"]) == ("desk", identifier, 1, 200)


async def test_what_does_not_arrive_in_time_fails_and_goes_on_with_one_id(tmp_path: Path) -> None:
    async def work(control: Control) -> None:
        receiver.answers = [web.Response(status=500)]
        first = await tell(control, wait_s=0.5)
        late = await over(control, first)
        assert late.job.state is JobState.FAILED
        assert "desk was not told within 0.5 s and is told later: delivery 1: answered 500" in (late.job.error or "")
        (acted,) = await control.act(JobAction.RETRY, [first])
        assert acted.is_done, acted.message
        again = await over(control, first)
        assert again.job.state is JobState.SUCCEEDED, again.job.error
        assert len((await page(control)).deliveries) == 1
        receiver.answers = [web.Response(status=410)]
        gone = await over(control, await tell(control))
        assert "desk was not told: delivery " in (gone.job.error or "")
        assert "not tried any more after 1 try: answered 410" in (gone.job.error or "")
        refused = await over(control, await tell(control))
        assert "desk asked not to be told any more" in (refused.job.error or "")

    async with serving(Verifier(OLD)) as receiver:
        assert isinstance(receiver, Verifier)
        settings, paths = configured(tmp_path, receiver.port, events=["alert.fired"])
        await within(settings, paths, work)
        assert len({identifier for identifier, _ in receiver.verified}) == 2


@pytest.mark.parametrize(
    ("given", "field", "why"),
    [
        ({"endpoint": "nobody"}, "endpoint", "nobody is told under this name; known: desk"),
        ({"message": " "}, "message", "must say something"),
        ({"data": "[1]"}, "data", "must be a JSON object"),
        ({"data": "{"}, "data", "must be a JSON object"),
        ({"data": {"x": "y" * 20_000}}, "data", "at most 16"),
        ({"message": f"use {OLD}"}, "message", "holds a secret of the configuration"),
        ({"data": {"key": OLD}}, "data", "holds a secret of the configuration"),
    ],
)
async def test_what_is_wrong_is_named_and_not_quoted(
    tmp_path: Path, given: Mapping[str, Any], field: str, why: str
) -> None:
    async def work(control: Control) -> None:
        with pytest.raises(InvalidParameters) as caught:
            await tell(control, **given)
        assert list(caught.value.problems) == [field]
        assert why in caught.value.problems[field]
        assert OLD not in str(caught.value)

    settings, paths = configured(tmp_path, 1)
    await within(settings, paths, work)
