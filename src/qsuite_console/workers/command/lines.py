"""What a program prints, made into lines for the job's log while it comes: bounded, harmless, nothing kept twice."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Final

from qsuite_console.logs import REDACTOR
from qsuite_console.model.text import clean

LONGEST: Final = 2000  # characters of a line
LAST: Final = 20  # lines that the result quotes
_PENDING: Final = 16_384  # bytes of a line without an end that are looked at
_COST: Final = 40  # bytes a line counts beyond its own: a million empty ones are not free
_BREAK: Final = re.compile(rb"\r\n|\n|\r")
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class Lines:
    """Takes pieces of output and yields the lines to keep, until the limit is reached; counts all the same."""

    def __init__(self, limit_kb: int) -> None:
        self._room = limit_kb * 1024
        self._pending = b""
        self._is_skipping = False  # the rest of a line that was too long
        self._is_after_return = False
        self._last: deque[str] = deque(maxlen=LAST)
        self.count = 0
        self.size = 0  # bytes of output
        self.dropped = 0  # lines that were not kept

    @property
    def last(self) -> list[str]:
        """Return the last lines, those that were not kept included."""
        tail = (
            [text for raw in _BREAK.split(self._pending)[-4 * LAST :] if (text := readable(raw))]
            if self.dropped
            else []
        )
        return [*self._last, *tail][-LAST:]

    def feed(self, piece: bytes) -> Iterator[str]:
        """Yield the lines that are complete now and fit the limit."""
        self.size += len(piece)
        if self._is_after_return and piece.startswith(b"\n"):
            piece = piece[1:]
        self._is_after_return = piece.endswith(b"\r")
        if self.dropped:
            self._count(piece)
            return
        *whole, self._pending = _BREAK.split(self._pending + piece)
        for number, line in enumerate(whole):
            if not self._is_skipping and not self._has_room(line):
                rest = b"\n".join((*whole[number:], self._pending))
                self._pending = b""
                self._count(rest)
                return
            yield from self._line(line)
        if len(self._pending) > _PENDING:
            yield from self._line(self._pending)
            self._is_skipping, self._pending = True, b""

    def close(self) -> Iterator[str]:
        """Yield what stood after the last end of a line."""
        if self._pending and not self.dropped:
            line, self._pending = self._pending, b""
            yield from self._line(line)

    def _line(self, raw: bytes) -> Iterator[str]:
        if self._is_skipping:
            self._is_skipping = False
            return
        self.count += 1
        self._room -= _cost(raw)
        if text := readable(raw):
            self._last.append(text)
            yield text

    def _has_room(self, raw: bytes) -> bool:
        return _cost(raw) <= self._room

    def _count(self, piece: bytes) -> None:
        """Only count and keep the tail: a flood costs next to nothing."""
        lines = piece.count(b"\n") + piece.count(b"\r") - piece.count(b"\r\n")
        self.count += lines
        self.dropped += lines
        self._pending = (self._pending + piece)[-_PENDING:]


def _cost(raw: bytes) -> int:
    return min(len(raw), LONGEST) + _COST


def readable(raw: bytes) -> str:
    """Return a line as text: secrets masked, colours gone, control characters shown, at most ``LONGEST`` characters."""
    text = _ESCAPES.sub("", raw[:_PENDING].decode("utf-8", "replace"))
    return clean(REDACTOR.mask(text), LONGEST).rstrip()
