"""What an open console costs while nobody touches it: a share of a core, and bytes to a terminal far away."""

from __future__ import annotations

import time

import psutil
import pytest

from acceptance.product import Console
from acceptance.terminal import Terminal

SETTLED_S, MEASURED_S = 8.0, 20.0
CORE, BYTES_A_SECOND = 0.03, 2000.0
ATTEMPTS = 3  # other tests that begin or end right now make some tile change
# A machine that other tests load has a tile about itself that would flap between its levels.
CALM = """
[thresholds."host.cpu"]
enabled = false
[thresholds."host.memory"]
enabled = false
"""


def spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def look_on(terminal: Terminal, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        assert terminal.read(min(0.5, left)), f"the program ended:\n{terminal.text}"


@pytest.mark.slow
def test_an_idle_overview_costs_little(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    file = console.home / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(CALM)
    with Terminal([], console.variables) as terminal:
        terminal.wait_for("● PostgreSQL", 60)
        look_on(terminal, SETTLED_S)
        process = psutil.Process(terminal.pid)
        shares, rates = [], []
        while not shares or (len(shares) < ATTEMPTS and not (shares[-1] < CORE and rates[-1] < BYTES_A_SECOND)):
            started, cpu, written = time.monotonic(), spent(process), len(terminal.raw)
            look_on(terminal, MEASURED_S)
            passed = time.monotonic() - started
            shares.append((spent(process) - cpu) / passed)
            rates.append((len(terminal.raw) - written) / passed)
            with capsys.disabled():
                figures = f"{100 * shares[-1]:.2f} % of one core, {rates[-1]:.0f} B/s to the terminal"
                print(f"\nidle overview, {passed:.0f} s: {figures}")
        assert "● PostgreSQL" in terminal.text
        assert min(shares) < CORE
        assert min(rates) < BYTES_A_SECOND
