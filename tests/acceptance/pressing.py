"""How long a person waits for a key: from the byte that is typed to the row that is marked, seen in the terminal."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from acceptance.product import Console
from acceptance.terminal import Terminal
from fakes import stopwatch
from qsuite_console.attach import RemoteControl
from qsuite_console.engine.control import Control
from qsuite_console.model.jobs import TERMINAL, JobState, Submission
from qsuite_console.paths import resolve

FIRST = 3
PAUSE_S = 0.06  # after the last byte a key has brought: a person is not faster
_PRESSER = """
import json, os, runpy, select, sys
watch = runpy.run_path(sys.argv[4])["Stopwatch"]().__enter__()
master, keys, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
pressed, chunks = [], []
def take(seconds):
    if not select.select([master], [], [], seconds)[0]:
        return False
    data = os.read(master, 65536)
    chunks.append((watch.seconds, data.hex()))
    return True
while take(pause):
    pass
for number in range(keys):
    pressed.append(watch.seconds)
    os.write(master, b"j" if number % 2 == 0 else b"k")
    take(20)
    while take(pause):
        pass
json.dump((pressed, chunks), sys.stdout)
"""
QUERY = "SELECT n, md5(n::text) AS words, n * 1.5 AS half FROM generate_series(1, {rows}) n"


@dataclass
class Engine:
    """What the console's own engine says over its socket, asked from a thread of its own."""

    made: list[int] = field(default_factory=list)
    states: list[JobState] = field(default_factory=list)
    lags_ms: list[float] = field(default_factory=list)  # the worst of each sample, while reports are made
    submitted_ms: list[float] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return bool(self.states) and TERMINAL.issuperset(self.states)


def marked(terminal: Terminal) -> int:
    """Return the row with the cursor's colour: the one that differs from the rows around it."""
    colours = [terminal.screen.buffer[row][20].bg for row in range(FIRST, terminal.screen.lines - 4)]
    usual = max(set(colours), key=colours.count)  # the rows of tabs and headings are above
    return next((row for row, colour in enumerate(colours) if colour != usual), -1)


def waits_ms(terminal: Terminal, keys: int) -> list[float]:
    """Press j and k in turn and return how long each took until what it changed had come to the terminal.

    A process that does nothing else presses and notes when bytes arrive; what they show is read from them afterwards:
    an emulator takes longer to read a screen than the program to draw it. What a busy machine takes from that process
    is nobody's wait for a key.
    """
    noted = subprocess.run(
        [sys.executable, "-I", "-c", _PRESSER, str(terminal.master), str(keys), str(PAUSE_S), stopwatch.__file__],
        pass_fds=[terminal.master],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    pressed, chunks = json.loads(noted)
    found: list[float] = []
    before = marked(terminal)
    for at, data in chunks:
        terminal.take(bytes.fromhex(data))
        if len(found) < keys and marked(terminal) not in (before, -1):
            before = marked(terminal)
            found.append(1000 * (at - pressed[len(found)]))
    assert len(found) == keys, f"{keys - len(found)} of {keys} keys had no effect:\n{terminal.text}"
    return found


def p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[-1] if len(values) > 1 else max(values, default=0.0)


@contextmanager
def making_reports(console: Console, number: int, rows: int) -> Iterator[Engine]:
    """Let the console's engine make PDF reports; it is over when ``is_over``."""
    engine, leave = Engine(), threading.Event()

    async def work(control: Control) -> None:
        for each in range(number):
            given = {"name": "custom", "query": QUERY.format(rows=rows), "title": f"number {each}"}
            began = time.perf_counter()
            receipt = await control.submit(Submission(kind="report", parameters=given))
            engine.submitted_ms.append(1000 * (time.perf_counter() - began))
            engine.made.append(receipt.job_id)
        told = control.state.snapshot.at
        while not engine.is_over and not leave.is_set():
            await asyncio.sleep(0.25)
            engine.states = [(await control.job(job)).job.state for job in engine.made]
            snapshot = control.state.snapshot
            if snapshot.at == told:
                continue
            told = snapshot.at
            for reading in snapshot.readings:
                engine.lags_ms += [1000 * one.value for one in reading.figures if one.name == "loop_lag" and one.value]

    def run() -> None:
        with RemoteControl(resolve(str(console.home)).socket) as control:
            asyncio.run(work(control))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield engine
    finally:
        leave.set()
        thread.join(60)


def open_list(terminal: Terminal) -> None:
    """Go to a list that stays as it is, whatever the engine does: the schedules."""
    terminal.wait_for("● PostgreSQL", 60)
    terminal.press("9")
    terminal.wait_for("warm-prices", 30)
    terminal.wait_until(lambda _: marked(terminal) >= 0, "a marked row")
    top = marked(terminal)
    while marked(terminal) == top:  # the list takes keys a moment after it is drawn
        terminal.press("j")
        until = time.monotonic() + 1.0
        while marked(terminal) == top and time.monotonic() < until:
            terminal.read()
    waits_ms(terminal, 10)
