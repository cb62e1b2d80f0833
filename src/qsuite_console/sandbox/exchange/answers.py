"""Refusals in the provider's words, and the record kept of every request."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

_KEPT: Final = 50_000


class Refusal(Exception):
    """A request the exchange turns down: the status and the body's message and code."""

    def __init__(self, status: int, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message} if code is None else {"code": code, "message": message}


def unreadable(name: str, value: str) -> Refusal:
    """Return the refusal of a value that is not what its parameter takes."""
    return Refusal(400, f"invalid {name}: {value}")


def not_allowed(message: str) -> Refusal:
    """Return the refusal of a value that was understood but isn't offered."""
    return Refusal(422, message, 42210000)


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came and how it ended; ``status`` 0 is a connection cut on purpose."""

    number: int
    at: float  # seconds since the epoch
    path: str
    query: dict[str, str] = {}
    status: int
    fault: str = ""
    bars: int = 0
    bad_bars: int = 0
    next_page_token: str | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols asked for."""
        return tuple(self.query.get("symbols", "").split(","))

    @property
    def page_token(self) -> str | None:
        """Return the token it continued from."""
        return self.query.get("page_token") or None

    @property
    def is_bars(self) -> bool:
        """Tell whether it asked for historical bars."""
        return self.path.endswith("/bars")


class RequestLog:
    """The newest requests, oldest first; a bounded list."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=_KEPT)
        self.count = 0

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(tuple(self._records))

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: RequestRecord) -> None:
        """Keep a record."""
        self._records.append(record)

    def next_number(self) -> int:
        """Return the number of a request that has just arrived, from 1."""
        self.count += 1
        return self.count

    def bars(self) -> list[RequestRecord]:
        """Return the requests for historical bars."""
        return [record for record in self if record.is_bars]

    def clear(self) -> None:
        """Forget what was kept; the numbering goes on."""
        self._records.clear()
