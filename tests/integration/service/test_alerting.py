"""A running engine: alerts as events, operations through every entrance, curves, and what a restart keeps."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from qsuite_console.attach import RemoteControl
from qsuite_console.config.rules import RULES
from qsuite_console.config.settings import EngineSettings, Settings, TargetSettings
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import Claiming
from qsuite_console.headless.http import socket_service
from qsuite_console.model.alerts import AlertPage, RuleList, SilenceList
from qsuite_console.model.errors import ConsoleError, InvalidParameters, NotFound
from qsuite_console.model.events import AlertChanged
from qsuite_console.model.health import Alert
from qsuite_console.model.series import Series
from qsuite_console.paths import Paths, resolve
from qsuite_console.runtime import open_runtime

# any memory in use is too much here, so that an alert burns from the first sample on
HUNGRY = replace(RULES["host.memory"], warning=0.001, critical=None, for_s=0)
SETTINGS = Settings(
    target=TargetSettings(name="prod", word="PRODUCTION", read_only=True),
    engine=EngineSettings(drain_s=1.0),
    thresholds={**RULES, "host.memory": HUNGRY, "host.cpu": replace(RULES["host.cpu"], enabled=False)},
)
LIMIT_S = 30.0


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    for name in ("DATABASE_URL", "REDIS_URL", "PGHOST", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QSUITE_CONSOLE_HOME", str(tmp_path))
    return resolve(str(tmp_path))


@asynccontextmanager
async def running(paths: Paths, settings: Settings = SETTINGS) -> AsyncIterator[Control]:
    services = [socket_service(paths.socket, origin="test")]
    with open_runtime(settings, paths, claim=Claiming.ALL, origin="test", extra_services=services) as runtime:
        yield runtime.control


async def until(control: Control, condition: Callable[[Alert], bool]) -> Alert:
    """Wait for the alert of memory to be so."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            for alert in control.state.snapshot.alerts:
                if alert.id == "host.memory" and condition(alert):
                    return alert
            await asyncio.sleep(0.02)


async def test_the_life_of_an_alert_over_a_restart_and_through_the_socket(paths: Paths) -> None:
    async with running(paths) as control:
        first = await until(control, lambda alert: alert.is_burning)
        assert first.message.startswith("memory in use: ")
        # the target is read-only and production: alerts are ours, so neither matters
        proposal = await control.propose("alerts.acknowledge", {"alert": "host.memory"})
        assert (proposal.asks, proposal.typed) == (False, "")
        with RemoteControl(paths.socket) as remote:
            outcome = await remote.perform("alerts.acknowledge", {"alert": "host.memory"}, origin="attach")
            assert outcome.is_done
            taken = await until(remote, lambda alert: alert.acknowledged_by is not None)
            again = await remote.perform("alerts.acknowledge", {"alert": "host.memory"})
            assert not again.is_done
            assert f"acknowledged already by {taken.acknowledged_by}" in again.message
            changes = [e.alert for e in remote.events(0)[1] if isinstance(e, AlertChanged) and e.alert.id == first.id]
        local = [e.alert for e in control.events(0)[1] if isinstance(e, AlertChanged) and e.alert.id == first.id]
        assert [alert.acknowledged_by is None for alert in local] == [True, False]  # fired, then taken; nothing else
        assert changes[-1].acknowledged_by == taken.acknowledged_by
        await control.perform("alerts.silence", {"alert": "host", "minutes": 5, "reason": "a test"})
        await until(control, lambda alert: alert.silence_reason == "a test")
    async with running(paths) as control:
        kept = await until(control, lambda alert: alert.is_burning)
        assert (kept.since, kept.acknowledged_by) == (first.since, taken.acknowledged_by)
        assert kept.silence_reason == "a test"
        await control.perform("alerts.unsilence", {"alert": "host.memory"})
        await until(control, lambda alert: alert.silenced_until is None)
        page = await control.ask("alerts.history", {})
        assert isinstance(page, AlertPage)
        assert [alert.id for alert in page.alerts] == ["host.memory"]


async def test_questions_and_refusals(paths: Paths) -> None:
    async with running(paths) as control:
        await until(control, lambda alert: alert.is_burning)
        rules = await control.ask("alerts.rules", {})
        assert isinstance(rules, RuleList)
        views = {rule.id: rule for rule in rules.rules}
        assert (views["host.memory"].changed, views["host.cpu"].changed) == (
            ("warning", "critical", "for_s"),
            ("enabled",),
        )
        assert views["host.memory"].value is not None
        silences = await control.ask("alerts.silences", {})
        assert isinstance(silences, SilenceList)
        assert silences.silences == ()
        for operation, given, error in (
            ("alerts.acknowledge", {"alert": "host.memry"}, NotFound),
            ("alerts.silence", {"alert": "nothing"}, NotFound),
            ("alerts.silence", {"alert": "host", "minutes": 0}, InvalidParameters),
            ("alerts.silence", {"alert": "host", "minutes": 1e9}, InvalidParameters),
            ("alerts.unsilence", {"alert": "host"}, NotFound),
        ):
            with pytest.raises(error):
                await control.perform(operation, given)


async def test_curves_are_recorded_with_limits_and_marks(paths: Paths) -> None:
    async with running(paths) as control:
        await until(control, lambda alert: alert.is_burning)
        async with asyncio.timeout(LIMIT_S):
            while True:
                series = await control.ask("metrics.series", {"names": ["host.memory", "no.such"], "window_s": 300})
                assert isinstance(series, Series)
                if series.lines[0].points:
                    break
                await asyncio.sleep(0.1)
        memory, unknown = series.lines
        assert (memory.title, memory.unit, memory.warning, memory.critical) == ("Host memory", "%", 0.001, None)
        assert 0 < (memory.points[-1].mean or 0) <= 100
        assert (unknown.name, unknown.points) == ("no.such", ())
        assert [(mark.kind, mark.id, mark.until) for mark in series.marks] == [("alert", "host.memory", None)]
        assert series.step_s == 2
        for given in ({}, {"names": []}, {"names": ["a"], "window_s": 1}, {"names": ["a"], "window": 60}):
            with pytest.raises(ConsoleError):
                await control.ask("metrics.series", given)


async def test_the_verb_lists_what_the_engine_knows_and_what_it_left(paths: Paths) -> None:
    def listed(*arguments: str) -> tuple[str, str]:
        command = [sys.executable, "-m", "qsuite_console", "alerts", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout, done.stderr

    async with running(paths, replace(SETTINGS, target=TargetSettings())) as control:
        await until(control, lambda alert: alert.is_burning)
        alive, _ = await asyncio.to_thread(listed)
    assert "host.memory" in alive
    assert "warning" in alive
    left, note = await asyncio.to_thread(listed, "--all", "--json")
    assert '"id":"host.memory"' in left.replace(" ", "")
    assert "no engine runs" in note


async def test_a_damaged_file_of_figures_costs_only_the_curves(paths: Paths) -> None:
    paths.ensure()
    (paths.state / "samples.sqlite").write_bytes(b"this is no database" * 100)
    async with running(paths) as control:
        await until(control, lambda alert: alert.is_burning)
        series = await control.ask("metrics.series", {"names": ["host.memory"], "window_s": 60})
        assert isinstance(series, Series)
        assert series.problem == ""
    assert [path.name for path in paths.state.glob("samples.sqlite.corrupt-*")]
