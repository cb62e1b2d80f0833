"""How far a job is, on stderr: one line redrawn in place on a terminal, plain lines now and then elsewhere.

A terminal gets at most ten redraws a second and never a line longer than it is wide.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import Final, TextIO

from qsuite_console.cli.output import duration, is_plain, number
from qsuite_console.model.jobs import Job, JobState, LogLine
from qsuite_console.model.text import clean

REDRAW_S: Final = 0.1
PLAIN_S: Final = 5.0
_LOUD: Final = frozenset({"WARNING", "ERROR", "CRITICAL"})
_BAR: Final = 24
_FIGURES: Final = (
    ("rows_per_s", "rows/s"),
    ("http_429", "429s"),
    ("retries", "retries"),
    ("quarantined", "quarantined"),
)


class ProgressLine:
    """Shows a job's newest progress; ``close`` leaves the cursor on a fresh line."""

    def __init__(self, stream: TextIO | None = None, *, is_quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._is_quiet = is_quiet
        self.is_plain = is_plain(self._stream)
        encoding = (self._stream.encoding or "").lower().replace("-", "")
        self._blocks = ("█", "░") if encoding == "utf8" else ("#", "-")
        self._drawn_at = float("-inf")
        self._last = ""
        self._is_open = False

    def show(self, job: Job) -> None:
        """Draw the job, unless the last drawing is too fresh."""
        now = time.monotonic()
        if self._is_quiet or now - self._drawn_at < (PLAIN_S if self.is_plain else REDRAW_S):
            return
        text = describe(job) if self.is_plain else self._with_bar(job)
        if text == self._last:
            return
        self._drawn_at, self._last = now, text
        if self.is_plain:
            self._write(text + "\n")
        else:
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r\x1b[2K{text[:width]}")
            self._is_open = True

    def say(self, text: str) -> None:
        """Write a line of its own; the progress line, where there is one, is drawn again below it."""
        self._write(f"{self._erasure()}{clean(text)}\n")
        self._last, self._drawn_at = "", float("-inf") if not self.is_plain else self._drawn_at

    def log(self, entry: LogLine) -> None:
        """Write a line of the job's log: all of them in plain output, only loud ones above a progress line."""
        if not self._is_quiet and (self.is_plain or entry.level in _LOUD):
            self.say(f"{entry.at.astimezone():%H:%M:%S} {entry.level:<7} {entry.message}")

    def close(self) -> None:
        """Remove the progress line; what was said stays."""
        erasure = self._erasure()
        if erasure:
            self._write(erasure)

    def _erasure(self) -> str:
        was_open, self._is_open = self._is_open, False
        return "\r\x1b[2K" if was_open else ""

    def _with_bar(self, job: Job) -> str:
        fraction = job.progress.fraction
        full, empty = self._blocks
        if fraction is None or job.state is not JobState.RUNNING:
            return describe(job)
        filled = round(_BAR * min(1.0, max(0.0, fraction)))
        return f"{full * filled}{empty * (_BAR - filled)} {describe(job)}"

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()


def describe(job: Job) -> str:
    """Return a job's progress as one plain line: "61 % 16/26 requests · 31,200 rows/s · 12s left · fetching"."""
    if job.state is not JobState.RUNNING:
        return clean(f"job {job.id} {job.state}{': ' + job.reason if job.reason else ''}", 300)
    progress = job.progress
    head = "" if progress.fraction is None else f"{progress.fraction * 100:.0f} %"
    if progress.done or progress.total:
        total = f"/{number(progress.total)}" if progress.total is not None else ""
        head = f"{head} {number(progress.done)}{total} {progress.unit}".strip()
    parts = [head or f"job {job.id} running"]
    for name, label in _FIGURES:
        value = progress.figures.get(name)
        if value and (name != "rows_per_s" or isinstance(value, int | float)):
            parts.append(f"{number(value)} {label}")
    if "rows_per_s" not in progress.figures and progress.rate:
        parts.append(f"{number(round(progress.rate, 1))} {progress.unit}/s")
    if progress.eta_s is not None:
        parts.append(f"{duration(progress.eta_s)} left")
    if progress.message:
        parts.append(progress.message)
    return clean(" · ".join(parts), 400)


def is_interactive() -> bool:
    """Return whether a person sits at the terminal that stdin and stderr lead to."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("CI")
