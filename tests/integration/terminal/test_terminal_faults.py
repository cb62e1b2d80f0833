"""The terminal layer against a real pty: signals, hang-ups, stalls, crashes and hostile text."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pyte
import pytest

from integration.terminal.pty_program import PtyProgram
from integration.terminal.target import CORPUS, PASSWORD

LEFT_SCREEN = b"\x1b[?1049l"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_a_signal_drains_and_gives_the_terminal_back(tmp_path: Path, number: signal.Signals) -> None:
    with PtyProgram(tmp_path / "report", "idle") as program:
        program.wait_for_entry()
        program.signal(number)
        code, took = program.wait()
        assert code == 128 + number
        assert took < 5
        assert LEFT_SCREEN in program.output
        assert program.is_echoing()
        assert program.result()["asked"]


@pytest.mark.parametrize("scenario", ["idle", "deaf"])
def test_a_lost_terminal_ends_the_process(tmp_path: Path, scenario: str) -> None:
    with PtyProgram(tmp_path / "report", scenario) as program:
        program.wait_for_entry()
        program.hang_up()
        code, took = program.wait(is_reading=False)
        assert code == 128 + signal.SIGHUP
        assert took < 3
        assert program.result()["asked"]


def test_a_terminal_that_does_not_read_stops_nothing_and_catches_up(tmp_path: Path) -> None:
    with PtyProgram(tmp_path / "report", "heavy") as program:
        program.wait_for(b"FRAME 5")
        time.sleep(8)  # the stall itself is the subject
        before = len(program.output)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            program.read()
        screen = pyte.Screen(80, 24)
        pyte.ByteStream(screen).feed(b"\x1b[2J" + program.output[before:])
        program.signal(signal.SIGTERM)
        code, _ = program.wait()
        report = program.result()
        assert code == 128 + signal.SIGTERM
        assert report["engine"] < 1
        assert report["loop"] < 1
        assert int(screen.display[0].split()[1]) > report["frames"] / 2, "the screen shows an old frame"
        assert all(len(line.strip()) == 80 for line in screen.display[1:22]), "the screen was repainted in part only"


def test_a_signal_during_a_stall_still_gives_the_terminal_back(tmp_path: Path) -> None:
    with PtyProgram(tmp_path / "report", "heavy") as program:
        program.wait_for(b"FRAME 5")
        time.sleep(3)  # fills the terminal's buffer and the driver's queue
        program.signal(signal.SIGTERM)
        code, took = program.wait(is_reading=False)
        assert code == 128 + signal.SIGTERM
        assert took < 7
        assert LEFT_SCREEN in program.output
        assert program.is_echoing()
        assert program.result()["asked"]


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with PtyProgram(tmp_path / "report", "stubborn", grace_s=60) as program:
        program.wait_for_entry()
        program.signal(signal.SIGTERM)
        program.wait_for(b"WAITING")
        program.signal(signal.SIGTERM)
        code, took = program.wait()
        assert code == 128 + signal.SIGTERM
        assert took < 2


def test_a_crash_shows_its_place_and_no_secret(tmp_path: Path) -> None:
    with PtyProgram(tmp_path / "report", "crash") as program:
        code, _ = program.wait()
        assert code == 1
        assert LEFT_SCREEN in program.output
        tail = program.output.split(LEFT_SCREEN)[-1]
        assert b"RuntimeError in target.py" in tail
        assert PASSWORD.encode() not in program.output
        assert program.is_echoing()


def test_hostile_text_never_reaches_the_terminal_raw(tmp_path: Path) -> None:
    with PtyProgram(tmp_path / "report", "escapes") as program:
        program.wait_for(b"DONE")
        program.signal(signal.SIGTERM)
        program.wait()
        for vector in CORPUS:
            raw = vector.encode()
            assert raw not in program.output, repr(vector)
        for mark in (b"\x1b]2;", b"\x1b[2JPWNED", "\x9b".encode(), "\x90".encode(), "\u202e".encode(), b"\x00"):
            assert mark not in program.output, repr(mark)
        assert b"PWNED" in program.output, "the text itself is shown"


def test_a_stop_and_continue_repaints_the_screen(tmp_path: Path) -> None:
    with PtyProgram(tmp_path / "report", "idle") as program:
        program.wait_for_entry()
        program.signal(signal.SIGTSTP)
        program.wait_until_stopped()
        assert LEFT_SCREEN in program.output
        program.output = b""
        program.signal(signal.SIGCONT)
        program.wait_for(b"\x1b[?1049h")
        program.wait_for(b"READY")
        program.wait_for(b"stood")  # the notice that jobs stood still
        program.signal(signal.SIGTERM)
        assert program.wait()[0] == 128 + signal.SIGTERM
