"""Whoever may see its own jobs only sees the reports of those only; and what each scope may do with data routes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from fakes.control import demo
from integration.service.tcp_client import served
from qsuite_console.model.operations import OperationInfo, Proposal
from qsuite_console.model.reports import ReportInfo, ReportList, ReportPart, ReportPreview

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)


def report(file: str, job_id: int, target: str = "sandbox") -> ReportInfo:
    return ReportInfo(
        file=file,
        path=f"/data/reports/{file}",
        name="jobs",
        format="json",
        title=file,
        target=target,
        window="",
        created_at=AT,
        expires_at=AT + timedelta(days=7),
        bytes=4,
        job_id=job_id,
    )


async def test_reports_of_others_are_not_there_for_who_sees_its_own_jobs_only(tmp_path: Path) -> None:
    control = demo()
    found: list[ReportInfo] = []

    def part(parameters: Any) -> ReportPart:
        one = next(each for each in found if each.file == parameters["file"])
        return ReportPart(at=AT, report=one, data=b"body"[parameters["offset"] :], size=4)

    control.answers |= {
        "reports.list": lambda _: ReportList(at=AT, reports=tuple(found), directory="/data/reports", bytes=99),
        "reports.preview": lambda given: ReportPreview(at=AT, report=part({**given, "offset": 0}).report),
        "reports.content": part,
    }
    async with served(control, tmp_path / "engine.sock") as (client, _):
        body = {"name": "jobs", "format": "json"}
        status, receipt, _ = await client.ask("POST", "/reports", "robot", body=body)
        assert status == 202
        other = (await client.ask("POST", "/reports", "operator", body=body))[1]
        own = receipt["job_id"]
        assert other["job_id"] != own, "who sees its own jobs only joins nobody's"
        found += [
            report("own.json", own),
            report("elsewhere.json", own, target="prod"),
            report("other.json", other["job_id"]),
        ]
        _, listed, _ = await client.ask("GET", "/reports", "robot")
        seen = msgspec.convert(listed, ReportList)
        assert ([one.file for one in seen.reports], seen.bytes, seen.directory) == (["own.json"], 4, "")
        assert len(msgspec.convert((await client.ask("GET", "/reports", "reader"))[1], ReportList).reports) == 3
        for file, status in (("own.json", 200), ("other.json", 404), ("elsewhere.json", 404)):
            assert (await client.ask("GET", f"/reports/{file}", "robot"))[0] == status
            async with client.session.get(
                f"{client.base}/reports/{file}/download", headers={"Authorization": f"Bearer robot-{'x' * 40}"}
            ) as answer:
                assert answer.status == status
                assert status != 200 or await answer.read() == b"body"


async def test_a_file_that_changes_while_it_is_sent_is_broken_off(tmp_path: Path) -> None:
    control = demo()
    made = [report("own.json", 1), msgspec.structs.replace(report("own.json", 1), created_at=AT + timedelta(hours=1))]

    def part(parameters: Any) -> ReportPart:
        one = made[min(parameters["offset"] // 4, 1)]
        return ReportPart(at=AT, report=one, offset=parameters["offset"], data=b"body", size=8)

    control.answers["reports.content"] = part
    async with served(control, tmp_path / "engine.sock") as (client, _):
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.ask("GET", "/reports/own.json/download", "reader")
        del made[1]
        assert (await client.ask("GET", "/health", "reader"))[0] == 200


async def test_a_scope_says_who_may_bring_bars_and_make_schedules(tmp_path: Path) -> None:
    control = demo()
    control.operation_infos = tuple(
        OperationInfo(name=name, title=name, help=name) for name in ("bars.store", "schedules.save", "schedules.run")
    )
    control.proposals = {
        info.name: lambda _, info=info: Proposal(operation=info.name, title="?")  # type: ignore[misc]
        for info in control.operation_infos
    }
    bars = {"records": [{"symbol": "AAPL"}]}
    async with served(control, tmp_path / "engine.sock") as (client, _):
        for path, body in (("/bars", bars), ("/schedules/night/run", {}), ("/operations/bars.store", {})):
            status, refused, _ = await client.ask("POST", path, "reader", body=body)
            assert (status, refused["error"]["type"]) == (403, "NotAllowed")
        status, ran, _ = await client.ask("POST", "/schedules/night/run", "operator", body={"origin": "console"})
        assert (status, ran["is_done"]) == (200, True)
        asked = [arguments for name, arguments in control.calls if name == "perform"]
        assert [(call[0], call[3]) for call in asked] == [("schedules.run", "http:operator")]
        for path in ("/schedules/night/run", "/alerts/host/acknowledge", "/webhooks/desk/test"):
            assert (await client.ask("POST", path, "robot", body={}))[0] == 403, path
