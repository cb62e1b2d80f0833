"""Operations through the gate, on the engine's loop: looked at, confirmed, written down, done within a limit.

An attempt is in the audit before it is made. Whoever asked may go away meanwhile: it is brought to its end all the
same, and so is its entry. Refused (nothing was changed), failed, and timed out (nobody knows) are told apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from qsuite_console.engine import parameters
from qsuite_console.engine.gate import Gate
from qsuite_console.engine.ports import Operation
from qsuite_console.engine.trouble import Trouble
from qsuite_console.logs import REDACTOR
from qsuite_console.model.errors import (
    Conflict,
    ConsoleError,
    HistoryUnavailable,
    NotFound,
    ReadOnly,
    TimedOut,
    Unconfirmed,
    UsageProblem,
)
from qsuite_console.model.operations import OperationInfo, Outcome, Proposal
from qsuite_console.model.text import clean

_LISTED: Final = 50  # items of a list that the audit names
_LONGEST: Final = 1000
REFUSALS: Final = (Conflict, NotFound, ReadOnly, Unconfirmed, UsageProblem)
log = logging.getLogger(__name__)


@runtime_checkable
class Judging(Protocol):
    """An operation of which what is asked for decides whether it changes the target: a schedule of reports does not."""

    def changing(self, parameters: Any) -> str:
        """Return what would change the target, as in "vacuum jobs", "" for nothing; pure. Raises NotFound."""
        ...


class Operating:
    """One per engine. ``infos`` may be read from any thread."""

    def __init__(self, operations: Mapping[str, Operation], gate: Gate, trouble: Trouble) -> None:
        self._operations = dict(operations)
        self._judges = {name: each for name, each in self._operations.items() if isinstance(each, Judging)}
        self._gate = gate
        self._trouble = trouble
        self._under_way: set[asyncio.Task[Outcome]] = set()
        self.infos = tuple(_info(operation) for _, operation in sorted(self._operations.items()))

    async def propose(self, name: str, given: Mapping[str, Any], origin: str) -> Proposal:
        """Return what the operation would do now, with what must be typed to confirm it."""
        operation = self._operation(name)
        kind = operation.kind
        decoded, is_change = await self._admit(operation, given, origin)
        try:
            async with asyncio.timeout(kind.timeout_s) as limit:
                proposal = await operation.propose(decoded)
        except TimeoutError as error:
            if not limit.expired():
                raise _failure(operation, error) from error
            raise TimedOut(
                f"{kind.title}: no answer within {kind.timeout_s:g} s; nothing was changed",
                hint="the system it asks may be down or busy",
            ) from error
        except ConsoleError:
            raise
        except Exception as error:
            raise _failure(operation, error) from error
        return msgspec.structs.replace(
            proposal,
            operation=name,
            parameters=msgspec.to_builtins(proposal.parameters or decoded),
            typed=self._gate.typed(changes_target=is_change),
        )

    async def perform(self, name: str, given: Mapping[str, Any], confirmation: str, origin: str) -> Outcome:
        """Do it; the attempt and its result are in the audit, also when the caller is gone."""
        operation = self._operation(name)
        decoded, _ = await self._admit(operation, given, origin, confirmation)
        task = asyncio.create_task(self._perform(operation, decoded, origin), name=f"operation-{name}")
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def finish(self) -> None:
        """Let what is under way come to its end: within the time limits of the operations."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    def _ended(self, task: asyncio.Task[Outcome]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked hears of it, or has gone away

    def _operation(self, name: str) -> Operation:
        operation = self._operations.get(name)
        if operation is None:
            known = ", ".join(sorted(self._operations)) or "none"
            raise NotFound(f"there is no operation {clean(name, 60)}", hint=f"known are {known}")
        return operation

    async def _admit(
        self, operation: Operation, given: Mapping[str, Any], origin: str, confirmation: str | None = None
    ) -> tuple[msgspec.Struct, bool]:
        """Return the parameters, and whether the target would be changed; a refusal is written down and raised.

        ``confirmation`` None: only proposed.
        """
        kind = operation.kind
        judge = self._judges.get(kind.name)
        try:
            decoded = None if judge is None else parameters.decode(kind.parameters, given)
            what = kind.title.lower()
            changing = what if judge is None else judge.changing(decoded)
            is_change = kind.changes_target and bool(changing)
            self._gate.check_operation(changing, changes_target=is_change)
            if confirmation is not None:
                self._gate.check_confirmation(what, confirmation, changes_target=is_change)
            if decoded is None:
                decoded = parameters.decode(kind.parameters, given)
        except ConsoleError as error:
            if confirmation is not None or not isinstance(error, UsageProblem):
                await self._gate.record(origin, kind.name, subject_of(given), f"refused: {error.message}")
            raise
        return decoded, is_change

    async def _perform(self, operation: Operation, decoded: msgspec.Struct, origin: str) -> Outcome:
        kind = operation.kind
        try:
            number = await self._gate.ask(origin, kind.name, subject_of(msgspec.structs.asdict(decoded)))
        except HistoryUnavailable as error:
            self._trouble.report(error)
            raise HistoryUnavailable(
                f"{kind.title} is not done: it can't be written down first; {error.message}", hint=error.hint
            ) from error
        try:
            async with asyncio.timeout(kind.timeout_s) as limit:
                outcome = await operation.perform(decoded)
        except asyncio.CancelledError:
            await self._gate.conclude(number, "unknown: the engine was stopped meanwhile; look at the target")
            raise
        except Exception as error:
            told = _timed_out(operation) if limit.expired() else _failure(operation, error)
            await self._gate.conclude(number, f"{_verdict(told)}: {told.message}")
            if told is error:
                raise
            raise told from error
        await self._gate.conclude(number, f"{'done' if outcome.is_done else 'not done'}: {outcome.message}")
        return msgspec.structs.replace(outcome, operation=kind.name)


def subject_of(given: Mapping[str, Any]) -> str:
    """Return parameters as the audit names them: "pid 4711, backend_start 2026-…"; secrets of the settings masked."""
    return ", ".join(f"{name} {_shown(value)}" for name, value in given.items())


def _shown(value: Any) -> str:
    """Return a value in words; of a batch of records only how many there are, since it may be large."""
    if isinstance(value, list | tuple) and len(value) > _LISTED:
        return f"{len(value):,} items"
    return REDACTOR.mask(str(msgspec.to_builtins(value, enc_hook=str)))[:_LONGEST]


def _info(operation: Operation) -> OperationInfo:
    kind = operation.kind
    return OperationInfo(
        name=kind.name,
        title=kind.title,
        help=kind.help,
        parameters=parameters.describe(kind.parameters),
        changes_target=kind.changes_target,
        timeout_s=kind.timeout_s,
    )


def _verdict(error: ConsoleError) -> str:
    if isinstance(error, TimedOut):
        return "timed out"
    return "refused" if isinstance(error, REFUSALS) else "failed"


def _timed_out(operation: Operation) -> TimedOut:
    kind = operation.kind
    return TimedOut(
        f"{kind.title} did not end within {kind.timeout_s:g} s; whether it took effect is not known",
        hint="look at the target before repeating it",
    )


def _failure(operation: Operation, error: Exception) -> ConsoleError:
    if isinstance(error, ConsoleError):
        return error
    log.error("operation %s failed", operation.kind.name, exc_info=error)
    text = clean(error, 200)
    return ConsoleError(
        f"{operation.kind.title} failed: {type(error).__name__}{f': {text}' if text else ''}",
        hint="the log has the details",
    )
