"""Hears what is published on channels of Redis; a connection that stays silent is asked whether it is still there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from redis.asyncio.connection import Connection
from redis.exceptions import RedisError, ResponseError, TimeoutError

from qsuite_console.cache.errors import translate
from qsuite_console.cache.panels import Panel, refusal

SILENCE_S: Final = 10.0


class Listening:
    """Has a panel's connection to itself until the block ends."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._connection: Connection | None = None

    async def __aenter__(self) -> Listening:
        """Connect; raises CacheError."""
        self._connection = await self._panel.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Cut the connection."""
        await self._panel.close()

    async def subscribe(self, patterns: Sequence[str]) -> None:
        """Hear the channels that match a pattern; raises CacheError, also when that is refused."""
        command = ("PSUBSCRIBE", *patterns)
        try:
            await self._wired.send_command(*command)
            for _ in patterns:
                if await self._wired.read_response(disable_decoding=True, timeout=self._panel.timeout_s) is None:
                    raise TimeoutError
        except ResponseError as error:
            raise refusal(error, command, where=self._panel.where, user=self._panel.user) from error
        except (RedisError, OSError) as error:
            raise translate(error, self._panel.where) from error

    async def message(self) -> bytes:
        """Return the next message, however long it takes; raises CacheError when the connection is gone."""
        is_asked = False
        while True:
            try:
                answer = await self._wired.read_response(disable_decoding=True, timeout=SILENCE_S)
                if answer is None:
                    if is_asked:
                        raise TimeoutError
                    await self._wired.send_command("PING")
            except (RedisError, OSError) as error:
                raise translate(error, self._panel.where) from error
            is_asked = answer is None
            if isinstance(answer, list) and answer and answer[0] == b"pmessage":
                return bytes(answer[3])

    @property
    def _wired(self) -> Connection:
        assert self._connection is not None, "entered first"
        return self._connection
