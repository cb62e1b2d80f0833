"""What PostgreSQL and the way to it can do to us, each as one clear line, and told apart: passing or permanent.

``translate`` is the only place that knows SQLSTATEs; everything above asks ``is_transient``.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import Final

import asyncpg

from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean


class DatabaseError(ConsoleError):
    """A PostgreSQL failure. ``is_transient``: trying again later may help; ``sqlstate`` is "" below the protocol."""

    def __init__(self, message: str, *, hint: str = "", sqlstate: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sqlstate = sqlstate


class DatabaseDown(DatabaseError):
    """Not reachable, refusing connections, restarting, or the connection was lost."""

    is_transient = True
    after_s = 2.0


class DatabaseSlow(DatabaseError):
    """No answer within the time allowed."""

    is_transient = True
    after_s = 2.0


class DatabaseBusy(DatabaseError):
    """A lock, a deadlock, a serialisation failure or no free connection stood in the way."""

    is_transient = True
    after_s = 5.0


class DatabaseFull(DatabaseError):
    """The server's disk is full: retried slowly, never hot."""

    is_transient = True
    after_s = 60.0


class DatabaseReadOnly(DatabaseError):
    """The server takes no writes: a standby, or a target set read-only."""

    is_transient = True
    after_s = 2.0


class DatabaseRefused(DatabaseError):
    """Wrong password, unknown role or database, or a missing privilege."""


class DatabaseSchemaMismatch(DatabaseError):
    """A table, column or function that is needed is not there."""


class DatabaseRejected(DatabaseError):
    """The server refused a statement or its data."""


class DatabaseMisconfigured(DatabaseError):
    """The connection settings themselves can't be used."""


_DOWN_STATES: Final = ("08", "57P")
# What the driver says of a connection that was cut under a statement: one of these, by the moment of the cut.
_DOWN_WORDS: Final = (
    "closed",
    "cannot switch to state",
    "another operation is in progress",
    "connection was closed",
    "released back to the pool",
)


def translate(error: BaseException, where: str) -> DatabaseError:
    """Return ``error`` as one of the classes above; ``where`` is host:port/database without credentials."""
    if isinstance(error, DatabaseError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        return _from_server(error, where)
    if isinstance(error, TimeoutError):
        return DatabaseSlow(
            f"PostgreSQL at {where} did not answer in time", hint="check its load and the network, then try again"
        )
    if isinstance(error, OSError):
        return _from_network(error, where)
    text = clean(error, 300)
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return DatabaseReadOnly(f"PostgreSQL at {where}: {text}", hint="point the console at the primary")
    if isinstance(error, asyncpg.ClientConfigurationError | ValueError) and not _is_lost(error):
        # A ValueError may quote a piece of the DSN, and that piece may be the password.
        detail = text if isinstance(error, asyncpg.ClientConfigurationError) else "the address is malformed"
        return DatabaseMisconfigured(
            f"the database connection settings can't be used: {detail}",
            hint="DATABASE_URL is postgresql://user:password@host:port/database",
        )
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError) and _is_lost(error):
        return DatabaseDown(f"the connection to PostgreSQL at {where} was lost", hint="it is opened again by itself")
    return DatabaseRejected(f"PostgreSQL at {where}: {type(error).__name__}: {text}")


def is_database_failure(error: BaseException) -> bool:
    """Return whether ``error`` comes from the driver or the way to the server (and may be translated)."""
    return isinstance(
        error, asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | TimeoutError
    )


def is_unique_violation(error: BaseException) -> bool:
    """Return whether a statement failed because a row with that key is there already."""
    return isinstance(error, asyncpg.UniqueViolationError)


def _is_lost(error: BaseException) -> bool:
    text = str(error)
    return any(word in text for word in _DOWN_WORDS)


def _from_network(error: OSError, where: str) -> DatabaseDown:
    if isinstance(error, socket.gaierror):
        return DatabaseDown(f"the host of PostgreSQL at {where} can't be resolved", hint="check the name and DNS")
    if isinstance(error, ssl.SSLError):
        return DatabaseDown(
            f"no TLS connection to PostgreSQL at {where}: {clean(error.reason or error, 120)}", hint="check sslmode"
        )
    reason = "the connection failed"
    if isinstance(error, ConnectionRefusedError) or error.errno == errno.ECONNREFUSED:
        reason = "nothing listens there (connection refused)"
    elif isinstance(error, FileNotFoundError):
        reason = "there is no such socket"
    elif error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        reason = "no route to it"
    elif "Multiple exceptions" in str(error) or "Connect call failed" in str(error):
        reason = "nothing listens there (connection refused)"
    elif isinstance(error, ConnectionError):
        reason = "the connection was lost"
    return DatabaseDown(
        f"PostgreSQL at {where} is not reachable: {reason}", hint="check that it runs and DATABASE_URL points at it"
    )


def _from_server(error: asyncpg.PostgresError, where: str) -> DatabaseError:
    state = error.sqlstate or ""
    text = clean(str(error).partition("\nDETAIL: ")[0], 300)
    if state == "42501":
        return DatabaseRefused(f"PostgreSQL at {where}: {text}", hint=_grant(text), sqlstate=state)
    for prefix, (kind, message, hint) in _BY_STATE.items():
        if state.startswith(prefix):
            return kind(message.format(where=where, text=text), hint=hint, sqlstate=state)
    if state.startswith(_DOWN_STATES):
        return DatabaseDown(f"PostgreSQL at {where}: {text}", hint="it is tried again by itself", sqlstate=state)
    hint = clean(error.hint, 200) if getattr(error, "hint", None) else ""
    return DatabaseRejected(f"PostgreSQL at {where} refused a statement: {text}", hint=hint, sqlstate=state)


_DENIED: Final = re.compile(r"permission denied for (\w+(?: \w+)*?) \"?([^\"\s]+)\"?$")
_GRANTS: Final = {
    "table": "GRANT SELECT ON {name} (to fill it INSERT and UPDATE too)",
    "relation": "GRANT SELECT ON {name} (to fill it INSERT and UPDATE too)",
    "view": "GRANT SELECT ON {name}",
    "schema": "GRANT USAGE ON SCHEMA {name} (to make tables in it CREATE too)",
    "sequence": "GRANT USAGE ON SEQUENCE {name}",
    "function": "GRANT EXECUTE ON FUNCTION {name}",
    "database": "GRANT CREATE, TEMPORARY ON DATABASE {name}",
}


def _grant(text: str) -> str:
    """Return what the role of the settings lacks, as the statement that gives it."""
    found = _DENIED.search(text)
    grant = _GRANTS.get(found[1]) if found else None
    if found is None or grant is None:
        return "use the owner's role, or one that the owner has granted it to"
    statement, _, also = grant.format(name=found[2]).partition(" (")
    return f"its owner can {statement} TO this role" + (f" ({also}" if also else "")


_BY_STATE: Final[dict[str, tuple[type[DatabaseError], str, str]]] = {
    "28P01": (
        DatabaseRefused,
        "PostgreSQL at {where} refused the password",
        "check DATABASE_URL or pgpass",
    ),
    "28": (DatabaseRefused, "PostgreSQL at {where} refused the login: {text}", "check the user name and pg_hba.conf"),
    "3D000": (DatabaseRefused, "PostgreSQL at {where}: {text}", "create the database or correct its name"),
    "42P01": (
        DatabaseSchemaMismatch,
        "PostgreSQL at {where}: {text}",
        "`qsuite-console db init` creates the platform's tables; other names go into [tables] of the settings",
    ),
    "42703": (DatabaseSchemaMismatch, "PostgreSQL at {where}: {text}", "run `qsuite-console doctor`"),
    "3F000": (DatabaseSchemaMismatch, "PostgreSQL at {where}: {text}", "run `qsuite-console db init`"),
    "53100": (DatabaseFull, "the disk of PostgreSQL at {where} is full: {text}", "free space there, then retry"),
    "53300": (DatabaseBusy, "PostgreSQL at {where} has no free connection", "raise max_connections or close sessions"),
    "53": (DatabaseBusy, "PostgreSQL at {where} is short of resources: {text}", "look at its memory and disk"),
    "55P03": (DatabaseBusy, "a lock stood in the way at {where}: {text}", "see who holds it on the Database screen"),
    "40": (DatabaseBusy, "PostgreSQL at {where} rolled back: {text}", "it is tried again by itself"),
    "57014": (DatabaseSlow, "a statement took too long at {where}: {text}", "look at its load and locks"),
    "25006": (DatabaseReadOnly, "PostgreSQL at {where} takes no writes: {text}", "point the console at the primary"),
}
