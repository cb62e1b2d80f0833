"""Who does not read what it asked for: cut off only where nothing at all was taken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qsuite_console.headless import listening
from qsuite_console.headless.listening import _Patient


class Line(asyncio.Transport):
    """A connection of which the peer takes what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.is_cut = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def abort(self) -> None:
        self.is_cut.set()


class Told(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.heard.append("made")

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)

    def pause_writing(self) -> None:
        self.heard.append("pause")

    def resume_writing(self) -> None:
        self.heard.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append("lost")


async def test_a_peer_that_takes_something_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "UNREAD_S", 3600.0)
    line, told = Line(), Told()
    patient = _Patient(told)
    patient.connection_made(line)
    patient.data_received(b"x")
    line.waiting = 1000
    patient.pause_writing()
    for left in (999, 500, 1):
        line.waiting = left
        patient._judge(line)
        assert not line.is_cut.is_set()
    patient._judge(line)
    assert line.is_cut.is_set()
    patient.connection_lost(None)
    assert told.heard == ["made", b"x", "pause", "lost"]
    assert patient._look is None


async def test_it_is_looked_at_by_itself_and_only_while_something_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "UNREAD_S", 0.01)
    line, told = Line(), Told()
    patient = _Patient(told)
    patient.connection_made(line)
    line.waiting = 10
    patient.pause_writing()
    line.waiting = 0
    patient.resume_writing()
    assert patient._look is None
    line.waiting = 10
    patient.pause_writing()
    async with asyncio.timeout(20):
        await line.is_cut.wait()
    assert told.heard == ["made", "pause", "resume", "pause"]
