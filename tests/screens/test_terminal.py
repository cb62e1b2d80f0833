"""What the terminal layer refuses, scrubs and says; and the private parts of Textual it stands on."""

from __future__ import annotations

import inspect
import io
from queue import Queue

import pytest
from rich.segment import ControlType, Segment
from textual._styles_cache import StylesCache
from textual.app import App
from textual.color import Color
from textual.drivers._writer_thread import MAX_QUEUED_WRITES, WriterThread
from textual.drivers.linux_driver import LinuxDriver

from qsuite_console.terminal import NoTerminal, Scrub, StallSafeDriver, TerminalGuard, crash_line, require_terminal


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("term", "stdin", "stderr", "says"),
    [
        ("dumb", Tty(), Tty(), "TERM is dumb"),
        ("", Tty(), Tty(), "TERM is not set"),
        ("xterm", io.StringIO(), Tty(), "standard input"),
        ("xterm", Tty(), io.StringIO(), "standard error"),
        ("xterm", None, Tty(), "standard input"),
    ],
)
def test_without_a_terminal_it_names_the_way_out(term: str, stdin: io.StringIO | None, stderr: Tty, says: str) -> None:
    with pytest.raises(NoTerminal, match=says) as caught:
        require_terminal({"TERM": term}, stdin, stderr)
    assert "--headless" in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_real_terminal_is_accepted() -> None:
    require_terminal({"TERM": "xterm-256color"}, Tty(), Tty())


def test_scrub_shows_control_characters_and_keeps_the_rest() -> None:
    control = Segment("\x1b[2J", None, [(ControlType.CLEAR,)])
    good = Segment("AAPL ▶ 62 %")
    bad = Segment("a\x1b]2;x\x07b\u202ec")
    scrubbed = Scrub().apply([good, bad, control], Color(0, 0, 0))
    assert scrubbed[0] is good
    assert scrubbed[1].text == "a␛]2;x␇b�c"
    assert scrubbed[2] is control
    line = [good]
    assert Scrub().apply(line, Color(0, 0, 0)) is line


def test_a_crash_line_names_type_and_place_but_no_value() -> None:
    def fails(secret: str) -> None:
        raise ValueError(f"bad password {secret}")

    with pytest.raises(ValueError, match="hunter2") as caught:
        fails("hunter2")
    line = crash_line(caught.value)
    assert "ValueError in test_terminal.py:" in line
    assert "(fails)" in line
    assert "hunter2" not in line


def test_the_guarded_app_draws_with_the_driver_that_never_waits() -> None:
    assert TerminalGuard[None]().driver_class is StallSafeDriver


async def test_copied_text_is_scrubbed() -> None:
    app = TerminalGuard[None]()
    async with app.run_test():
        app.copy_text("AAPL\n\x1b]52;c;!\x07")
        assert app.clipboard == "AAPL\n␛]52;c;!␇"


def test_the_private_parts_of_textual_are_as_this_layer_needs_them() -> None:
    assert isinstance(WriterThread(io.StringIO())._queue, Queue)
    assert MAX_QUEUED_WRITES > StallSafeDriver.BACKLOG
    assert "self._writer_thread = WriterThread" in inspect.getsource(LinuxDriver.start_application_mode)
    assert "self._writer_thread.write(data)" in inspect.getsource(LinuxDriver.write)
    assert "self._fatal_error()" in inspect.getsource(App._handle_exception)
    assert "self._exception = error" in inspect.getsource(App._handle_exception)
    assert "widget.get_line_filters()" in inspect.getsource(StylesCache.render_widget)
