"""Connections that are given up in the very moment they come about, without a line of asyncio's in the log.

While it asks a server for TLS, asyncpg has a future that nobody awaits before the connection is made. A time limit that
ends just then (a server that is back after three seconds answers as the limit of three is over) leaves it with an
exception nobody takes: "Future exception was never retrieved". It is taken here, where the future is made.
"""

from __future__ import annotations

import asyncio
from typing import Any

from asyncpg import connect_utils

_NAME = "TLSUpgradeProto"


def take_exceptions() -> None:
    """Have each future of asyncpg's way to TLS looked at when it is done, whoever awaits it; once is enough."""
    kind: Any = getattr(connect_utils, _NAME, None)
    if kind is not None and not getattr(kind, "is_taken", False):
        setattr(connect_utils, _NAME, _taking(kind))


def _taking(kind: Any) -> Any:
    class Taking(kind):  # type: ignore[misc]  # asyncpg has no types
        is_taken = True

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.on_data.add_done_callback(_take)

    return Taking


def _take(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()  # whoever awaits it hears of it all the same
