"""Keys are answered while reports are made: PDF pages are drawn by another process, in its own time."""

from __future__ import annotations

import statistics
import sys

from acceptance.pressing import making_reports, open_list, p99, waits_ms
from acceptance.product import Console
from acceptance.terminal import Terminal
from qsuite_console.model.jobs import JobState


def test_keys_are_answered_while_reports_are_made(console: Console) -> None:
    with Terminal([], console.variables) as terminal:
        open_list(terminal)
        quiet = waits_ms(terminal, 30)
        with making_reports(console, 2, rows=40) as engine:
            busy = waits_ms(terminal, 30)
            while not engine.is_over:
                busy += waits_ms(terminal, 10)
        assert engine.states == [JobState.SUCCEEDED] * 2
        terminal.press("q")
        assert terminal.wait() == 0
    sys.stdout.write(f"\nkey to paint ms: {p99(quiet):.1f} quiet, {p99(busy):.1f} while reports are made\n")
    assert statistics.median(busy) < 3 * statistics.median(quiet) + 50, "a machine with other work to do is slower"
    assert p99(busy) < 5 * p99(quiet) + 250
