"""The terminal as something that fails: it stalls, hangs up, gets signals, and must be left as it was found.

Textual blocks its loop on a terminal that does not read, installs no handler for SIGTERM or SIGHUP, spins when the
terminal is gone and prints local variables when it crashes. What is private to Textual here is pinned by a test.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, Full
from subprocess import DEVNULL, PIPE
from types import FrameType
from typing import IO, Any, Final, TypeVar

from rich.segment import Segment
from rich.text import Text
from textual.app import App
from textual.color import Color
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter

from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)
RESTORE: Final = (
    "\x1b[?2026l\x1b[<u\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[?2048l"
    "\x1b[?7h\x1b[?1049l\x1b[?25h\x1b[0m"
)
_STALL_S: Final = 1.5  # how long leaving the screen waits for a terminal that does not read
ResultT = TypeVar("ResultT")
_LOG = logging.getLogger(__name__)


class NoTerminal(ConsoleError):
    """There is nothing here that a screen could be drawn on."""

    exit_code = 2


def require_terminal(environ: Mapping[str, str], stdin: IO[str] | None, stderr: IO[str] | None) -> None:
    """Raise NoTerminal unless keys can be read from ``stdin`` and a screen drawn on ``stderr``."""
    hint = "use --headless to run without a screen, or a command such as `qsuite-console status`"
    for stream, name in ((stdin, "standard input"), (stderr, "standard error")):
        if stream is None or stream.closed or not stream.isatty():
            raise NoTerminal(f"the console needs a terminal, and {name} is not one", hint=hint)
    if environ.get("TERM", "") in {"", "dumb"}:
        shown = clean(environ.get("TERM", "")) or "not set"
        raise NoTerminal(f"this terminal can't be drawn on (TERM is {shown})", hint=hint)


class Scrub(LineFilter):
    """The last line of defence: no text may carry what a terminal acts on, however it reached a widget."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments with control characters made visible; Textual's own control segments pass."""
        if all(segment.text.isprintable() for segment in segments):
            return segments
        return [
            segment
            if segment.control or segment.text.isprintable()
            else Segment(clean(segment.text, limit=len(segment.text)), segment.style)
            for segment in segments
        ]


class StallSafeDriver(LinuxDriver):
    """Drops frames instead of waiting for a terminal that has stopped reading, and repaints when it reads again.

    Frames are disposable, modes are not: only what is written between start and stop may be dropped.
    """

    BACKLOG: Final = 16  # of the writer's 30 places

    def __init__(self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: Any = None) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._in_frames = False
        self._is_dropping = False

    def start_application_mode(self) -> None:
        """Enter the screen; from here on frames may be dropped."""
        enter: Callable[[], None] = super().start_application_mode
        enter()
        self._in_frames = True

    def stop_application_mode(self) -> None:
        """Leave the screen; a stalled terminal loses its pending frames so that it gets its modes back."""
        self._in_frames = False
        if self._backlog() >= self.BACKLOG or self._is_dropping:
            self._discard_pending()
        super().stop_application_mode()

    def write(self, data: str) -> None:
        """Queue ``data`` for the terminal, or drop it while the terminal does not read."""
        writer = self._writer_thread
        if writer is None or not writer.is_alive():
            return
        if self._in_frames and (self._is_dropping or self._backlog() >= self.BACKLOG):
            if not self._is_dropping:
                self._is_dropping = True
                self._loop.call_later(0.2, self._recover)
            return
        with contextlib.suppress(Full):
            writer._queue.put(data, timeout=None if self._in_frames else _STALL_S)

    def close(self) -> None:
        """Stop writing; waits at most a moment for what is still pending."""
        writer = self._writer_thread
        if writer is None or not writer.is_alive():
            return
        with contextlib.suppress(Full):
            writer._queue.put(None, timeout=_STALL_S)
        writer.join(_STALL_S)

    def _backlog(self) -> int:
        return 0 if self._writer_thread is None else self._writer_thread._queue.qsize()

    def _discard_pending(self) -> None:
        writer = self._writer_thread
        if writer is None:
            return
        with contextlib.suppress(Empty):
            while True:
                writer._queue.get_nowait()
        with contextlib.suppress(termios.error):
            termios.tcflush(self.fileno, termios.TCOFLUSH)

    def _recover(self) -> None:
        if self._in_frames and self._backlog():
            self._loop.call_later(0.2, self._recover)
            return
        self._is_dropping = False
        if self._in_frames:
            self._app.call_later(self._app.screen.refresh, layout=True)


class TerminalGuard(App[ResultT]):
    """An app that keeps to the rules of this module; the console's App derives from it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._scrub = Scrub()
        self._copying: set[asyncio.Task[None]] = set()
        self._is_lent = False

    def get_driver_class(self) -> type[Driver]:
        """Return the driver that never waits for the terminal, unless another was asked for."""
        chosen = super().get_driver_class()
        return StallSafeDriver if chosen is LinuxDriver else chosen

    def get_line_filters(self) -> list[LineFilter]:
        """Return Textual's filters and, after them, the scrubbing of control characters."""
        return [*super().get_line_filters(), self._scrub]

    def _on_mount(self) -> None:
        self.app_suspend_signal.subscribe(self, self._note_suspend)
        self.app_resume_signal.subscribe(self, self._note_resume)

    def _note_suspend(self, _app: App[Any]) -> None:
        self._is_lent = True  # to an editor, with the process running on; a SIGTSTP from outside says nothing before

    def _note_resume(self, _app: App[Any]) -> None:
        self.call_later(self.screen.refresh, layout=True)
        if not self._is_lent:
            self.notify("The process was stopped: its jobs stood still meanwhile.", severity="warning", markup=False)
        self._is_lent = False

    def _fatal_error(self) -> None:
        """End with one line: a traceback with local variables would print passwords."""
        error = self._exception or sys.exc_info()[1]
        _LOG.critical("the screen crashed", exc_info=error)
        self.panic(Text(crash_line(error)))

    def copy_text(self, text: str) -> None:
        """Put ``text`` on the clipboard of the person's terminal (OSC 52), also from within tmux."""
        safe = clean(text, limit=100_000, one_line=False)
        self.copy_to_clipboard(safe)
        if os.environ.get("TMUX"):
            task = asyncio.get_running_loop().create_task(_load_tmux_buffer(safe))
            self._copying.add(task)
            task.add_done_callback(self._copying.discard)


def crash_line(error: BaseException | None) -> str:
    """Return what a person may see of a crash: its type and place, never its values."""
    place = ""
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" in {Path(code.co_filename).name}:{trace.tb_lineno} ({code.co_name})"
        trace = trace.tb_next
    name = type(error).__name__ if error is not None else "an unknown error"
    return f"The screen stopped: {clean(name)}{clean(place)}. The details are in the log; jobs were not touched."


async def _load_tmux_buffer(text: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            "tmux", "load-buffer", "-w", "-", stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL
        )
        await asyncio.wait_for(process.communicate(text.encode()), 2.0)
    except (OSError, TimeoutError) as error:
        _LOG.info("tmux did not take the copied text: %s", error)


class _Shutdown:
    """Turns signals and a hang-up into one orderly end, and a stuck end into a hard one."""

    def __init__(
        self, app: App[Any], loop: asyncio.AbstractEventLoop, on_stop: Callable[[], None], grace_s: float
    ) -> None:
        self.number = 0
        self._app = app
        self._loop = loop
        self._on_stop = on_stop
        self._grace_s = grace_s
        self._tty = sys.__stdin__.fileno() if sys.__stdin__ is not None else 0
        self._attributes = _attributes_of(self._tty)
        self._is_on_screen = True

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Begin to stop at the first signal, end at once at the second; a hang-up is told twice and counts once."""
        if self.number and number != signal.SIGHUP:
            self.end_now()
        self.begin(number)

    def begin(self, number: int) -> None:
        """Ask for the orderly end, whatever the screen's loop is doing; callable from any thread."""
        if self.number:
            return
        self.number = number
        if is_hung_up(self._tty):
            _to_null(0, 1, 2)
        timer = threading.Timer(self._grace_s, self.end_now)
        timer.daemon = True
        timer.start()
        self._on_stop()
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself meanwhile
            self._loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        self._app.exit(return_code=128 + self.number)
        self._loop.call_later(0.3, self._leave)  # an app that was still starting did not hear it

    def end_now(self) -> None:
        """Give the terminal its modes back without waiting for it, and end the process."""
        if self._is_on_screen:
            restore_terminal(self._tty, self._attributes)
        os._exit(128 + self.number)

    def watch(self) -> None:
        """Wait for the terminal to go away; Textual's input thread would spin on it for ever."""
        poll = select.poll()
        poll.register(self._tty, 0)
        while self._is_on_screen and not self.number:
            if poll.poll(500):
                self.begin(signal.SIGHUP)
                return

    def leave_screen(self) -> None:
        """Note that the terminal is the shell's again."""
        self._is_on_screen = False


def run(app: App[Any], *, on_stop: Callable[[], None], grace_s: float = 20.0, mouse: bool = True) -> int:
    """Run ``app`` on the main thread until it ends and return the process's exit code.

    A signal or a lost terminal calls ``on_stop`` at once (from a signal handler: it may not block), leaves the screen
    and returns 128 + the signal's number; a second signal, or ``grace_s`` seconds, end the process hard. The handlers
    stay when this returns: the caller drains its engine and exits, under the same two rules.
    """
    require_terminal(os.environ, sys.__stdin__, sys.__stderr__)
    if isinstance(sys.__stderr__, io.TextIOWrapper):
        sys.__stderr__.reconfigure(errors="replace")
    with asyncio.Runner() as runner:
        shutdown = _Shutdown(app, runner.get_loop(), on_stop, grace_s)
        for number in STOP_SIGNALS:
            signal.signal(number, shutdown.handle)
        threading.Thread(target=shutdown.watch, name="terminal-watch", daemon=True).start()
        try:
            runner.run(app.run_async(mouse=mouse))
        finally:
            shutdown.leave_screen()
    return 128 + shutdown.number if shutdown.number else app.return_code or 0


def is_hung_up(descriptor: int) -> bool:
    """Return whether the terminal behind ``descriptor`` is gone."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


def restore_terminal(descriptor: int, attributes: list[Any] | None) -> None:
    """Leave the alternate screen and raw mode by the shortest way, without ever waiting for the terminal."""
    with contextlib.suppress(termios.error):
        termios.tcflush(descriptor, termios.TCOFLUSH)
        if attributes is not None:
            termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
    with contextlib.suppress(OSError):
        os.set_blocking(2, False)
        os.write(2, RESTORE.encode())
    with contextlib.suppress(OSError):
        os.set_blocking(2, True)  # the descriptor is shared with the shell


def _attributes_of(descriptor: int) -> list[Any] | None:
    try:
        return termios.tcgetattr(descriptor)
    except termios.error:
        return None


def _to_null(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)
