"""What programs ask for besides what a console does, on real servers: jobs in short, schedules, alerts, figures,
reports and webhooks; each change through the gate, whatever is hostile refused.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from fakes.served import Served, audited, bar, serving
from qsuite_console.config.settings import Settings, TargetSettings

HOSTILE = ["\0", "%00", "A\x1b[2J", "é", "'; DROP TABLE x", "x" * 200, "\u202e", "../..", "{}"]


async def test_a_job_in_short_and_one_action_on_it(served: Served) -> None:
    status, receipt = await served.ask("POST", "/reports", {"name": "jobs", "format": "json"})
    assert status == 202
    job_id = receipt["job_id"]
    async with asyncio.timeout(30):
        while not (told := (await served.ask("GET", f"/jobs/{job_id}/status"))[1])["is_over"]:
            await asyncio.sleep(0.02)
    assert (told["task_id"], told["status"], told["progress"], told["estimated_remaining"]) == (
        job_id,
        "succeeded",
        100.0,
        0.0,
    )
    status, refused = await served.ask("POST", f"/jobs/{job_id}/cancel")
    assert (status, refused["error"]["type"]) == (409, "Conflict")
    assert (await served.ask("POST", "/jobs/99999/cancel"))[0] == 404
    assert (await served.ask("GET", "/jobs/99999/status"))[0] == 404
    assert (await served.ask("GET", "/jobs/x/status"))[0] == 400
    body = {"kind": "report", "run_at": "2099-01-01T00:00:00Z", "parameters": {"name": "jobs", "hours": 2}}
    _, receipt = await served.ask("POST", "/jobs", body)
    later = receipt["job_id"]
    assert (await served.ask("GET", f"/jobs/{later}/status"))[1]["estimated_remaining"] is None
    for action, state in (("pause", "paused"), ("cancel", "cancelled"), ("retry", "queued")):
        status, done = await served.ask("POST", f"/jobs/{later}/{action}", {"origin": "desk"})
        assert (status, done["is_done"]) == (200, True), done
        if action != "retry":
            assert (await served.ask("GET", f"/jobs/{later}/status"))[1]["status"] == state
    assert ("jobs.pause", "desk") in {(action, origin) for action, origin, _ in await audited(served)}
    assert (await served.ask("DELETE", f"/jobs/{job_id}"))[0] == 200
    assert (await served.ask("GET", f"/jobs/{job_id}"))[0] == 404


async def test_schedules_from_made_to_gone(served: Served) -> None:
    body = {"name": "night", "kind": "report", "parameters": {"name": "jobs"}, "cron": "30 2 * * *"}
    status, made = await served.ask("POST", "/schedules", {**body, "zone": "Europe/Berlin", "note": "for the desk"})
    assert status == 201, made
    assert made["view"]["schedule"]["parameters"] == {"name": "jobs"}
    assert (await served.ask("POST", "/schedules", body))[0] == 409
    status, refused = await served.ask("POST", "/schedules", {"name": "X Y", "kind": "nothing", "cron": "61 * * * *"})
    assert (status, set(refused["error"]["problems"])) == (422, {"name", "kind", "cron"})
    _, listed = await served.ask("GET", "/schedules")
    assert "night" in [one["schedule"]["name"] for one in listed["schedules"]]
    _, coming = await served.ask(
        "GET", "/schedules/night/next", most=3, start="2027-03-27T00:00:00Z", end="2027-03-29T00:00:00Z"
    )
    assert coming["times"] == ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z"], "the gap of the clocks"
    status, changed = await served.ask("PATCH", "/schedules/night", {"every": "5 min", "note": ""})
    schedule = changed["view"]["schedule"]
    assert (status, schedule["timing"]["every_s"], schedule["timing"]["cron"], schedule["note"]) == (200, 300.0, "", "")
    assert schedule["timing"]["zone"] == "Europe/Berlin"
    status, refused = await served.ask("PATCH", "/schedules/night", {"note": "late", "revision": 1})
    assert (status, refused["error"]["type"]) == (409, "Conflict")
    whole = {"kind": "report", "once": f"{datetime.now(UTC).year + 1}-06-01 10:00", "enabled": False}
    status, replaced = await served.ask("PUT", "/schedules/night", whole)
    assert status == 200, replaced
    schedule = replaced["view"]["schedule"]
    assert (status, schedule["parameters"], schedule["is_enabled"], schedule["note"]) == (200, {}, False, "")
    for action, is_done in (("enable", True), ("enable", False), ("pause", True)):
        status, done = await served.ask("POST", f"/schedules/night/{action}")
        assert (status, done["is_done"]) == (200, is_done)
    status, ran = await served.ask("POST", "/schedules/night/run")
    assert (await served.ask("GET", f"/jobs/{ran['figures']['job_id']}/status"))[0] == status == 200
    status, told = await served.ask("POST", "/schedules/explain", {"cron": "0 0 30 2 *"})
    assert (status, told["problems"]) == (200, {"cron": "never comes: there is no such day, as 30 February"})
    assert (await served.ask("POST", "/schedules/explain", {"every": "1 h", "most": 7}))[1]["words"] == "every 1 h"
    assert (await served.ask("GET", "/schedules/night", start="yesterday"))[0] == 400
    assert (await served.ask("DELETE", "/schedules/night"))[0] == 200
    assert (await served.ask("GET", "/schedules/night"))[0] == 404
    assert (await served.ask("PATCH", "/schedules/night", {}))[0] == 404


async def test_figures_alerts_and_webhooks(served: Served) -> None:
    async with asyncio.timeout(20):
        while not (told := (await served.ask("GET", "/metrics/snapshot"))[1])["readings"]:
            await asyncio.sleep(0.05)
    assert {"postgresql", "redis", "host"} <= {reading["source"] for reading in told["readings"]}
    async with served.http.get("/metrics/snapshot") as answer:
        tag = answer.headers["ETag"]
        at = (await answer.json())["at"]
    async with served.http.get("/metrics/snapshot", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304 or (await answer.json())["at"] != at
    status, series = await served.ask("GET", "/metrics/series", names="host.cpu,redis.hit_rate", window_s=60)
    assert (status, [line["name"] for line in series["lines"]]) == (200, ["host.cpu", "redis.hit_rate"])
    assert (await served.ask("GET", "/metrics/series"))[0] == 400
    for path in ("/alerts", "/alerts/history", "/alerts/silences"):
        assert (await served.ask("GET", path))[0] == 200
    _, rules = await served.ask("GET", "/alerts/rules", text="host.cpu")
    assert [rule["id"] for rule in rules["rules"]] == ["host.cpu"]
    status, done = await served.ask("POST", "/alerts/host/silence", {"minutes": 5, "reason": "upgrade"})
    assert (status, done["is_done"]) == (200, True), done
    _, silences = await served.ask("GET", "/alerts/silences")
    assert [(one["subject"], one["reason"]) for one in silences["silences"]] == [("host", "upgrade")]
    assert (await served.ask("DELETE", "/alerts/host/silence"))[1]["is_done"]
    assert (await served.ask("POST", "/alerts/host.cpu/silence", {"minutes": 0}))[0] == 400
    assert (await served.ask("POST", "/alerts/no.such/acknowledge"))[0] == 404
    assert (await served.ask("GET", "/webhooks"))[1]["endpoints"] == []
    assert (await served.ask("GET", "/webhooks/deliveries", state="dead"))[1]["deliveries"] == []
    assert (await served.ask("GET", "/webhooks/deliveries", state="odd"))[0] == 400
    for method, path in (
        ("GET", "/webhooks/deliveries/1"),
        ("POST", "/webhooks/deliveries/1/redeliver"),
        ("POST", "/webhooks/desk/test"),
        ("POST", "/webhooks/desk/enable"),
    ):
        assert (await served.ask(method, path))[0] == 404, path


async def test_a_report_is_made_shown_and_sent_whole(served: Served) -> None:
    status, receipt = await served.ask(
        "POST", "/reports", {"name": "jobs", "format": "html", "parameters": {"hours": 1}}
    )
    assert (status, receipt["estimated_s"] > 0) == (202, True)
    async with asyncio.timeout(60):
        while not (told := (await served.ask("GET", f"/jobs/{receipt['job_id']}/status"))[1])["is_over"]:
            await asyncio.sleep(0.05)
    assert told["status"] == "succeeded", told
    _, listed = await served.ask("GET", "/reports")
    (report,) = listed["reports"]
    file = report["file"]
    assert (await served.ask("GET", f"/reports/{file}"))[1]["lines"]
    async with served.http.get(f"/reports/{file}/download") as answer:
        body, headers = await answer.read(), answer.headers
    assert body == Path(report["path"]).read_bytes()
    assert headers["Content-Type"].startswith("text/html")
    assert headers["Content-Disposition"] == f'attachment; filename="{file}"'
    assert headers["Content-Security-Policy"] == "sandbox"
    async with served.http.get(f"/reports/{file}/download", headers={"If-None-Match": headers["ETag"]}) as answer:
        assert answer.status == 304
    for path in ("/reports/nothing.pdf/download", "/reports/..%2F..%2Fetc%2Fpasswd/download", "/reports/nothing.pdf"):
        async with served.http.get(path) as answer:
            assert answer.status == 404
    assert (await served.ask("POST", f"/reports/{file}/send", {"endpoint": "desk"}))[0] == 404, "nobody is told here"
    assert (await served.ask("POST", f"/jobs/{receipt['job_id']}/tell", {"endpoint": "desk"}))[0] == 404
    assert (await served.ask("DELETE", f"/reports/{file}"))[1]["is_done"]
    assert (await served.ask("DELETE", f"/reports/{file}"))[0] == 404
    assert not Path(report["path"]).exists()
    status, refused = await served.ask("POST", "/reports", {"name": "poem"})
    assert (status, set(refused["error"]["problems"])) == (422, {"name"})


async def test_hostile_values_are_refused_not_failed_over(served: Served) -> None:
    for text in HOSTILE:
        await _all_refused(served, text)


async def _all_refused(served: Served, text: str) -> None:
    asked: tuple[tuple[str, str, Any, dict[str, Any]], ...] = (
        ("GET", "/prices/latest", None, {"symbols": text, "fresh": "true"}),
        ("GET", "/ohlcv", None, {"symbol": text}),
        ("GET", "/metrics/series", None, {"names": text}),
        ("GET", "/alerts/history", None, {"text": text, "before": text}),
        ("GET", "/reports", None, {"text": text}),
        ("GET", "/webhooks/deliveries", None, {"text": text, "endpoint": text}),
        ("POST", "/schedules/explain", {"cron": text, "zone": text}, {}),
        ("POST", "/schedules", {"name": text, "kind": text, "every": text}, {}),
        ("POST", "/reports", {"name": text, "format": text}, {}),
        ("POST", "/bars", {"records": [bar(text, 0), bar("AAPL", 0, text), bar("AAPL", 0, t=text)]}, {}),
        ("POST", "/bars", {"records": [bar("AAPL", 0)], "table": text}, {}),
        *(
            (method, f"{path}/{quote(text, safe='')}{tail}", None, {})
            for method, path, tail in (
                ("GET", "/schedules", ""),
                ("POST", "/schedules", "/run"),
                ("POST", "/alerts", "/acknowledge"),
                ("GET", "/reports", "/download"),
                ("POST", "/webhooks", "/test"),
            )
        ),
    )
    for method, path, body, query in asked:
        status, told = await served.ask(method, path, body, **query)
        assert status < 500, (method, path, body, query, told)
        assert "\x1b" not in str(told)


async def test_production_and_read_only_hold_here_too(
    settings: Settings, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    one = {"records": [bar("AAPL", 0)]}
    schedule = {"name": "s", "kind": "vacuum", "parameters": {"table": "market_data_ticker"}, "every": "1 h"}
    looked = replace(settings, target=TargetSettings(name="looked", read_only=True))
    async with serving(looked, tmp_path / "looked") as served:
        for path, body in (("/bars", one), ("/schedules", schedule)):
            status, refused = await served.ask("POST", path, body)
            assert (status, refused["error"]["type"]) == (403, "ReadOnly")
        assert (await served.ask("GET", "/prices/latest", symbols="AAPL"))[0] == 200
    prod = replace(settings, target=TargetSettings(name="prod", word="PRODUCTION"))
    async with serving(prod, tmp_path / "prod") as served:
        for path, body in (("/bars", one), ("/schedules", schedule)):
            for wrong in ({}, {"confirmation": "alpha"}):
                status, refused = await served.ask("POST", path, {**body, **wrong})
                assert (status, refused["error"]["type"]) == (403, "Unconfirmed")
            assert (await served.ask("POST", path, {**body, "confirmation": "prod"}))[0] in (200, 201)
    assert await connection.fetchval("SELECT count(*) FROM market_data_marketdata") == 1
