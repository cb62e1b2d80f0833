"""Changes one of PostgreSQL's settings with ALTER SYSTEM, and looks whether it counts. The server's own quoting and
checks are used; what could lose data, lock everybody out or run a program is never touched from here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.db import queries
from qsuite_console.db.errors import DatabaseRefused, is_database_failure, translate
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    import asyncpg

LISTS: Final = frozenset(  # members are quoted one by one: together they would be one name
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
LIBRARIES: Final = "shared_preload_libraries"
_CATEGORIES: Final = (
    "File Locations",
    "Connections and Authentication / Authentication",
    "Connections and Authentication / SSL",
    "Connections and Authentication / TCP",
    "Developer Options",
    "Preset Options",
    "Reporting and Logging / Where to Log",
    "Write-Ahead Log / Archive Recovery",
    "Write-Ahead Log / Recovery Target",
)
_CONNECTIONS: Final = frozenset({"max_connections", "superuser_reserved_connections", "reserved_connections"})
_NEVER: Final = frozenset(
    {"local_preload_libraries", "session_preload_libraries", "jit_provider", "archive_library", "dynamic_library_path"}
)
_KEPT_ON: Final[Mapping[str, str]] = {
    "fsync": "a crash of the host could destroy the database",
    "full_page_writes": "a crash of the host could tear pages beyond repair",
    "autovacuum": "dead rows would pile up until the server stops to protect itself",
}
_RELOAD_S: Final = 3.0
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSetting:
    """A setting with what the role may do to it. ``written``: what postgresql.auto.conf holds, None when nothing;
    ``is_file_seen``: whether the role may know. ``is_shadowed``: the console's session has a value of its own.
    """

    name: str
    shown: str
    unit: str
    vartype: str
    context: str
    category: str
    source: str
    help: str
    choices: tuple[str, ...]
    minimum: str
    maximum: str
    is_pending: bool
    role: str
    may_alter: bool
    is_grantable: bool
    may_reload: bool
    loaded: float
    written: str | None
    is_file_seen: bool

    @property
    def needs_restart(self) -> bool:
        """Tell whether a change waits for the next start of the server."""
        return self.context == "postmaster"

    @property
    def is_shadowed(self) -> bool:
        """Tell whether what is shown is of the console's own session."""
        return self.source in ("client", "session")

    def members(self, value: str) -> list[str]:
        """Return what is quoted one by one."""
        return [part.strip() for part in value.split(",")] if self.name in LISTS and value.strip() else [value]


async def read_setting(connection: asyncpg.Connection, name: str) -> ServerSetting | None:
    """Return a setting, None where the server has none of that name."""
    row = await connection.fetchrow(_sql(connection, "tuning_setting"), name)
    if row is None:
        return None
    written, is_seen = await _written(connection, name)
    return ServerSetting(
        name=row["name"],
        shown=row["shown"],
        unit=row["unit"] or "",
        vartype=row["vartype"],
        context=row["context"],
        category=row["category"],
        source=row["source"],
        help=clean(row["short_desc"] or "", 200),
        choices=tuple(row["choices"] or ()),
        minimum=row["min_val"] or "",
        maximum=row["max_val"] or "",
        is_pending=row["pending_restart"],
        role=row["role"],
        may_alter=row["may_alter"],
        is_grantable=row["is_grantable"],
        may_reload=row["may_reload"],
        loaded=row["loaded"],
        written=written,
        is_file_seen=is_seen,
    )


async def near(connection: asyncpg.Connection, name: str) -> Sequence[str]:
    """Return names of settings like one that does not exist."""
    return [row["name"] for row in await connection.fetch(_sql(connection, "tuning_near"), name)]


async def refusal(connection: asyncpg.Connection, setting: ServerSetting, value: str | None) -> str:
    """Return why the console does not set this, whatever the server would say; "" when it may. None is a reset."""
    if setting.context == "internal":
        return "it was fixed when the server was built or its data directory made"
    if _is_off_limits(setting):
        return "where files lie, who gets in, what programs run: that is changed on the server's host"
    if value is None:
        return ""
    if setting.name in _KEPT_ON and value.strip().lower() in ("off", "false", "no", "0", "of", "fa", "f", "n"):
        return _KEPT_ON[setting.name]
    if setting.name == LIBRARIES:
        loaded = set(setting.members(setting.shown))
        new = [library for library in setting.members(value) if library and library not in loaded]
        unknown = [row["value"] for row in await connection.fetch(_sql(connection, "tuning_libraries"), new)]
        if unknown:
            return f"this server has no library {clean(unknown[0], 60)}, and would not start again"
    return ""


async def alter(connection: asyncpg.Connection, setting: ServerSetting, value: str | None) -> None:
    """Write a value for the whole server, or take it back (None), and have the files read again.

    The server checks the value before anything is written. Returns when this session has read the files.
    """
    if value is None:
        statement = await connection.fetchval(_sql(connection, "tuning_reset"), setting.name)
    else:
        members = setting.members(value)
        statement = await connection.fetchval(_sql(connection, "tuning_statement"), setting.name, members)
    await connection.execute(statement)
    await connection.fetchval(_sql(connection, "tuning_reload"))
    async with asyncio.timeout(_RELOAD_S):
        while True:
            row = await connection.fetchrow(_sql(connection, "tuning_setting"), setting.name)
            if row is None or row["loaded"] != setting.loaded:
                return
            await asyncio.sleep(_POLL_S)


def _is_off_limits(setting: ServerSetting) -> bool:
    if setting.category == "Connections and Authentication / Connection Settings":
        return setting.name not in _CONNECTIONS
    is_program = setting.name.endswith("_command") or setting.name in _NEVER
    return is_program or setting.category.startswith(_CATEGORIES)


async def _written(connection: asyncpg.Connection, name: str) -> tuple[str | None, bool]:
    """Return what ALTER SYSTEM wrote, and whether the role may see it."""
    try:
        rows: Sequence[Mapping[str, Any]] = await connection.fetch(_sql(connection, "tuning_written"), name)
    except Exception as error:
        if not is_database_failure(error) or not isinstance(translate(error, ""), DatabaseRefused):
            raise
        return None, False
    own = [row["setting"] for row in rows if row["is_ours"]]
    return (own[-1] if own else None), True


def _sql(connection: asyncpg.Connection, name: str) -> str:
    return queries.load(name, connection.get_server_version().major)
