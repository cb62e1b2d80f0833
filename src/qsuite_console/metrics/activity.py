"""The questions of the Database screen about what goes on now; each is a few looks at the server's memory.

They share the panels' connection and its budget; what can't be read is part of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec.structs import replace

from qsuite_console.db import activity
from qsuite_console.db.explain import CannotExplain, check_statement, explain
from qsuite_console.db.panels import Look
from qsuite_console.engine.parameters import decode
from qsuite_console.model.activity import Activity, Blocking, Explained, SessionDetail, Tasks
from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_DEFAULT_PATH: Final = '"$user", public'
_PERIODS_S: Final = 30.0  # looks further apart say nothing about the time between them
Pid = Annotated[int, msgspec.Meta(ge=1)]


class ActivityParameters(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions at most."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 1000


class NoParameters(msgspec.Struct, frozen=True, kw_only=True):
    """There is nothing to choose."""


class SessionParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which backend."""

    pid: Pid


class ExplainParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The statement of a session, or a statement of one's own."""

    pid: Annotated[int, msgspec.Meta(ge=0)] = 0
    query: Annotated[str, msgspec.Meta(max_length=100_000)] = ""


class _Probe:
    """What the questions share."""

    timeout_s = 4.0

    def __init__(self, services: Services) -> None:
        self._services = services

    def _begin(self) -> Look:
        return self._services.panels.begin(self.timeout_s - 0.5)


class ActivityProbe(_Probe):
    """Answers ``database.activity``."""

    name = "database.activity"

    async def ask(self, parameters: Mapping[str, Any]) -> Activity:
        """Return the sessions, the most pressing first; raises DatabaseError."""
        wanted: ActivityParameters = decode(ActivityParameters, parameters)
        return await activity.read_activity(self._begin(), limit=wanted.limit)


class SessionProbe(_Probe):
    """Answers ``database.session``."""

    name = "database.session"

    async def ask(self, parameters: Mapping[str, Any]) -> SessionDetail:
        """Return one backend with its whole statement and its locks; raises DatabaseError."""
        wanted: SessionParameters = decode(SessionParameters, parameters)
        return await activity.read_session(self._begin(), wanted.pid)


class BlockingProbe(_Probe):
    """Answers ``database.blocking``; remembers since when it has found nobody waiting."""

    name = "database.blocking"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._looks = 0
        self._clear_since: datetime | None = None
        self._looked_at: datetime | None = None

    async def ask(self, parameters: Mapping[str, Any]) -> Blocking:
        """Return who waits for whom; raises DatabaseError."""
        decode(NoParameters, parameters)
        found = await activity.read_blocking(self._begin())
        last, self._looked_at = self._looked_at, found.at
        if found.edges or found.waits:
            self._looks, self._clear_since = 0, None
        elif self._clear_since is None or last is None or (found.at - last).total_seconds() > _PERIODS_S:
            self._looks, self._clear_since = 1, found.at
        else:
            self._looks += 1
        return replace(found, looks=self._looks, clear_since=self._clear_since)


class ProgressProbe(_Probe):
    """Answers ``database.progress``."""

    name = "database.progress"

    async def ask(self, parameters: Mapping[str, Any]) -> Tasks:
        """Return the long commands that say how far they are; raises DatabaseError."""
        decode(NoParameters, parameters)
        return await activity.read_tasks(self._begin())


class ExplainProbe(_Probe):
    """Answers ``database.explain``: a plan, or the reason why there is none."""

    name = "database.explain"
    timeout_s = 7.0

    async def ask(self, parameters: Mapping[str, Any]) -> Explained:
        """Return the plan; raises InvalidParameters for neither or both of pid and query, DatabaseDown."""
        wanted: ExplainParameters = decode(ExplainParameters, parameters)
        if bool(wanted.pid) == bool(wanted.query.strip()):
            raise InvalidParameters({"pid": "name a session or give a statement, one of them"})
        look = self._begin()
        query, path, notes = wanted.query, _DEFAULT_PATH, []
        if wanted.pid:
            rows = await look.rows("explain_subject", wanted.pid)
            refusal, hint = _unfit(wanted.pid, rows[0] if rows else None, look)
            if refusal:
                shown = "" if not rows or rows[0]["is_hidden"] else rows[0]["query"] or ""
                return _answer(look, shown, refusal=refusal, hint=hint)
            query, path = rows[0]["query"], rows[0]["search_path"].replace("$user", rows[0]["user"].replace('"', '""'))
            if rows[0]["state"] != "active":
                notes.append(f"the session is {rows[0]['state']}: this is its last statement")
        try:
            statement = check_statement(query)
            plan, is_generic = await look.run(lambda c: explain(c, statement, search_path=path))
        except CannotExplain as refused:
            return _answer(look, query, refusal=refused.why, hint=refused.hint)
        except ConsoleError as error:
            if not getattr(error, "sqlstate", ""):
                raise
            return _answer(look, query, refusal=error.message, hint=_hint_for(error, look))
        if is_generic:
            notes.append("generic plan: the values of $1 … are not known here, the server may choose another for them")
        notes.append(f"planned by {look.panels.rights.role} with search_path {clean(path, 80)}; nothing was run")
        return _answer(look, query, plan=plan, notes=notes)


def _unfit(pid: int, row: Mapping[str, Any] | None, look: Look) -> tuple[str, str]:
    """Return why a session's statement can't be explained and what to do, both "" when it can."""
    if row is None:
        return f"session {pid} has ended", ""
    if row["is_hidden"]:
        return "the role may not see what other roles run", f"GRANT pg_monitor TO {look.panels.rights.role}"
    if not (row["query"] or "").strip():
        return f"session {pid} has not run a statement yet", ""
    if row["kind"] != "client backend":
        return f"pid {pid} is a process of the server ({row['kind']})", "only sessions of clients have plans"
    if not row["is_here"]:
        return f"it runs in database {clean(row['database'], 60)}", "point the console at that database to explain it"
    if row["is_cut"]:
        why = f"the server keeps only {row['size']} bytes of a statement and this one is longer"
        return why, "raise track_activity_query_size (restart), or explain the text from the application"
    return "", ""


def _hint_for(error: ConsoleError, look: Look) -> str:
    state = getattr(error, "sqlstate", "")
    if state == "42501":
        return f"planning checks privileges: GRANT SELECT on the table to {look.panels.rights.role}"
    if state in ("42P01", "42883", "3F000"):
        return "it may be temporary, or in a schema of the session's own search_path"
    return error.hint


def _answer(
    look: Look,
    query: str,
    *,
    plan: list[str] | None = None,
    notes: list[str] | None = None,
    refusal: str = "",
    hint: str = "",
) -> Explained:
    return Explained(
        at=look.at,
        query=activity.statement_text(query),
        plan=tuple(clean(line, 500) for line in plan or ()),
        notes=tuple(notes or ()),
        refusal=refusal,
        hint=hint,
        unread=look.unread,
        cost_ms=look.cost_ms,
    )
