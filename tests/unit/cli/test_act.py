"""``act``: shows what would happen, asks on a terminal, refuses without one, sends what the proposal said."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from fakes.changing import OPERATIONS, PRODUCTION, changing
from fakes.control import FakeControl
from qsuite_console.cli import act as verb
from qsuite_console.cli.act import command_for
from qsuite_console.cli.audit import parse_since
from qsuite_console.cli.invocation import Invocation
from qsuite_console.model.errors import ConsoleError, InvalidParameters, NotFound, ReadOnly, Unconfirmed, UsageProblem
from qsuite_console.model.operations import Outcome

TERMINATE = OPERATIONS[1]


class Typing(io.StringIO):
    """A terminal at which somebody has typed."""

    def isatty(self) -> bool:
        return True


class Bench:
    """Runs ``act database.terminate`` against a fake engine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        self.control: FakeControl = changing()
        self._patch = monkeypatch
        self._invocation = Invocation(home=str(home), environ={})
        monkeypatch.setattr(verb, "changing", lambda _invocation, change: asyncio.run(change(self.control)))
        monkeypatch.setattr(Invocation, "start_log", lambda self, **_: None)

    def at_a_terminal(self, typed: str) -> None:
        self._patch.setattr(sys, "stdin", Typing(typed))
        self._patch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    def run(self, *arguments: str) -> int:
        command = command_for(TERMINATE)
        with click.Context(command, info_name="act", obj=self._invocation):
            code = command.main(["--pid", "4711", *arguments], standalone_mode=False, obj=self._invocation)
        return int(code)

    @property
    def performed(self) -> list[tuple[Any, ...]]:
        return [arguments for name, arguments in self.control.calls if name == "perform"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return Bench(monkeypatch, tmp_path)


PROPOSED = {"pid": 4711, "backend_start": "2026-11-22T05:20:59Z"}


def test_with_yes_it_is_done_as_proposed(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("--yes") == 0
    assert bench.performed == [("database.terminate", PROPOSED, "", "cli")]
    assert "database.terminate is done" in capsys.readouterr().out


def test_json_is_one_document(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out)["is_done"] is True
    assert bench.run("--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == PROPOSED


def test_a_dry_run_does_nothing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("--dry-run", "--yes") == 0
    told = capsys.readouterr().out
    assert "Terminate the session of pid 4711?" in told
    assert "It frees 4 sessions behind it." in told
    assert bench.performed == []


def test_without_a_terminal_and_without_yes_it_is_refused(bench: Bench) -> None:
    with pytest.raises(UsageProblem, match="this is no terminal") as refused:
        bench.run()
    assert (refused.value.exit_code, "--yes" in refused.value.hint, bench.performed) == (2, True, [])


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_on_a_terminal_it_is_asked(bench: Bench, capsys: pytest.CaptureFixture[str], typed: str, code: int) -> None:
    bench.at_a_terminal(typed)
    assert bench.run() == code
    assert "Its client loses the connection" in capsys.readouterr().err
    assert len(bench.performed) == (code == 0)


@pytest.mark.parametrize(("typed", "confirmation"), [("eu1\n", "eu1"), ("yes\n", "yes"), ("\n", None)])
def test_on_production_the_name_is_asked(bench: Bench, typed: str, confirmation: str | None) -> None:
    bench.control = changing(PRODUCTION)
    bench.at_a_terminal(typed)
    if confirmation is None:
        assert bench.run() == 1
        assert bench.performed == []
    elif confirmation == "eu1":
        assert bench.run() == 0
        assert bench.performed[0][2] == "eu1"
    else:
        with pytest.raises(Unconfirmed):
            bench.run()


def test_yes_is_not_enough_on_production(bench: Bench) -> None:
    bench.control = changing(PRODUCTION)
    with pytest.raises(Unconfirmed):
        bench.run("--yes")
    with pytest.raises(UsageProblem) as refused:
        bench.run()
    assert "--confirm eu1" in refused.value.hint
    assert bench.run("--confirm", "eu1") == 0


def test_our_own_read_only_counts_whatever_the_engine_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bench = Bench(monkeypatch, tmp_path)
    bench._invocation = Invocation(home=str(tmp_path), environ={}, is_read_only=True)
    with pytest.raises(ReadOnly, match="read-only here"):
        bench.run("--yes")
    assert [name for name, _ in bench.control.calls if name in ("propose", "perform")] == []


def test_what_was_not_done_ends_with_one(bench: Bench) -> None:
    bench.control.outcomes["database.terminate"] = lambda _: Outcome(
        operation="database.terminate", is_done=False, message="it ended by itself"
    )
    assert bench.run("--yes") == 1


@pytest.mark.parametrize("step", ["propose", "perform"])
def test_what_is_gone_ends_with_three_and_a_line(bench: Bench, capsys: pytest.CaptureFixture[str], step: str) -> None:
    bench.control.failures[step] = NotFound("pid 4711 has ended already", hint="look again")
    assert bench.run("--yes") == 3
    told = capsys.readouterr()
    assert "Terminate session: pid 4711 has ended already; nothing was changed" in told.err
    assert told.out == ""
    assert bench.run("--yes", "--json") == 3
    assert json.loads(capsys.readouterr().out)["is_done"] is False


def test_problems_are_named_by_their_flags(bench: Bench) -> None:
    bench.control.failures["propose"] = InvalidParameters({"pid": "must be at least 1"})
    with pytest.raises(InvalidParameters, match="--pid: must be at least 1") as refused:
        bench.run("--yes")
    assert "act database.terminate --help" in refused.value.hint


@pytest.mark.parametrize("text", ["24h", "90s", "2026-11-22", "2026-11-22T09:30", "2026-11-22T09:30+01:00"])
def test_times_of_the_audit(text: str) -> None:
    assert parse_since(text).utcoffset() is not None


@pytest.mark.parametrize("text", ["", "yesterday", "0h", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConsoleError, match="is no time"):
        parse_since(text)
