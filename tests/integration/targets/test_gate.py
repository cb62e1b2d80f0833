"""Whatever the entrance, a read-only target gets nothing that changes it, and production wants its name. Over every
operation and every kind of job there is: one that is added is covered without a word here.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from integration.targets.conftest import Platform, invocation
from qsuite_console import operations, workers
from qsuite_console.app import ConsoleApp
from qsuite_console.attach import RemoteControl
from qsuite_console.cli.flags import flag_of
from qsuite_console.cli.kinds import find_kind
from qsuite_console.cli.main import run
from qsuite_console.cli.operations import find_operation, known_operations
from qsuite_console.cli.targets import Opened
from qsuite_console.config.settings import InterfaceSettings
from qsuite_console.history.reader import open_reader
from qsuite_console.model.audit import AuditLine, AuditQuery
from qsuite_console.model.errors import ReadOnly, Unconfirmed
from qsuite_console.model.jobs import Submission
from qsuite_console.model.kinds import ParameterSpec
from qsuite_console.model.operations import OperationInfo
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.dialogs.confirm import ConfirmDialog
from qsuite_console.screens.operating import operate
from screens.seeing import until, until_seen

CHANGING = tuple(info for info in map(find_operation, known_operations()) if info.changes_target)
KINDS = tuple(kind for kind in map(find_kind, workers.REGISTRY) if kind.changes_data)
SIZE = (120, 40)


def sample(spec: ParameterSpec) -> Any:
    """Return something that a parameter takes."""
    if spec.choices:
        return spec.choices[0]
    if spec.type == "integer":
        return int(spec.minimum or 1)
    if spec.type == "number":
        return float(spec.minimum or 0) + 1.0
    if spec.type == "boolean":
        return True
    if "start" in spec.name or spec.type == "date":
        return "2026-01-02" if spec.type == "date" else datetime(2026, 1, 2, tzinfo=UTC).isoformat()
    return spec.placeholder or "x"


def samples(specs: tuple[ParameterSpec, ...]) -> dict[str, Any]:
    return {spec.name: sample(spec) for spec in specs if spec.is_required}


async def post(opened: Opened, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Put a request on the engine's socket as any program of this user could."""
    connector = aiohttp.UnixConnector(str(opened.invocation.paths.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(f"http://engine{path}", data=json.dumps(body)) as answer,
    ):
        return answer.status, await answer.json()


def audit(opened: Opened) -> list[AuditLine]:
    async def read() -> list[AuditLine]:
        reader = open_reader(opened.invocation.paths.history)
        try:
            return list((await reader.audited(AuditQuery(limit=1000)))[0])
        finally:
            reader.close()

    return asyncio.run(read())


def console(opened: Opened) -> ConsoleApp:
    return ConsoleApp(opened.control, interface=InterfaceSettings(theme="dark"))


def notices(app: ConsoleApp) -> list[str]:
    return [notification.message for notification in app._notifications]


async def typed(pilot: Pilot[Any], line: str) -> None:
    """Type a command after ":"."""
    await pilot.press("colon")
    await until(pilot, lambda: pilot.app.screen.query("#line"), "the command line")
    pilot.app.screen.query_one("#line", Input).value = line
    await pilot.press("enter")


def line_of(info: OperationInfo) -> str:
    return " ".join([f"act {info.name}", *(f"{n}='{v}'" for n, v in samples(info.parameters).items())])


def argv_of(info: OperationInfo) -> list[str]:
    flags = [[flag_of(spec), str(sample(spec))] for spec in info.parameters if spec.is_required]
    return ["act", info.name, *(word for pair in flags for word in pair)]


def test_every_operation_is_described_by_its_class() -> None:
    assert set(known_operations()) == set(operations.REGISTRY)
    for name in known_operations():
        info = find_operation(name)
        assert info.name == name
        assert info.title
        assert info.help.endswith(".") or info.help
        assert 0 < info.timeout_s <= 60
    assert len(CHANGING) >= 5
    assert KINDS


@pytest.mark.parametrize("opened", ["looked"], indirect=True)
async def test_a_read_only_target_gets_nothing_through_any_program(
    platform: Platform, home: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    before = platform.changes()
    control = opened.control
    with RemoteControl(opened.invocation.paths.socket) as remote:
        for info in CHANGING:
            given = samples(info.parameters)
            for each in (control, remote):
                await _refused(each.propose(info.name, given, origin="test"))
                await _refused(each.perform(info.name, given, confirmation="looked", origin="test"))
            for path in ("/proposal", ""):
                status, answer = await post(opened, f"/operations/{info.name}{path}", {"parameters": given})
                assert (status, answer["error"]["type"]) == (403, "ReadOnly"), info.name
            for more in (["--yes"], ["--confirm", "looked", "--json"], ["--dry-run"]):
                code = await asyncio.to_thread(run, ["--home", str(home), "--target", "looked", *argv_of(info), *more])
                assert code == 1, info.name
                assert "read-only" in capsys.readouterr().err
        for kind in KINDS:
            submission = Submission(kind=kind.name, parameters=_runnable(kind.name), confirmation="looked")
            for each in (control, remote):
                await _refused(each.submit(submission))
    for name, (code, told) in (await asyncio.to_thread(_run_all, home)).items():
        assert (code, "read-only" in told) == (1, True), (name, told)
    lines = [line for line in await asyncio.to_thread(audit, opened) if line.verdict == "refused"]
    for info in CHANGING:
        ways = {line.origin for line in lines if line.action == info.name}
        assert ways == {"test", "http", "cli"}, (info.name, ways)
    assert platform.changes() == before == []


def _run_all(home: Path) -> dict[str, tuple[int, str]]:
    """Run each kind of job as a shell would, all at once; returns exit codes and what was told on stderr."""
    children = {}
    for kind in KINDS:
        words = [sys.executable, "-m", "qsuite_console", "--home", str(home), "--target", "looked", "run", kind.name]
        for name, value in _runnable(kind.name).items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        children[kind.name] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    told = {name: child.communicate(timeout=240)[1] for name, child in children.items()}
    return {name: (child.returncode, told[name]) for name, child in children.items()}


async def _refused(asked: Awaitable[Any]) -> None:
    with pytest.raises(ReadOnly, match="read-only"):
        await asked


@pytest.mark.parametrize("opened", ["looked"], indirect=True)
async def test_a_read_only_target_gets_nothing_through_the_screen(platform: Platform, opened: Opened) -> None:
    before = platform.changes()
    app = console(opened)
    async with app.run_test(size=SIZE) as pilot:
        await until_seen(pilot, "read-only")
        for info in CHANGING:  # typed after ":"
            await typed(pilot, line_of(info))  # where the machine is slow, that it is looked at is told first
            await until(pilot, lambda: any("read-only" in notice for notice in notices(app)), info.name)
            assert not isinstance(app.screen, ConfirmDialog)
            app.clear_notifications()
        for info in CHANGING:  # as every key does it: through operate, in a worker of the screen
            screen = app.screen
            assert isinstance(screen, ConsoleScreen)
            worker = screen.run_worker(operate(screen, info.name, samples(info.parameters)))
            await worker.wait()
            assert worker.result is False
            assert "read-only" in notices(app)[-1]
            app.clear_notifications()
        await _through_the_palette(pilot, app, CHANGING[0])
    assert platform.changes() == before == []


async def _through_the_palette(pilot: Pilot[Any], app: ConsoleApp, info: OperationInfo) -> None:
    await pilot.press("ctrl+p")
    await until(pilot, lambda: app.screen.query(Input), "the palette")
    app.screen.query_one(Input).value = info.name
    await until_seen(pilot, f"({info.name})")
    await pilot.press("enter")
    if info.parameters:
        await until_seen(pilot, "see what it would do")
        for spec in info.parameters:
            if spec.is_required:
                app.screen.query_one(f"#p-{spec.name}", Input).value = str(sample(spec))
        await pilot.press("enter")
    await until(pilot, lambda: any("is read-only" in text for text in notices(app)), "the refusal")


@pytest.mark.parametrize("opened", ["prod"], indirect=True)
async def test_production_wants_its_name_whatever_the_entrance(
    platform: Platform, home: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    before = platform.changes()
    with RemoteControl(opened.invocation.paths.socket) as remote:
        for info in CHANGING:
            given = samples(info.parameters)
            for wrong in ("", "PRODUCTION", "alpha"):
                for control in (opened.control, remote):
                    with pytest.raises(Unconfirmed):
                        await control.perform(info.name, given, confirmation=wrong, origin="test")
                status, answer = await post(
                    opened, f"/operations/{info.name}", {"parameters": given, "confirmation": wrong}
                )
                assert (status, answer["error"]["type"]) == (403, "Unconfirmed"), info.name
        for kind in KINDS:
            for wrong in ("", "alpha"):
                submission = Submission(kind=kind.name, parameters=_runnable(kind.name), confirmation=wrong)
                for control in (opened.control, remote):
                    with pytest.raises(Unconfirmed):
                        await control.submit(submission)
    assert platform.changes() == before
    await _by_the_command_line(platform, home, capsys)
    await _by_the_dialog(platform, opened)


def _runnable(kind: str) -> dict[str, Any]:
    known = {
        "backfill": {"symbols": "AAPL", "start": "2025-01-02"},
        "stream": {"table": "price_ticks", "to": "market_data_ticker"},
        "vacuum": {"table": "price_ticks"},
    }
    return known.get(kind) or samples(find_kind(kind).parameters)


async def _by_the_command_line(platform: Platform, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = platform.changes()
    act = ["--home", str(home), "--target", "prod", "act", "database.apply-setting"]
    act += ["--name", "random_page_cost", "--value", "1.5"]
    for more, code in (([], 2), (["--yes"], 1), (["--confirm", "alpha"], 1), (["--dry-run"], 0)):
        assert await asyncio.to_thread(run, [*act, *more]) == code, more
        told = capsys.readouterr()
        assert "prod" in told.err, more
    backfill = [
        "--home",
        str(home),
        "--target",
        "prod",
        "run",
        "backfill",
        "--symbols",
        "AAPL",
        "--start",
        "2025-01-02",
    ]
    assert await asyncio.to_thread(run, backfill) == 2
    assert "--confirm prod" in capsys.readouterr().err
    assert platform.changes() == before
    assert await asyncio.to_thread(run, [*act, "--confirm", "prod"]) == 0
    done = [text for text in platform.changes() if text not in before]
    assert any("random_page_cost" in text for text in done), "the log shows what does reach the server"


async def _by_the_dialog(platform: Platform, opened: Opened) -> None:
    before = len(platform.changes())
    app = console(opened)
    async with app.run_test(size=SIZE) as pilot:
        await until_seen(pilot, "PRODUCTION")
        await typed(pilot, "act database.apply-setting name=random_page_cost value=1.6")
        await until_seen(pilot, "type prod to confirm")
        await pilot.press("y", "enter")
        await until_seen(pilot, "that is not prod")
        assert len(platform.changes()) == before
        await pilot.press(*"prod", "enter")
        await until(pilot, lambda: len(platform.changes()) > before, "the change")
        await until(pilot, lambda: notices(app), "the outcome")


@pytest.mark.parametrize("opened", ["alpha"], indirect=True)
async def test_what_may_be_changed_is_changed_and_seen_by_the_servers(
    platform: Platform, home: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tests above would pass against servers that log nothing: they don't."""
    assert await asyncio.to_thread(run, ["--home", str(home), "act", "cache.reset-slowlog", "--dry-run"]) in (0, 1)
    before = platform.changes()
    proposal = await opened.control.propose("database.apply-setting", {"name": "random_page_cost", "value": "1.7"})
    assert (proposal.typed, platform.changes()) == ("", before)
    outcome = await opened.control.perform("database.apply-setting", proposal.parameters, origin="test")
    assert outcome.is_done
    new = platform.changes()[len(before) :]
    assert any("ALTER SYSTEM" in text.upper() for text in new), new
    capsys.readouterr()
    assert await asyncio.to_thread(run, ["--home", str(home), "audit", "--text", "apply-setting"]) == 0
    assert "random_page_cost" in capsys.readouterr().out


def test_read_only_is_only_ever_added(home: Path) -> None:
    assert invocation(home, "looked").loaded.settings.target.read_only
    assert not invocation(home, "alpha").loaded.settings.target.read_only
    assert invocation(home, "alpha", is_read_only=True).loaded.settings.target.read_only
    assert invocation(home, "looked", is_read_only=False).loaded.settings.target.read_only
