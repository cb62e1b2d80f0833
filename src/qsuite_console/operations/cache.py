"""Operations on Redis: delete a key, close a client, change a setting, empty the slow log.

Each proposal says what is there now; perform is handed exactly that and refuses when it no longer holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.cache import changing
from qsuite_console.engine.ports import OperationKind
from qsuite_console.model.errors import Conflict, InvalidParameters
from qsuite_console.model.keys import escape, unescape
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_CONSEQUENCE: Final = {
    "cache": "Programs that read it find nothing until it is written again.",
    "results": "Whoever waits for this result of a task never gets it.",
    "broker": "It belongs to the broker: messages in it are lost, their tasks never run.",
}


class DeleteKeyParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The key by its escaped name; type and length are filled in by the proposal."""

    key: Annotated[
        str,
        msgspec.Meta(
            title="Key", description="its name; other bytes as \\xNN", max_length=16_000, examples=["quotes:AAPL"]
        ),
    ]
    type: Annotated[str, msgspec.Meta(description="refuse when its type is another")] = ""
    length: Annotated[int | None, msgspec.Meta(description="refuse when its length is another")] = None


class DeleteKey:
    """Unlinks one key."""

    kind = OperationKind(
        name="cache.delete-key",
        title="Delete key",
        help="Delete one key of Redis; refused if it changed since it was looked at.",
        parameters=DeleteKeyParameters,
    )

    def __init__(self, services: Services) -> None:
        self._cache = services.cache

    async def propose(self, parameters: DeleteKeyParameters) -> Proposal:
        """Say what the key holds; raises NotFound, CacheError."""
        name = _bytes(parameters.key)
        state = await changing.look_at_key(self._cache, name)
        size = "size unknown" if state.size is None else f"{state.size:,} bytes of memory"
        life = "no TTL" if state.ttl_s is None else f"expires by itself in {_span(state.ttl_s)}"
        return Proposal(
            operation=self.kind.name,
            title="Delete this key?",
            lines=(
                escape(name),
                f"{changing.describe(state.type, state.length)} · {size} · {life}",
                "",
                _CONSEQUENCE[state.use],
                "There is no way back.",
            ),
            do="delete it",
            parameters={"key": escape(name), "type": state.type, "length": state.length},
        )

    async def perform(self, parameters: DeleteKeyParameters) -> Outcome:
        """Delete it if it is still what was proposed; raises NotFound, Conflict, CacheError."""
        name = _bytes(parameters.key)
        _proposed(parameters.type)
        await changing.delete_key(self._cache, name, kind=parameters.type, length=parameters.length)
        what = changing.describe(parameters.type, parameters.length)
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"Key {escape(name[:80])} deleted: {what}",
            figures={"key": escape(name), "type": parameters.type, "length": parameters.length},
        )


class KillClientParameters(msgspec.Struct, frozen=True, kw_only=True):
    """A connection by its number and address, as the list of clients shows them."""

    id: Annotated[int, msgspec.Meta(ge=1, title="Client", description="its number in CLIENT LIST", examples=[42])]
    address: Annotated[
        str, msgspec.Meta(title="Address", description="refuse when its host:port is another", max_length=200)
    ] = ""


class KillClient:
    """Closes one connection."""

    kind = OperationKind(
        name="cache.kill-client",
        title="Close client",
        help="Close the connection of one client of Redis.",
        parameters=KillClientParameters,
    )

    def __init__(self, services: Services) -> None:
        self._cache = services.cache

    async def propose(self, parameters: KillClientParameters) -> Proposal:
        """Say who it is; raises NotFound, Conflict, CacheError."""
        client = await changing.find_client(self._cache, parameters.id)
        if parameters.address and client.address != parameters.address:
            raise Conflict(
                f"client {parameters.id} is {client.address} now, no longer {clean(parameters.address, 80)}",
                hint="its number was given to another connection",
            )
        if client.is_ours:
            raise Conflict("that is a connection of this console", hint="quit the console to close it")
        idle = "?" if client.idle_s is None else _span(client.idle_s)
        age = "?" if client.age_s is None else _span(client.age_s)
        state = f" · {client.state}" if client.state else ""
        return Proposal(
            operation=self.kind.name,
            title=f"Close client {client.id}?",
            lines=(
                f"{client.name or 'no name'} · {client.address} · user {client.user or '?'}{state}",
                f"connected for {age}, idle for {idle}, last command {client.command or '?'}",
                "",
                "A command under way and messages not yet read are lost to it.",
                "A program that reconnects by itself is back at once.",
            ),
            do="close it",
            parameters={"id": client.id, "address": client.address},
        )

    async def perform(self, parameters: KillClientParameters) -> Outcome:
        """Close it if number and address still belong together; raises Conflict, CacheError."""
        _proposed(parameters.address)
        client = await changing.find_client(self._cache, parameters.id)
        if client.is_ours:
            raise Conflict("that is a connection of this console", hint="quit the console to close it")
        await changing.kill_client(self._cache, parameters.id, parameters.address)
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"Client {parameters.id} at {parameters.address} closed",
            figures={"id": parameters.id, "address": parameters.address},
        )


class ApplySettingParameters(msgspec.Struct, frozen=True, kw_only=True):
    """A setting and its new value; ``was`` is filled in by the proposal."""

    name: Annotated[
        str, msgspec.Meta(title="Setting", description="as in CONFIG GET", max_length=60, examples=["maxmemory-policy"])
    ]
    value: Annotated[str, msgspec.Meta(title="Value", description="as in CONFIG SET", max_length=400)] = ""
    was: Annotated[str | None, msgspec.Meta(description="refuse when the value in force is another")] = None


class ApplySetting:
    """Changes one setting of the running server."""

    kind = OperationKind(
        name="cache.apply-setting",
        title="Apply setting",
        help="Change one setting of Redis at once, until its next restart.",
        parameters=ApplySettingParameters,
    )

    def __init__(self, services: Services) -> None:
        self._cache = services.cache

    async def propose(self, parameters: ApplySettingParameters) -> Proposal:
        """Say what it is now; raises InvalidParameters, CacheError."""
        name, value = parameters.name.strip().lower(), _unquoted(parameters.value)
        now, has_file = await changing.read_setting(self._cache, name)
        if now == value:
            raise Conflict(f"{name} is {_shown(value)} already", hint="there is nothing to change")
        kept = (
            "It is lost at the next restart unless CONFIG REWRITE is run on the server."
            if has_file
            else "It is lost at the next restart: the server runs without a configuration file to keep it in."
        )
        return Proposal(
            operation=self.kind.name,
            title=f"Set {name} to {_shown(value)}?",
            lines=(f"now {_shown(now)}", f"then {_shown(value)}, at once, for every client", "", kept),
            do="set it",
            parameters={"name": name, "value": value, "was": now},
        )

    async def perform(self, parameters: ApplySettingParameters) -> Outcome:
        """Set it if it is still what was seen; raises Conflict, InvalidParameters, CacheError."""
        if parameters.was is None:
            _proposed("")
        name, was = parameters.name, parameters.was or ""
        now = await changing.apply_setting(self._cache, name, parameters.value, was=was)
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"{name} is {_shown(now)} now, was {_shown(was)}",
            figures={"name": name, "before": was, "after": now},
        )


class ResetSlowlogParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to choose."""


class ResetSlowlog:
    """Empties the slow log."""

    kind = OperationKind(
        name="cache.reset-slowlog",
        title="Empty slow log",
        help="Forget all entries of Redis' slow log.",
        parameters=ResetSlowlogParameters,
    )

    def __init__(self, services: Services) -> None:
        self._cache = services.cache

    async def propose(self, parameters: ResetSlowlogParameters) -> Proposal:
        """Say how much is forgotten; raises Conflict when there is nothing, CacheError."""
        length = await changing.slow_length(self._cache)
        if not length:
            raise Conflict("the slow log is empty", hint="there is nothing to forget")
        entries = "1 entry is" if length == 1 else f"{length:,} entries are"
        return Proposal(
            operation=self.kind.name,
            title="Empty the slow log?",
            lines=(f"{entries} forgotten, for everybody who looks at it.", "New slow commands are noted as before."),
            do="empty it",
        )

    async def perform(self, parameters: ResetSlowlogParameters) -> Outcome:
        """Empty it; raises CacheError."""
        length = await changing.slow_length(self._cache)
        await changing.reset_slowlog(self._cache)
        figures: dict[str, Any] = {"entries": length}
        return Outcome(
            operation=self.kind.name, is_done=True, message=f"Slow log emptied: {length:,} entries", figures=figures
        )


def _bytes(key: str) -> bytes:
    try:
        return unescape(key)
    except ValueError as error:
        raise InvalidParameters({"key": str(error)}) from error


def _proposed(said: str) -> None:
    """Raise Conflict where perform was not handed what a proposal filled in: there is nothing to check against."""
    if not said:
        raise Conflict("it was not proposed first", hint="perform takes the parameters of a proposal")


def _unquoted(value: str) -> str:
    """Return the value as the server takes it: '""' is how an empty one is written."""
    return "" if value.strip() in ('""', "''") else value.strip()


def _shown(value: str) -> str:
    return clean(value, 100) or '"" (empty)'


def _span(seconds: float) -> str:
    whole = round(seconds)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
