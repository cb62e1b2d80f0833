"""``database.apply-setting`` and ``database.reset-setting``: one setting of PostgreSQL, for the whole server.

What was shown before is checked again before anything is written, and what counts afterwards is read back: a value the
server's command line overrides, or that waits for a restart, is never called applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.db.errors import DatabaseRejected
from qsuite_console.db.tuning import ServerSetting, alter, near, read_setting, refusal
from qsuite_console.engine.ports import OperationKind
from qsuite_console.model.errors import Conflict, ConsoleError, InvalidParameters, NotFound
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    import asyncpg

    from qsuite_console.workers import Services

_BUDGET_S: Final = 8.0
_BAD_VALUE: Final = "22023"
_FIXED: Final = ("command line", "environment variable", "override")
_COUNTS: Final = {
    "postmaster": "It counts after the next restart of the server; until then it waits.",
    "sighup": "It counts at once, for the whole server.",
    "backend": "It counts for new connections.",
    "superuser-backend": "It counts for new connections.",
}
_SESSIONS: Final = "It counts at once, for every session without a value of its own."
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=63, description="as in pg_settings", examples=["work_mem"])]


class ApplyParameters(msgspec.Struct, frozen=True, kw_only=True):
    """``was``: the value in force when it was proposed; another one by then is a conflict."""

    name: Name
    value: Annotated[str, msgspec.Meta(max_length=1000, description="as in postgresql.conf", examples=["64MB"])]
    was: Annotated[str | None, msgspec.Meta(description="refuse when the value in force is another")] = None


class ResetParameters(msgspec.Struct, frozen=True, kw_only=True):
    """``was``: the value in force when it was proposed."""

    name: Name
    was: Annotated[str | None, msgspec.Meta(description="refuse when the value in force is another")] = None


class SettingRefused(ConsoleError):
    """The console or the server does not let this setting be changed."""


class _Settings:
    """What both operations share."""

    def __init__(self, services: Services) -> None:
        self._database = services.database

    async def _checked(self, connection: asyncpg.Connection, name: str, value: str | None) -> ServerSetting:
        """Return the setting; raises NotFound, InvalidParameters or SettingRefused where it can't be set so."""
        setting = await read_setting(connection, name)
        if setting is None:
            close = ", ".join(await near(connection, name))
            raise NotFound(
                f"PostgreSQL at {self._database.where} has no setting {clean(name, 63)}",
                hint=f"did you mean {close}?" if close else "SELECT name FROM pg_settings lists them",
            )
        why = await refusal(connection, setting, value)
        if why:
            raise SettingRefused(f"{setting.name} is not set from here: {why}", hint="nothing was changed")
        _check_value(setting, value)
        _check_rights(setting)
        if setting.source in _FIXED:
            raise SettingRefused(
                f"{setting.name} was set by the server's {setting.source}, which wins over ALTER SYSTEM",
                hint="change it where the server is started; nothing was changed",
            )
        if setting.is_shadowed and not setting.is_file_seen:
            raise SettingRefused(
                f"the console has a {setting.name} of its own and may not see the server's",
                hint=f"set it with psql, or: GRANT SELECT ON pg_file_settings TO {_quoted(setting.role)}",
            )
        return setting

    async def _change(self, name: str, value: str | None, was: str | None) -> tuple[ServerSetting, ServerSetting]:
        """Return the setting before and after."""
        try:
            async with self._database.session("settings", _BUDGET_S) as connection:
                before = await self._checked(connection, name, value)
                if was is not None and _in_force(before) != was:
                    raise Conflict(
                        f"{before.name} is {_in_force(before)} by now, not {clean(was, 100)}: nothing was changed",
                        hint="look at it again",
                    )
                await alter(connection, before, value)
                after = await read_setting(connection, name)
                assert after is not None
                return before, after
        except DatabaseRejected as error:
            if error.sqlstate != _BAD_VALUE:
                raise
            raise InvalidParameters({"value": error.message}, hint=error.hint or "nothing was changed") from error


class ApplySetting(_Settings):
    """Sets one setting with ALTER SYSTEM and has the server read it."""

    kind = OperationKind(
        name="database.apply-setting",
        title="Apply setting",
        help="Set a setting of PostgreSQL for the whole server (ALTER SYSTEM and reload).",
        parameters=ApplyParameters,
    )

    async def propose(self, parameters: Any) -> Proposal:
        """Say what would change, when it counts and how to go back; raises ConsoleError where it can't be set."""
        wanted: ApplyParameters = parameters
        async with self._database.session("settings", _BUDGET_S) as connection:
            setting = await self._checked(connection, wanted.name, wanted.value)
        now = _in_force(setting)
        return Proposal(
            operation=self.kind.name,
            title=f"Set {setting.name} to {clean(wanted.value, 100)}?",
            lines=(
                f"{self._database.where}: {setting.name} is {now} ({_origin(setting)}). {setting.help}",
                _COUNTS.get(setting.context, _SESSIONS),
                *_caution(setting),
                f"Back again: {_undo(setting)}",
            ),
            do="set it",
            parameters={"name": setting.name, "value": wanted.value, "was": now},
        )

    async def perform(self, parameters: Any) -> Outcome:
        """Write it and read back what counts; raises Conflict, InvalidParameters or DatabaseError."""
        wanted: ApplyParameters = parameters
        before, after = await self._change(wanted.name, wanted.value, wanted.was)
        return _outcome(self.kind.name, before, after, f"set to {clean(wanted.value, 100)}")


class ResetSetting(_Settings):
    """Takes back what ALTER SYSTEM set."""

    kind = OperationKind(
        name="database.reset-setting",
        title="Take a setting back",
        help="Remove what ALTER SYSTEM set for a setting of PostgreSQL, and reload.",
        parameters=ResetParameters,
    )

    async def propose(self, parameters: Any) -> Proposal:
        """Say what would be taken back; raises Conflict when ALTER SYSTEM set nothing."""
        wanted: ResetParameters = parameters
        async with self._database.session("settings", _BUDGET_S) as connection:
            setting = await self._checked(connection, wanted.name, None)
        _check_written(setting)
        now = _in_force(setting)
        return Proposal(
            operation=self.kind.name,
            title=f"Take back {setting.name} = {setting.written or now}?",
            lines=(
                f"{self._database.where}: {setting.name} is {now} ({_origin(setting)}). {setting.help}",
                "What postgresql.conf says counts again, else the server's default. "
                + _COUNTS.get(setting.context, _SESSIONS),
            ),
            do="take it back",
            parameters={"name": setting.name, "was": now},
        )

    async def perform(self, parameters: Any) -> Outcome:
        """Take it back and read what counts; raises Conflict or DatabaseError."""
        wanted: ResetParameters = parameters
        before, after = await self._change(wanted.name, None, wanted.was)
        return _outcome(self.kind.name, before, after, "taken back")


def _check_value(setting: ServerSetting, value: str | None) -> None:
    """Refuse what can be seen to be wrong without writing; the server itself checks the rest before it writes."""
    if value is None:
        return
    if any(ord(character) < 32 for character in value):
        raise InvalidParameters({"value": "holds a line break or another control character"})
    if setting.vartype == "enum" and value.strip().lower() not in setting.choices:
        raise InvalidParameters(
            {"value": f"{clean(value, 60)} is none of {', '.join(setting.choices)}"}, hint="nothing was changed"
        )
    if setting.vartype in ("integer", "real", "bool") and not value.strip():
        raise InvalidParameters({"value": f"{setting.name} needs one"}, hint="reset-setting takes a setting back")


def _check_rights(setting: ServerSetting) -> None:
    role, needed = _quoted(setting.role), []
    if not setting.may_alter:
        if not setting.is_grantable:
            raise SettingRefused(
                f"the role {setting.role} may not use ALTER SYSTEM", hint="before PostgreSQL 15 only superusers may"
            )
        needed.append(f"GRANT ALTER SYSTEM ON PARAMETER {setting.name} TO {role}")
    if not setting.may_reload:
        needed.append(f"GRANT EXECUTE ON FUNCTION pg_reload_conf() TO {role}")
    if needed:
        what = f"set {setting.name}" if not setting.may_alter else "have the configuration read again"
        raise SettingRefused(f"the role {setting.role} may not {what}", hint="; ".join(needed))


def _check_written(setting: ServerSetting) -> None:
    if setting.is_file_seen and setting.written is None:
        raise Conflict(
            f"ALTER SYSTEM has not set {setting.name}: there is nothing to take back",
            hint=f"it is {_in_force(setting)} ({_origin(setting)})",
        )


def _in_force(setting: ServerSetting) -> str:
    """Return the server's value, as SHOW prints it where the console's own session does not hide it."""
    if setting.is_shadowed:
        return setting.written if setting.written is not None else "not set by ALTER SYSTEM"
    return setting.shown


def _origin(setting: ServerSetting) -> str:
    if setting.written is not None:
        return "set by ALTER SYSTEM"
    return {"default": "the default", "configuration file": "from postgresql.conf"}.get(setting.source, setting.source)


def _caution(setting: ServerSetting) -> tuple[str, ...]:
    if setting.source in ("database", "user", "database user"):
        return (f"It is also set for this {setting.source}, which wins for those sessions.",)
    if setting.needs_restart:
        return ("Should the server not start with it, remove its line from postgresql.auto.conf.",)
    return ()


def _undo(setting: ServerSetting) -> str:
    if setting.written is not None:
        return f"set it to {setting.written}"
    return "take it back (ALTER SYSTEM RESET)"


def _outcome(operation: str, before: ServerSetting, after: ServerSetting, done: str) -> Outcome:
    was, now = _in_force(before), _in_force(after)
    waits = after.is_pending
    if waits:
        message = f"{after.name}: {done}; it counts after a restart, until then it is {now}"
    elif before.context in ("backend", "superuser-backend"):
        message = f"{after.name}: {done}; it counts for new connections"
    else:
        message = f"{after.name} is now {now} (was {was})"
    return Outcome(
        operation=operation,
        is_done=True,
        message=message,
        lines=(f"Back again: {_undo(before)}",) if operation == ApplySetting.kind.name else (),
        figures={
            "name": after.name,
            "was": was,
            "now": now,
            "was_written": before.written,
            "written": after.written,
            "pending_restart": waits,
        },
    )


def _quoted(role: str) -> str:
    return '"' + role.replace('"', '""') + '"' if not role.isidentifier() or role != role.lower() else role
