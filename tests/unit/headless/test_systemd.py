"""What systemd is told, and that a loop that stands still is not told to be alive."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from qsuite_console.headless.systemd import Watchdog, notify, watchdog_s
from qsuite_console.model.errors import ConsoleError


class Systemd:
    """Its end of the socket."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def heard(self) -> list[bytes]:
        messages = []
        while True:
            try:
                messages.append(self._listener.recv(1000))
            except BlockingIOError:
                return messages


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    path = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.setblocking(False)
        yield Systemd(listener)


class Loop:
    """An event loop in a thread of its own that can be held up."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, bool]) -> Future[bool]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def settle(self) -> None:
        """Return when everything asked so far is done."""
        self.call(_nothing()).result(10)  # answers come in the order of the questions

    def hold(self) -> threading.Event:
        """Block the loop until the event is set."""
        held, release = threading.Event(), threading.Event()

        def block() -> None:
            held.set()
            release.wait(30)

        self._loop.call_soon_threadsafe(block)
        assert held.wait(10)
        return release

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _nothing() -> bool:
    return True


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_a_loop_that_stands_still_is_not_said_to_be_alive(systemd: Systemd, loop: Loop) -> None:
    now = [0.0]
    watchdog = Watchdog(loop.call, period_s=30.0, clock=lambda: now[0])

    def look_for(seconds: int) -> None:
        for _ in range(seconds):
            now[0] += 1.0
            watchdog.look()
            if not held.is_set():
                continue
            loop.settle()

    held = threading.Event()
    held.set()  # until it is held up the loop answers between two looks
    look_for(60)
    assert systemd.heard() == [b"WATCHDOG=1"] * 6  # thrice in each period
    loop.settle()
    watchdog.look()
    systemd.heard()
    release = loop.hold()
    held.clear()
    look_for(300)
    assert systemd.heard() == []
    release.set()
    held.set()
    loop.settle()
    look_for(30)
    assert systemd.heard() != []


def test_an_engine_that_has_ended_is_asked_no_more(systemd: Systemd) -> None:
    asked: list[int] = []

    def call(coroutine: Coroutine[Any, Any, bool]) -> Future[bool]:
        coroutine.close()
        asked.append(1)
        raise ConsoleError("the engine is not running")

    watchdog = Watchdog(call, period_s=0.003)
    for _ in range(10):
        watchdog.look()
    assert len(asked) == 1
    assert systemd.heard() == []


@pytest.mark.parametrize(
    ("environ", "period_s"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),  # meant for the shell that started us
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-1"}, 0.0),
    ],
)
def test_the_period_is_systemds(environ: dict[str, str], period_s: float) -> None:
    assert watchdog_s(environ) == period_s


def test_nobody_is_told_where_nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")
