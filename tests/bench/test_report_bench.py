"""A person's keys and the engine's loop while ten PDF reports are made: key to paint and lag, against a quiet console.

In a real terminal with the engine in the console's own process; the reports are submitted over its socket.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.conftest import short_directory, start_sandbox
from acceptance.pressing import making_reports, open_list, p99, waits_ms
from acceptance.product import Console
from acceptance.terminal import Terminal
from qsuite_console.model.jobs import JobState

__all__ = ["short_directory", "start_sandbox"]
KEY_MS, LAG_MS, SUBMIT_MS = 50.0, 40.0, 50.0
ROUNDS = 3  # of ten reports: enough samples of the engine's lag for a percentile


@pytest.mark.timeout(600)
def test_keys_and_engine_while_ten_reports_are_made(
    start_sandbox: Callable[..., Console], short_directory: Path
) -> None:
    console = start_sandbox("--symbols", "50", "--sessions", "1").with_environment(short_directory)
    with Terminal([], console.variables) as terminal:
        open_list(terminal)
        with making_reports(console, 0, rows=1) as calm:
            quiet = waits_ms(terminal, 300)
        busy: list[float] = []
        rounds = []
        for _ in range(ROUNDS):
            with making_reports(console, 10, rows=200) as engine:
                busy += waits_ms(terminal, 100)
                while not engine.is_over:
                    busy += waits_ms(terminal, 20)
            assert engine.states == [JobState.SUCCEEDED] * 10
            rounds.append(engine)
        terminal.press("q")
        assert terminal.wait() == 0
    submitted_ms = [one for engine in rounds for one in engine.submitted_ms]
    submitted = statistics.median(submitted_ms)
    lags_ms = [one for engine in rounds for one in engine.lags_ms]
    # A sample tells the longest of eight waits: of these the 92nd percentile is the 99th of all.
    lag, calm_lag = (statistics.quantiles(found, n=100)[91] for found in (lags_ms, calm.lags_ms))
    sys.stdout.write(
        f"key to paint, {len(busy)} keys while reports are made, ten at once: median {statistics.median(busy):.1f} ms,"
        f" p99 {p99(busy):.1f} ms; quiet: median {statistics.median(quiet):.1f} ms, p99 {p99(quiet):.1f} ms\n"
        f"engine lag: p99 {lag:.1f} ms, at most {max(lags_ms):.1f} ms; quiet: p99 {calm_lag:.1f} ms\n"
        f"submitting answers in {submitted:.1f} ms (median), {max(submitted_ms):.1f} ms at most\n"
    )
    assert p99(busy) < KEY_MS
    assert lag < LAG_MS
    assert submitted < SUBMIT_MS
