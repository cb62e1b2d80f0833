"""Renders documents in a process of its own, from the engine's side: handed over, watched, killed at its limits.

A process that has loaded the libraries is kept for the next order, since that takes a second. Whatever goes wrong with
one, it and all it started are killed; none outlives the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from qsuite_console.model import units
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean
from qsuite_console.reports.orders import (
    DATA,
    END,
    FAILED,
    HEADER,
    LENGTH,
    READY,
    STEP,
    Failure,
    Order,
    Rendered,
    Step,
    Why,
)
from qsuite_console.reports.pango import pango_line

Form = Literal["pdf", "html"]
START_S: Final = 60.0  # for loading the libraries on a machine that is busy
IDLE_S: Final = 90.0  # that a process is kept without an order
USES: Final = 25  # orders of one process: what libraries keep is bounded
_KEPT: Final = 2  # idle processes of one sort
_FLAGS: Final = ("-I", "-B", "-X", "utf8")
_MODULE: Final = "qsuite_console.reports.render_child"
# what the libraries must know of the system to be found; nothing of the engine's environment otherwise
_PASSED: Final = ("LD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "FONTCONFIG_FILE", "FONTCONFIG_PATH")
_log = logging.getLogger(__name__)


class RenderFailed(ConsoleError):
    """Nothing was rendered: at a limit, for want of a library, or because of the template. Trying again can't help."""


class RendererDied(ConsoleError):
    """The process that rendered was killed from outside; the same may succeed later."""

    is_transient = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one rendering may cost."""

    seconds: float
    memory: int  # bytes


class Renderer:
    """Lends processes; used on one event loop. Nothing is started before the first order."""

    def __init__(self) -> None:
        self._idle: dict[Form, list[_Process]] = {"pdf": [], "html": []}
        self._sweep: asyncio.TimerHandle | None = None

    def warm(self, form: Form) -> None:
        """Start a process that loads its libraries while the data is gathered; never waits."""
        if not any(process.is_alive for process in self._idle[form]):
            self._keep(form, _Process(form))

    async def render(
        self, order: Order, limits: Limits, *, write: Callable[[bytes], None], tell: Callable[[Step], None]
    ) -> Rendered:
        """Render and pass every piece to ``write``, every step to ``tell``; raises RenderFailed, RendererDied.

        Cancelled or at a limit, the process and all it started are killed before this returns.
        """
        form: Form = "pdf" if order.format == "pdf" else "html"
        process = self._take(form)
        try:
            try:
                async with asyncio.timeout(START_S):
                    await process.ready()
            except TimeoutError as error:
                raise RendererDied(
                    f"the renderer did not start within {START_S:g} s", hint="try again on a quieter machine"
                ) from error
            order = msgspec.structs.replace(order, memory=limits.memory, cpu_s=2 * limits.seconds + 5)
            rendered = await self._rendered(process, order, limits, write, tell)
        except BaseException:
            process.kill()
            raise
        process.uses += 1
        self._keep(form, process)
        return rendered

    def close(self) -> None:
        """Kill what is idle."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for processes in self._idle.values():
            while processes:
                processes.pop().kill()

    async def _rendered(
        self,
        process: _Process,
        order: Order,
        limits: Limits,
        write: Callable[[bytes], None],
        tell: Callable[[Step], None],
    ) -> Rendered:
        last = Step(step=0, message="begun")

        def noted(step: Step) -> None:
            nonlocal last
            last = step
            tell(step)

        try:
            async with asyncio.timeout(limits.seconds):
                answer = await process.serve(order, write, noted)
        except TimeoutError as error:
            raise RenderFailed(
                f"rendering took longer than {limits.seconds:g} s ({clean(last.message, 80).lower()})",
                hint="ask for fewer rows or a shorter window, choose html, csv or json, or raise reports.time_limit_s",
            ) from error
        if isinstance(answer, Rendered):
            return answer
        raise self._explained(answer, limits)

    def _explained(self, failure: Failure, limits: Limits) -> ConsoleError:
        message = clean(failure.message, 300)
        if failure.why is Why.LIBRARY:
            return RenderFailed(f"no PDF without Pango: {message}", hint=pango_line())
        if failure.why is Why.FONTS:
            return RenderFailed(f"no PDF: {message}", hint="install one, as in apt-get install -y fonts-dejavu-core")
        if failure.why is Why.MEMORY:
            return RenderFailed(
                f"rendering took more than {units.size(limits.memory)} of memory",
                hint="ask for fewer rows, choose csv or json, or raise reports.memory_mb",
            )
        if failure.why is Why.TEMPLATE:
            return RenderFailed(f"the template can't be used: {message}", hint="correct it and run the job again")
        if failure.why is Why.DEPTH:
            return RenderFailed(f"it can't be rendered: {message}", hint="make the template flatter")
        return RenderFailed(f"it can't be rendered: {message}", hint="choose html, csv or json")

    def _take(self, form: Form) -> _Process:
        while self._idle[form]:
            process = self._idle[form].pop()
            if process.is_alive:
                return process
            process.kill()
        return _Process(form)

    def _keep(self, form: Form, process: _Process) -> None:
        if process.uses >= USES or len(self._idle[form]) >= _KEPT:
            process.kill()
            return
        loop = asyncio.get_running_loop()
        process.idle_since = loop.time()
        self._idle[form].append(process)
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_S, self._tidy)

    def _tidy(self) -> None:
        """Kill what nobody has wanted for a while; look again while anything is idle."""
        loop = asyncio.get_running_loop()
        before = loop.time() - IDLE_S + 0.5
        for processes in self._idle.values():
            for process in [each for each in processes if each.idle_since <= before or not each.is_alive]:
                processes.remove(process)
                process.kill()
        is_needed = any(self._idle.values())
        self._sweep = loop.call_later(IDLE_S / 3, self._tidy) if is_needed else None


class _Process:
    """One process that renders, and the pipes to it."""

    def __init__(self, form: Form) -> None:
        # From the loop's thread, on purpose: on Linux a child is killed with the thread that made it.
        self._popen = subprocess.Popen(
            [sys.executable, *_FLAGS, "-m", _MODULE, form, str(os.getpid())],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=_environment(os.environ),
            cwd="/",
        )
        self.uses = 0
        self.idle_since = 0.0
        self._reader: asyncio.StreamReader | None = None
        self._transport: asyncio.ReadTransport | None = None
        self._sending: asyncio.Future[None] | None = None
        self._early: Failure | None = None
        self._is_ready = False
        self._is_over = False

    @property
    def pid(self) -> int:
        """Return its number."""
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        """Return whether it still takes orders."""
        return not self._is_over and self._popen.poll() is None

    async def ready(self) -> None:
        """Wait until it has loaded its libraries; what hinders it is answered to the first order."""
        if not self._is_ready:
            await self._open()
            kind, body = await self._frame()
            self._is_ready = kind == READY
            self._early = None if kind == READY else msgspec.json.decode(body, type=Failure)

    async def serve(
        self, order: Order, write: Callable[[bytes], None], tell: Callable[[Step], None]
    ) -> Rendered | Failure:
        """Hand one order over and return how it ended; raises RendererDied."""
        if self._early is not None:
            return self._early
        body = await asyncio.to_thread(msgspec.json.encode, order)
        await self._send(LENGTH.pack(len(body)) + body)
        while True:
            kind, body = await self._frame()
            if kind == STEP:
                tell(msgspec.json.decode(body, type=Step))
            elif kind == DATA:
                write(body)
            elif kind == END:
                return msgspec.json.decode(body, type=Rendered)
            elif kind == FAILED:
                return msgspec.json.decode(body, type=Failure)

    def kill(self) -> None:
        """Kill it and all it started, now."""
        self._is_over = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        if self._transport is not None:
            self._transport.close()
        elif self._popen.stdout is not None:
            self._popen.stdout.close()
        if self._sending is None or self._sending.done():
            self._close_input()
        else:  # the thread that writes must not find another file under its number
            self._sending.add_done_callback(self._close_input)
        self._popen.wait()  # killed: at once

    def _close_input(self, sent: asyncio.Future[None] | None = None) -> None:
        if sent is not None and not sent.cancelled():
            sent.exception()
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    async def _open(self) -> None:
        if self._reader is not None:
            return
        reader = self._reader = asyncio.StreamReader(limit=1 << 20)
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._popen.stdout
        )

    async def _send(self, data: bytes) -> None:
        """Write from a thread: a document may be larger than a pipe, and the child reads when it is ready."""
        assert self._popen.stdin is not None
        descriptor = self._popen.stdin.fileno()

        def write() -> None:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

        self._sending = asyncio.get_running_loop().run_in_executor(None, write)
        try:
            await asyncio.shield(self._sending)
        except OSError as error:
            raise self._died() from error

    async def _frame(self) -> tuple[bytes, bytes]:
        assert self._reader is not None
        try:
            kind, size = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            return kind, await self._reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise self._died() from error

    def _died(self) -> ConsoleError:
        code = self._popen.wait() if self._popen.poll() is not None else None
        if code is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._popen.wait(1.0)
        if code == -signal.SIGXCPU:
            return RenderFailed("rendering took all the processor time it may", hint="ask for fewer rows")
        if code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGTRAP):  # how C libraries answer a failed allocation
            return RenderFailed(
                f"the renderer broke down ({signal.Signals(-code).name}), most likely at its limit of memory",
                hint="ask for fewer rows, or raise reports.memory_mb",
            )
        how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with {code}"
        return RendererDied(f"the renderer was ended {how}", hint="the job is tried again")


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {"LANG": "C.UTF-8", **{name: environ[name] for name in _PASSED if name in environ}}
