"""A program under its keeper, from the engine's side: started, read, told to stop, heard to its end.

Not asyncio's subprocesses: those kill their child when they are dropped, and a keeper that is killed can't clean up.
Here a dropped child only closes a pipe, which the keeper takes for the engine's end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

GRACE_S: Final = 5.0  # from SIGTERM to SIGKILL
PATIENCE_S: Final = 5.0  # for a keeper that should be gone
_KEEPER: Final = Path(__file__).with_name("keeper.py")
_CHUNK: Final = 65_536


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a keeper says: its program's number first, at last how it ended; or why it could not be started."""

    pid: int = 0
    error: str = ""
    code: int | None = None  # negative: the signal that ended it
    ended_by: str = ""  # "stop", "engine", "memory", "signal"; "" by itself
    peak: int = 0  # bytes
    left: int = 0  # processes it left behind, which were ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be run, and how."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    memory: int = 0  # bytes; 0 is no limit


class Child:
    """One run of a program. ``start`` once, ``read`` until it returns nothing, then ``end``."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._keeper: subprocess.Popen[bytes] | None = None
        self._output: asyncio.StreamReader | None = None
        self._report: asyncio.StreamReader | None = None
        self._transports: list[asyncio.ReadTransport] = []
        self._pid = 0

    async def start(self) -> None:
        """Start keeper and program; what hinders the program is in the report of its end. Raises OSError."""
        output, write_output = os.pipe()
        report, write_report = os.pipe()
        try:
            self._keeper = _spawn(write_output, write_report)

        finally:
            os.close(write_output)
            os.close(write_report)
        self._output = await self._reader(output)
        self._report = await self._reader(report)
        order = {
            "argv": list(self._order.argv),
            "environment": dict(self._order.environment),
            "directory": self._order.directory,
            "memory": self._order.memory,
            "grace_s": GRACE_S,
            "parent": os.getpid(),
        }
        self._tell(msgspec.json.encode(order) + b"\n")

    async def read(self) -> bytes:
        """Return the next piece of what the program prints, b"" at its end."""
        assert self._output is not None
        return await self._output.read(_CHUNK)

    def stop(self) -> None:
        """Have the program and all it started ended: asked first, killed after the grace."""
        self._tell(b"stop\n")

    async def end(self) -> Report:
        """Wait for the end of the program and of its keeper, and return the report."""
        assert self._report is not None
        assert self._keeper is not None
        last = Report(error="its keeper was killed")
        while line := await self._report.readline():
            told = msgspec.json.decode(line, type=Report)
            self._pid = told.pid or self._pid
            last = told if told.error or told.code is not None else last
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._keeper.wait, PATIENCE_S)
        if last.code is None and self._pid:
            with contextlib.suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)  # what the keeper could no longer do
        return last

    def close(self) -> None:
        """Let go of the pipes; a keeper that still runs takes it for the engine's end."""
        for transport in self._transports:
            transport.close()
        if self._keeper is not None and self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.close()

    async def _reader(self, descriptor: int) -> asyncio.StreamReader:
        reader = asyncio.StreamReader()
        protocol: Any = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: protocol, os.fdopen(descriptor, "rb", 0)
        )
        self._transports.append(transport)
        return reader

    def _tell(self, line: bytes) -> None:
        assert self._keeper is not None
        assert self._keeper.stdin is not None
        with contextlib.suppress(OSError):  # a keeper that is gone has nothing left to end
            self._keeper.stdin.write(line)
            self._keeper.stdin.flush()


def _spawn(output: int, report: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_KEEPER), str(report)],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        pass_fds=(report,),
        start_new_session=True,
        env={},
        cwd="/",
    )
