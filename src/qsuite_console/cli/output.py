"""The only writer of stdout, and the one way to stderr: results on the one, everything about them on the other.

Light on purpose: ``--version`` imports it. Whatever comes from outside goes through ``clean`` here, once.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from qsuite_console.model.text import clean

_NARROWEST = 8


class ReaderLeft(Exception):
    """Whoever read stdout has gone; not an OSError, which click would turn into its own exit code."""


def line(text: object = "") -> None:
    """Write one line of the result."""
    _write(clean(text, 100_000))


def block(text: str) -> None:
    """Write text of several lines of our own making: a page, a script, a file."""
    _write(text.rstrip("\n"))


def document(value: Any) -> None:
    """Write one JSON document; indented for people, on one line for pipes. Takes what msgspec takes."""
    import msgspec

    encoded = msgspec.json.encode(value, enc_hook=str)
    if sys.stdout.isatty():
        encoded = msgspec.json.format(encoded, indent=2)
    _write(encoded.decode("utf-8"))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, flexible: int | None = None) -> None:
    """Write rows under a heading; on a terminal the column ``flexible`` is cut so that lines don't wrap."""
    cells = [[clean("" if cell is None else cell, 500) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in [list(columns), *cells]) for at in range(len(columns))]
    if flexible is not None and sys.stdout.isatty():
        free = shutil.get_terminal_size().columns - sum(widths) - 2 * (len(widths) - 1) + widths[flexible]
        widths[flexible] = max(min(widths[flexible], free), _NARROWEST)
    for row in [list(columns), *cells]:
        fitted = [_fit(cell, width) for cell, width in zip(row, widths, strict=True)]
        _write("  ".join(cell.ljust(width) for cell, width in zip(fitted, widths, strict=True)).rstrip())


def pairs(values: Mapping[str, object] | Iterable[tuple[str, object]]) -> None:
    """Write labelled values, one a line."""
    items = list(values.items() if isinstance(values, Mapping) else values)
    width = max((len(name) for name, _ in items), default=0)
    for name, value in items:
        _write(f"{clean(name, 200).ljust(width)}  {clean(value, 2000)}".rstrip())


def note(text: object) -> None:
    """Write one line about the work to stderr."""
    _to_stderr(clean(text))


def warning(text: object) -> None:
    """Write one line that a person should heed to stderr."""
    _to_stderr(f"{_painted('warning:', '33')} {clean(text)}")


def error(message: object, hint: str = "") -> None:
    """Write what is wrong and what to do to stderr."""
    _to_stderr(f"{_painted('error:', '31')} {clean(message)}")
    if hint:
        _to_stderr(f"{_painted('hint:', '36')} {clean(hint)}")


def instant(value: datetime | None) -> str:
    """Return an instant as people read it, in the machine's own zone; nothing for None."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if value else ""


def ago(value: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago something was: "3m 20s ago"."""
    return f"{duration(((now or datetime.now(UTC)) - value).total_seconds())} ago" if value else ""


def duration(seconds: float | None) -> str:
    """Return seconds as people read them: 0.3s, 12s, 3m 20s, 2h 05m, 4d 03h."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02d}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def number(value: object) -> str:
    """Return a number with thin grouping, anything else as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if isinstance(value, int) or value == int(value) else f"{value:,.2f}"


def is_plain(stream: Any) -> bool:
    """Return whether the stream must get neither colour nor cursor movement."""
    return not stream.isatty() or os.environ.get("TERM", "dumb") in ("", "dumb")


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _painted(text: str, colour: str) -> str:
    if is_plain(sys.stderr) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def _write(text: str) -> None:
    stream = sys.stdout
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    except BrokenPipeError as error:
        raise ReaderLeft from error


def _to_stderr(text: str) -> None:
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stderr.flush()


def flush() -> None:
    """Hand what was written to whoever reads it, now."""
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderLeft from error
