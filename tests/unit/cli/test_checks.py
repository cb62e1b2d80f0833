"""What ``doctor`` finds on this machine and in servers' answers."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qsuite_console.cli.checks import Verdict, handing, local, services
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, CelerySettings, ProviderSettings, Settings
from qsuite_console.paths import resolve
from qsuite_console.sandbox.servers import free_port

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


async def test_a_broker_that_is_away_is_not_called_the_cache() -> None:
    """It may be another server, with a setting of its own."""
    away = Settings(celery=CelerySettings(broker_url=Secret(f"redis://127.0.0.1:{free_port()}/0")))
    (finding,) = await handing._broker(away, ["general"])
    assert (finding.verdict, finding.name) == (Verdict.FAIL, "celery broker")
    assert finding.what.startswith("can't reach the broker at 127.0.0.1:")
    assert "celery.broker_url" in finding.todo


def test_private_directories_are_fine_and_made(tmp_path: Path) -> None:
    findings = local.directories(resolve(str(tmp_path)))
    assert {finding.verdict for finding in findings} == {Verdict.OK}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_directory_others_can_look_into_is_a_warning_with_the_command(tmp_path: Path) -> None:
    paths = resolve(str(tmp_path)).ensure()
    paths.state.chmod(0o755)
    (finding,) = [each for each in local.directories(paths) if each.verdict is not Verdict.OK]
    assert finding.todo == f"chmod 700 {paths.state}"


def test_a_directory_that_cant_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    failed = [each for each in local.directories(resolve(str(tmp_path))) if each.verdict is Verdict.FAIL]
    assert [each.name for each in failed] == ["directory state"]
    assert failed[0].todo


@pytest.mark.parametrize(
    ("version", "verdict", "word"),
    [
        ((3, 34, 0), Verdict.FAIL, ""),
        ((3, 40, 1), Verdict.OK, "single writer"),
        ((3, 44, 6), Verdict.OK, ""),
        ((3, 50, 6), Verdict.OK, "single writer"),
        ((3, 51, 3), Verdict.OK, ""),
    ],
)
def test_sqlite_versions(version: tuple[int, int, int], verdict: Verdict, word: str) -> None:
    finding = local.sqlite(version)
    assert finding.verdict is verdict
    assert ("single writer" in finding.what) is bool(word)


def test_the_terminal_is_not_needed_but_named() -> None:
    assert local.terminal({"TERM": "xterm"}).verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("tool", "word"), [("apt-get", "libpangoft2"), ("dnf", "dnf install"), ("brew", "brew install pango")]
)
def test_the_install_line_is_exact_for_the_machine(tool: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.shutil, "which", lambda name: f"/usr/bin/{name}" if name == tool else None)
    assert word in local.pango_line()


def test_no_package_manager_gives_all_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.shutil, "which", lambda _name: None)
    assert all(line in local.pango_line() for line in local.PANGO.values())


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(0, Verdict.OK), (1.9, Verdict.OK), (30, Verdict.WARN), (-30, Verdict.WARN)]
)
def test_clocks_that_differ_are_told_with_direction(seconds: float, verdict: Verdict) -> None:
    finding = services.clock("clock", NOW, NOW + timedelta(seconds=seconds), 0.02)
    assert finding.verdict is verdict
    if verdict is Verdict.WARN:
        assert ("ahead of" if seconds > 0 else "behind") in finding.what


def test_a_slow_answer_is_not_taken_for_a_wrong_clock() -> None:
    assert services.clock("clock", NOW, NOW + timedelta(seconds=5), 5.0).verdict is Verdict.OK


async def test_what_isnt_configured_is_a_warning_not_a_failure() -> None:
    findings = [*await services.cache(CacheSettings()), *await services.provider(ProviderSettings())]
    assert {finding.verdict for finding in findings} == {Verdict.WARN}
    assert all(finding.todo for finding in findings)
