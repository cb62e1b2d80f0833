"""The one place where a change is allowed or refused, and written down: every entrance passes here (requirement P1)."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from typing import Final

from qsuite_console.engine.ports import Store
from qsuite_console.engine.state import TargetView
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError, ReadOnly, Unconfirmed
from qsuite_console.model.jobs import JobAction
from qsuite_console.model.runs import ASKED, AuditEntry
from qsuite_console.model.text import clean

_STARTING: Final = frozenset({JobAction.RESUME, JobAction.RETRY})
log = logging.getLogger(__name__)


def who() -> str:
    """Return who this process runs as: "ada@host"."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container without a passwd entry
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


class Gate:
    """Decides about changes of one target and keeps the audit.

    Read-only protects the platform. The console's own books stay the operator's: stopping work, pausing queues and
    deleting finished jobs are allowed there too, and the audit keeps them.
    """

    def __init__(self, store: Store, target: TargetView, clock: Clock) -> None:
        self._store = store
        self._target = target
        self._clock = clock
        self._who = who()

    def check_start(self, kind: str, *, changes_data: bool) -> None:
        """Raise ReadOnly where a job of this kind may not run."""
        if changes_data and self._target.is_read_only:
            raise ReadOnly(
                f"the target {self._target.name} is read-only: {kind} would change data",
                hint="set target.read_only = false for it, or choose another target",
            )

    def check_action(self, action: JobAction, kind: str, *, changes_data: bool) -> None:
        """Raise ReadOnly where an action would start work that changes data; stopping work is always allowed."""
        if action in _STARTING:
            self.check_start(kind, changes_data=changes_data)

    def check_operation(self, what: str, *, changes_target: bool) -> None:
        """Raise ReadOnly where an operation may not be done, nor proposed: nothing of it reaches the target."""
        if changes_target and self._target.is_read_only:
            raise ReadOnly(
                f"the target {self._target.name} is read-only: {what} would change it",
                hint="set target.read_only = false for it, or choose another target",
            )

    def typed(self, *, changes_target: bool) -> str:
        """Return what must be typed to confirm a change: a production target's name, else nothing."""
        return self._target.name if changes_target and self._target.is_production else ""

    def check_confirmation(self, what: str, confirmation: str, *, changes_target: bool) -> None:
        """Raise Unconfirmed where the target's name must be typed and was not, and where another name was."""
        name, given = self._target.name, confirmation.strip()
        if given and given != name:
            raise Unconfirmed(
                f"the target is {name}, not {clean(given, 40)}: {what} is not done",
                hint="choose the target you mean, or confirm by its name",
            )
        if not given and self.typed(changes_target=changes_target):
            raise Unconfirmed(
                f"the target {name} is production and its name was not typed: {what} is not done",
                hint=f"confirm by its name: {name}",
            )

    async def ask(self, origin: str, action: str, subject: str) -> int:
        """Keep an attempt before it is made and return its number; raises HistoryUnavailable if that can't be."""
        return await self._store.audit(self.entry(origin, action, subject, ASKED), is_essential=True)

    async def conclude(self, number: int, result: str) -> None:
        """Keep what came of an attempt; a history that refuses loses it to the log."""
        try:
            await self._store.conclude(number, clean(result, 200))
        except ConsoleError as error:
            log.warning("result of audit entry %d not kept (%s): %s", number, error.message, clean(result, 200))

    async def record(self, origin: str, action: str, subject: str, result: str) -> None:
        """Keep what changed nothing itself (a refusal, a wish); a full disk loses the entry to the log."""
        entry = self.entry(origin, action, subject, result)
        try:
            await self._store.audit(entry)
        except ConsoleError as error:
            log.warning("audit not kept (%s): %s", error.message, entry)

    def entry(self, origin: str, action: str, subject: str, result: str) -> AuditEntry:
        """Return who asked for what, where from, and what came of it: a row for the transaction of the change."""
        return AuditEntry(
            at=self._clock.now(),
            who=self._who,
            origin=clean(origin, 80),
            action=action,
            subject=clean(subject, 200),
            result=clean(result, 200),
        )
