"""Connections that read many replies at once: the driver's own loop costs several times what parsing a reply does."""

from __future__ import annotations

import functools
from typing import Any

from redis.asyncio.connection import AbstractConnection


class Replies(AbstractConnection):
    """What is mixed into the driver's connection, whatever its transport (TCP, TLS, Unix socket)."""

    async def replies(self, count: int) -> list[object]:
        """Return the next ``count`` replies, refusals among them as ``ResponseError`` objects; has no time limit."""
        parser: Any = self._parser  # its base class does not say that every parser reads
        read = parser.read_response
        return [await read(disable_decoding=True) for _ in range(count)]


@functools.cache
def reading_many(base: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return a connection class like ``base`` that has ``replies``."""
    return type(f"Many{base.__name__}", (Replies, base), {})
