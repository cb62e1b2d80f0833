"""The panels' own connection: one for all of them, one exchange at a time, cut when it is late and opened anew.

It speaks RESP2 without the driver's conversions, so that an answer looks the same whatever server gives it. A user
without the right to name a connection is served all the same. What may not be read becomes an Unread that names the
command and the ACL rule.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError, ResponseError

from qsuite_console.cache.errors import CacheError, CacheRefused, CacheUnauthorized, translate
from qsuite_console.cache.lookups import OwnLookups
from qsuite_console.model.advice import Unread
from qsuite_console.model.text import clean

Word = str | bytes | int
Command = Sequence[Word]
_PARTS: Final = frozenset({"CLIENT", "CONFIG", "SLOWLOG", "LATENCY", "MEMORY", "OBJECT", "ACL", "XINFO"})

_NAMED: Final = re.compile(r"run the '([a-zA-Z|_-]+)' command")


class Panel:
    """Asks one server over one connection. Safe for several tasks of one loop: they take turns."""

    def __init__(
        self,
        options: Callable[[], Mapping[str, Any]],
        lookups: OwnLookups,
        *,
        where: str,
        user: str,
        name: str,
        timeout_s: float,
    ) -> None:
        self.where = where
        self.user = user
        self.name = name
        self.lookups = lookups
        self._options = options
        self.timeout_s = timeout_s
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send all commands at once and return an answer, or the CacheError it was refused with, for each.

        Raises CacheError when the server can't be asked at all.
        """
        async with self._turn:
            was_open = self._connection is not None
            try:
                async with asyncio.timeout(self.timeout_s + 0.5):
                    try:
                        return await self._exchange(await self._connected(), commands)
                    except ConnectionError:
                        if not was_open:
                            raise
                        await self._cut()  # it was closed while idle; only questions are asked here: ask again
                        return await self._exchange(await self._connected(), commands)
            except (RedisError, OSError) as error:
                await self._cut()
                raise translate(error, self.where) from error
            except BaseException:  # cancelled half-way: what comes next belongs to another question
                await self._cut()
                raise

    @property
    def is_open(self) -> bool:
        """Return whether there is a connection now."""
        return self._connection is not None

    async def close(self) -> None:
        """Cut the connection; the next question opens another."""
        await self._cut()

    async def open(self) -> Connection:
        """Return the connection, for whoever has this panel alone; raises CacheError."""
        try:
            async with asyncio.timeout(self.timeout_s + 0.5):
                return await self._connected()
        except (RedisError, OSError) as error:
            await self._cut()
            raise translate(error, self.where) from error

    async def _exchange(self, connection: Connection, commands: Sequence[Command]) -> list[Any]:
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        self.lookups.commands += len(commands)
        answers: list[Any] = []
        for command in commands:
            try:
                answer = await connection.read_response(disable_decoding=True)
                answers.append(answer)
                self.lookups.note(str(command[0]), answer)
            except ResponseError as error:
                answers.append(refusal(error, command, where=self.where, user=self.user))
        return answers

    async def _connected(self) -> Connection:
        if self._connection is None:
            options = dict(self._options())
            kind = options.pop("connection_class", Connection)
            made = kind(
                **options,
                socket_timeout=self.timeout_s,
                socket_connect_timeout=self.timeout_s,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                client_name=None,
            )
            self._connection = made
            await made.connect()
            await name_connection(made, self.name)
            await _prepare(made, "NO-TOUCH", "ON")  # to be looked at makes no key younger for eviction; 7.2 and later
        return self._connection

    async def _cut(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


async def name_connection(connection: Any, name: str) -> None:
    """Name a fresh connection in CLIENT LIST; a user who may not do that has a nameless one."""
    await _prepare(connection, "SETNAME", name)


async def _prepare(connection: Any, *words: str) -> None:
    await connection.send_command("CLIENT", *words)
    try:
        await connection.read_response()
    except ResponseError:
        return


@dataclass(slots=True)
class Look:
    """One panel's question: what could not be read and what it cost are gathered while it is answered."""

    panel: Panel
    unread: list[Unread] = field(default_factory=list)
    cost_ms: float = 0.0  # time spent waiting for the server

    async def many(self, commands: Sequence[Command]) -> list[Any]:
        """Return an answer or a CacheError for each; raises CacheError when the server can't be asked."""
        if not commands:
            return []
        began = time.perf_counter()
        try:
            return await self.panel.exchange(commands)
        finally:
            self.cost_ms += (time.perf_counter() - began) * 1000

    async def ask(self, *command: Word) -> Any:
        """Return the answer; raises CacheError, also when it is refused."""
        answer = (await self.many([command]))[0]
        if isinstance(answer, CacheError):
            raise answer
        return answer

    async def allowed(self, what: str, *command: Word) -> Any:
        """Return the answer, or None where it is refused: ``what`` then joins the unread."""
        answer = (await self.many([command]))[0]
        if isinstance(answer, CacheError):
            self.miss(what, answer)
            return None
        return answer

    def miss(self, what: str, error: CacheError) -> None:
        """Note once that something could not be read, why, and what to do."""
        if all(one.what != what for one in self.unread):
            self.unread.append(Unread(what=what, why=error.message, hint=error.hint))


def refusal(error: ResponseError, command: Command, *, where: str, user: str) -> CacheError:
    """Return what a refused command means: whom it is refused, and the ACL rule that allows it; never a key."""
    text, asked = str(error), spoken(command)
    if named := _NAMED.search(text):  # in a transaction another command than the last may be the one
        asked = named[1].upper().replace("|", " ")
    if "no permissions" in text.lower() or text.startswith("NOPERM"):
        if "channel" in text.lower():
            return CacheUnauthorized(
                f"the user {user} may not use a channel that {asked} needs", hint=f"ACL SETUSER {user} allchannels"
            )
        if "key" in text.lower() and "command" not in text.lower():
            return CacheUnauthorized(
                f"the user {user} may not read that key", hint=f"ACL SETUSER {user} %R~* (or a narrower pattern)"
            )
        rule = asked.lower().replace(" ", "|")
        return CacheUnauthorized(f"the user {user} may not run {asked}", hint=f"ACL SETUSER {user} +{rule}")
    if "unknown command" in text.lower() or "unknown subcommand" in text.lower():
        return CacheRefused(f"the server has no command {asked}", hint="it is switched off, renamed or newer than it")
    if text.startswith("MOVED"):
        return CacheRefused(
            "the key lives on another node of the cluster", hint="point REDIS_URL at the node that has it"
        )
    return translate(error, where)


def spoken(command: Command) -> str:
    """Return the name of a command with its subcommand: "SLOWLOG GET"."""
    words = [
        clean(word.decode("utf-8", "replace") if isinstance(word, bytes) else word, 30).upper() for word in command[:2]
    ]
    return " ".join(words) if len(words) == 2 and words[0] in _PARTS else words[0]


def parse_info(answer: bytes) -> dict[str, Any]:
    """Return INFO's lines as a flat mapping: numbers where they are numbers, a mapping for "keys=1,expires=0"."""
    found: dict[str, Any] = {}
    for line in answer.decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if not colon or line.startswith("#"):
            continue
        if "=" in value and not name.startswith(("executable", "config_file")):
            parts = (part.partition("=") for part in value.split(","))
            found[name] = {key: _number(text) for key, _, text in parts}
        else:
            found[name] = _number(value)
    return found


def _number(text: str) -> int | float | str:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text
