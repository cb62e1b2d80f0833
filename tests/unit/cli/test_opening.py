"""Opening a target whose history another process owns: one that only starts or ends is waited for."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fakes.control import FakeControl
from qsuite_console import __version__
from qsuite_console.cli import connect, targets
from qsuite_console.cli.invocation import Invocation
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import EngineGone, HistoryOwned
from qsuite_console.model.wire import EngineInfo


class Owner:
    """Owns the history, and answers from the third question on."""

    def __init__(self, *, answers_at: int) -> None:
        self.asked = 0
        self._answers_at = answers_at

    def own_engine(self, *_: Any) -> Any:
        raise HistoryOwned("pid 7 owns this history", owner="pid 7")

    def attached(self, _: Invocation, __: ExitStack) -> FakeControl | None:
        self.asked += 1
        if self.asked < self._answers_at - 1:
            return None
        if self.asked < self._answers_at:
            raise EngineGone("it closed the line")
        return FakeControl(ConsoleState(owner="pid 7"))


@pytest.fixture
def invocation(tmp_path: Path) -> Invocation:
    return Invocation(home=str(tmp_path), environ={})


def own(monkeypatch: pytest.MonkeyPatch, owner: Owner) -> None:
    monkeypatch.setattr(targets, "own_engine", owner.own_engine)
    monkeypatch.setattr(targets, "attached", owner.attached)


def test_an_owner_that_is_just_starting_is_waited_for(monkeypatch: pytest.MonkeyPatch, invocation: Invocation) -> None:
    owner = Owner(answers_at=3)
    own(monkeypatch, owner)
    opened = targets.open_target(invocation, may_look=True)
    assert owner.asked == 3
    assert opened.control.state.owner == "pid 7"
    assert opened.runtime is None
    assert opened.note == "pid 7 runs the engine of this history; attached to it"
    opened.stack.close()


@pytest.mark.parametrize(
    ("version", "warning"),
    [
        ("9.1", f"The engine runs version 9.1, this console {__version__}: restart the older one"),
        (__version__, ""),
    ],
)
def test_an_engine_of_another_version_is_told(
    monkeypatch: pytest.MonkeyPatch, invocation: Invocation, version: str, warning: str
) -> None:
    monkeypatch.setattr(targets, "attached", lambda *_: FakeControl(ConsoleState(owner="pid 7", version=version)))
    opened = targets.attach_target(invocation)
    assert (opened.note, opened.warning) == ("attached to the engine of pid 7", warning)
    opened.stack.close()


def test_one_that_never_answers_is_named(monkeypatch: pytest.MonkeyPatch, invocation: Invocation) -> None:
    own(monkeypatch, Owner(answers_at=1_000_000))
    monkeypatch.setattr(targets, "PATIENCE_S", 0.0)
    with pytest.raises(HistoryOwned, match="pid 7 owns the history of default and doesn't answer"):
        targets.open_target(invocation, may_look=False)


class Held:
    """A history that another process has for some tries."""

    def __init__(self, times: float) -> None:
        self.tries = 0
        self._times = times

    def open(self) -> str:
        self.tries += 1
        if self.tries <= self._times:
            raise HistoryOwned("in use by pid 7", owner="pid 7")
        return "opened"


def test_a_verb_that_has_the_history_for_a_moment_is_waited_for(invocation: Invocation) -> None:
    held = Held(3)
    assert connect.once_free(invocation, held.open) == "opened"
    assert held.tries == 4


def test_an_engine_that_answers_and_an_owner_that_stays_are_not(
    monkeypatch: pytest.MonkeyPatch, invocation: Invocation
) -> None:
    monkeypatch.setattr(connect, "FREE_S", 0.0)
    staying = Held(1_000_000)
    with pytest.raises(HistoryOwned, match="in use by pid 7"):
        connect.once_free(invocation, staying.open)
    monkeypatch.setattr(connect, "FREE_S", 3600.0)
    info = EngineInfo(pid=7, host="h", version="1")
    monkeypatch.setattr("qsuite_console.attach.find_engine", lambda _: info)
    served = Held(1_000_000)
    with pytest.raises(HistoryOwned):
        connect.once_free(invocation, served.open)
    assert served.tries == 1
