"""What other programs' monitoring asks of an engine: liveness, readiness with reasons, figures for Prometheus."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from contracts.engines import running_engine, until
from fakes.control import FakeControl, demo
from qsuite_console.engine.state import TargetView
from qsuite_console.headless import exposition, tally
from qsuite_console.headless.http import serve_socket
from qsuite_console.model.events import JobChanged
from qsuite_console.model.health import Alert, AlertState, Figure, Level, Reading
from qsuite_console.model.jobs import JobState, QueueView, Submission
from qsuite_console.model.readiness import Readiness

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


def session(path: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession("http://engine", connector=aiohttp.UnixConnector(str(path)))


@pytest.fixture
def control() -> FakeControl:
    return demo()


@pytest.fixture
async def http(control: FakeControl, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    path = tmp_path / "engine.sock"
    async with serve_socket(control, path), session(path) as http:
        yield http


async def scrape(http: aiohttp.ClientSession) -> Samples:
    async with http.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.text()
    assert text.endswith("\n")
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert all(family.documentation for family in families)
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples)  # no series twice
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"qsuite_console_{name}", frozenset(labels.items())]


async def ready(http: aiohttp.ClientSession, query: str = "") -> tuple[int, Readiness]:
    async with http.get("/health/ready" + query) as answer:
        return answer.status, msgspec.json.decode(await answer.read(), type=Readiness)


async def test_the_official_parsers_read_what_the_engine_tells(
    http: aiohttp.ClientSession, control: FakeControl
) -> None:
    samples = await scrape(http)
    assert value(samples, "info", version=control.state.version, target="sandbox", read_only="false") == 1
    assert value(samples, "jobs", state="running") == control.state.counts["running"]
    assert value(samples, "queue_slots", queue="data_processing") == 3
    assert value(samples, "figure", source="postgresql", figure="hit", unit="%") == 99.2
    assert value(samples, "source_level", source="host") == 1
    assert value(samples, "alert", alert="host.memory", source="host", level="warning") == 1
    assert samples["process_resident_memory_bytes", frozenset()] > 0
    async with http.get("/metrics", headers=OPEN_METRICS) as answer:
        assert answer.content_type == "application/openmetrics-text"
        text = await answer.text()
    read = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # theirs has no types
    assert "qsuite_console_jobs" in {family.name for family in read}


async def test_what_jobs_come_to_is_counted_and_only_grows(tmp_path: Path) -> None:
    with running_engine(tmp_path) as (engine, path):
        async with session(path) as http:
            await engine.control.submit(Submission(kind="fail"))
            await until(lambda: engine.control.state.counts.get("failed") == 1)
            first = await scrape(http)  # what happened before the first scrape counts as well
            assert value(first, "jobs_submitted_total", kind="fail") == 1
            assert value(first, "jobs_ended_total", kind="fail", state="failed") == 1
            assert value(first, "job_run_seconds_count", kind="fail") == 1
            assert value(first, "job_wait_seconds_bucket", queue="general", le="+Inf") == 1
            for number in range(3):
                await engine.control.submit(Submission(kind="greet", parameters={"name": f"n{number}"}))
            await until(lambda: engine.control.state.counts.get("succeeded") == 3)
            async with asyncio.timeout(15):  # a scrape may get the answer of a moment ago
                while value(latest := await scrape(http), "jobs", state="succeeded") < 3:
                    await asyncio.sleep(0.05)
            assert value(latest, "jobs_ended_total", kind="greet", state="succeeded") == 3
            assert value(latest, "jobs_ended_total", kind="fail", state="failed") == 1
            assert value(latest, "events_missed_total") == 0
            assert value(latest, "http_requests_total", route="GET /metrics", outcome="answered") >= 1


async def test_nothing_that_is_named_outside_makes_series_without_end(
    control: FakeControl, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "FRESH_S", 0.0)
    some = next(job for job in control.all_jobs.values() if job.state is JobState.RUNNING)
    hostile = 'x"\\\n\x1b]0;owned\x07{} 1\n# TYPE '
    for number in range(900):
        job = msgspec.structs.replace(some, id=number + 10_000, kind=f"kind{number}", queue=f"queue{number}")
        control.emit(JobChanged(at=control.clock.now(), job=job, previous=None))
    figures = tuple(
        Figure(name=f"{hostile}{number}", label="x", text="1", value=1.0, unit=hostile) for number in range(2000)
    )
    reading = Reading(source="host", title="Host", level=Level.OK, headline=figures[0], figures=figures)
    now = control.clock.now()
    alerts = [
        Alert(id=f"a{n}", source="host", level=Level.WARNING, state=AlertState.FIRING, message="m", since=now)
        for n in range(1000)
    ]
    control.sample([reading], alerts)
    queues = tuple(QueueView(name=f"{hostile}{number}", concurrency=1) for number in range(2000))
    control.set_state(queues=queues, target=TargetView(name=hostile))
    samples = await scrape(http)
    assert len(samples) < 3500
    per_kind = [key for key in samples if key[0] == "qsuite_console_jobs_submitted_total"]
    assert len(per_kind) == tally.MAX_NAMES + 1
    assert value(samples, "jobs_submitted_total", kind=tally.OTHER) == 900 - tally.MAX_NAMES
    assert value(samples, "figures_left_out") == 2000 - exposition.MAX_FIGURES
    assert not any(character < " " for _, labels in samples for _, text in labels for character in text)


async def test_many_scrapers_cost_what_one_does(http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    families = exposition.Exposition._families

    def counted(self: exposition.Exposition) -> Iterator[Metric]:
        made.append(self)
        return families(self)

    monkeypatch.setattr(exposition.Exposition, "_families", counted)
    monkeypatch.setattr(exposition, "FRESH_S", 60.0)
    for _ in range(20):
        await scrape(http)
    assert len(made) == 1


async def test_a_busy_engine_is_scraped_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "FRESH_S", 0.0)
    with running_engine(tmp_path) as (engine, path):
        async with session(path) as http:
            await scrape(http)
            await engine.control.submit(Submission(kind="hold"))
            names = ({"name": f"n{number}"} for number in range(500))
            flood = asyncio.gather(
                *(engine.control.submit(Submission(kind="greet", parameters=name)) for name in names)
            )
            took = []
            for _ in range(10):
                began = time.perf_counter()
                await scrape(http)
                took.append(time.perf_counter() - began)
            await flood
            print(f"\nslowest of 10 scrapes in a flood of jobs: {max(took) * 1000:.0f} ms")
            assert max(took) < 3.0
            await until(lambda: engine.control.state.counts.get("succeeded") == 500, 60)
            samples = await scrape(http)
            assert value(samples, "jobs_ended_total", kind="greet", state="succeeded") == 500
            assert value(samples, "events_missed_total") == 0


async def test_readiness_says_why_not(http: aiohttp.ClientSession, control: FakeControl) -> None:
    status, told = await ready(http)
    assert (status, told.is_ready, told.problems) == (200, True, ())
    assert [check.name for check in told.checks] == ["engine", "postgresql", "redis", "host", "jobs"]
    control.set_state(trouble="the history can't be written: disk full")
    status, told = await ready(http)
    assert (status, told.problems) == (503, ("engine: the history can't be written: disk full",))
    control.set_state(trouble="", is_draining=True)
    status, told = await ready(http)
    assert (status, told.problems) == (503, ("engine: it is stopping and starts nothing new",))
    control.set_state(is_draining=False)
    async with http.get("/health/live") as answer:
        assert (answer.status, await answer.json()) == (200, {"is_live": True})


async def test_a_platform_that_is_down_makes_it_unready_only_for_who_says_so(
    http: aiohttp.ClientSession, control: FakeControl
) -> None:
    readings = [
        msgspec.structs.replace(reading, error="connection refused") if reading.source == "redis" else reading
        for reading in control.state.snapshot.readings
    ]
    control.sample(readings)
    status, told = await ready(http)
    assert (status, told.is_ready) == (200, True)
    [redis] = [check for check in told.checks if check.name == "redis"]
    assert (redis.level, redis.reason, redis.is_needed) == (Level.CRITICAL, "connection refused", False)
    status, told = await ready(http, "?require=redis,postgresql")
    assert (status, told.problems) == (503, ("redis: connection refused",))
    assert (await ready(http, "?require=postgresql"))[0] == 200
    async with http.get("/health/ready", params={"require": "oracle"}) as answer:
        assert answer.status == 400
        assert "watched are postgresql, redis, host, jobs" in await answer.text()


async def test_an_engine_that_drains_is_not_ready_but_alive(tmp_path: Path) -> None:
    with running_engine(tmp_path) as (engine, path):
        await engine.control.submit(Submission(kind="stubborn"))
        await until(lambda: bool(engine.control.state.running))
        async with session(path) as http:
            assert (await ready(http))[0] == 200
            threading.Thread(target=engine.stop, args=(5.0,), daemon=True).start()
            await until(lambda: engine.control.state.is_draining)
            status, told = await ready(http)
            assert (status, told.problems) == (503, ("engine: it is stopping and starts nothing new",))
            async with http.get("/health/live") as answer:
                assert answer.status == 200
        engine.request_stop()
