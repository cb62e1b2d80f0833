"""The tests' own watch: it counts what is waited for, and not what a machine takes from everybody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fakes import stopwatch

PROGRAM = """
import runpy, sys, time
with runpy.run_path(sys.argv[1])["Stopwatch"]() as watch:
    print("running", flush=True)
    sys.stdin.readline()
print(watch.seconds)
"""


def test_a_wait_counts_and_a_standstill_does_not() -> None:
    began = time.monotonic()
    with stopwatch.Stopwatch() as watch:
        time.sleep(0.5)
    assert 0.05 < watch.seconds <= time.monotonic() - began
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(Path(stopwatch.__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "running\n"
    began = time.monotonic()
    os.kill(child.pid, signal.SIGSTOP)
    time.sleep(1.0)
    stood_s = time.monotonic() - began
    os.kill(child.pid, signal.SIGCONT)
    out, _ = child.communicate("\n", timeout=60)
    assert float(out) < time.monotonic() - began - stood_s + 0.5
