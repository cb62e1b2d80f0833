"""A declared command as a kind of job: its parameters typed, its plan the exact argument list, its log what it prints.

An external program may do its work twice if it is started twice. So only exit codes that are declared for it lead to
another try, and a run whose engine ended under it is not repeated unless the declaration says that it may be.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from qsuite_console.config.commands import Command, Parameter, obstacle
from qsuite_console.engine.ports import DRAINED, JobContext, JobKind, Permanent, Retryable, SoftTimeLimit
from qsuite_console.logs import REDACTOR
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean
from qsuite_console.workers.command import arguments
from qsuite_console.workers.command.child import GRACE_S, Child, Order, Report
from qsuite_console.workers.command.lines import Lines

_HARD_S: Final = GRACE_S + 10.0  # beyond the timeout, for a program that does not hear
_REST_S: Final = 5.0
_CALM_S: Final = 0.005  # between pieces of a flood that is only counted
_RUNS: Final[set[asyncio.Task[Report]]] = set()  # kept from being dropped while a program is being ended


class CommandWorker:
    """Runs one declared command."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self.kind = JobKind(
            name=command.kind,
            title=command.title or command.name,
            description=command.description or f"Run {Path(command.program[0]).name} as declared.",
            parameters=_parameters(command),
            queue=command.queue,
            soft_limit_s=command.timeout_s,
            hard_limit_s=command.timeout_s + _HARD_S,
            max_attempts=command.attempts if command.retry else 1,
            changes_data=command.changes_data,
            needs_host=True,
        )

    def title(self, parameters: msgspec.Struct) -> str:
        """Return the line by which people recognise the job."""
        given = ", ".join(f"{name}={value}" for name, value in _values(parameters).items() if value)
        return f"{self.kind.title}: {given}" if given else self.kind.title

    def check(self, parameters: msgspec.Struct) -> Mapping[str, str]:
        """Return what the declaration does not allow."""
        return arguments.problems(self._command, _values(parameters))

    async def plan(self, parameters: msgspec.Struct) -> Plan:
        """Return what would be run, with its limits."""
        command = self._command
        argv = arguments.argv(command, _values(parameters))
        why = obstacle(command, os.environ)
        variables = sorted(arguments.environment(command, os.environ)) if not why else []
        limits = [f"{command.timeout_s:g} s", f"{command.output_kb:,} kB of output"]
        if command.memory_mb:
            limits.append(f"{command.memory_mb:,} MB of memory")
        return Plan(
            kind=command.kind,
            title=self.title(parameters),
            lines=(
                PlanLine(label="runs", value=clean(REDACTOR.mask(shlex.join(argv)), 2000)),
                PlanLine(label="in", value=command.directory or "a new empty directory"),
                PlanLine(label="variables", value=", ".join(variables) or "none"),
                PlanLine(label="at most", value=", ".join(limits)),
                PlanLine(label="changes data", value="yes" if command.changes_data else "no"),
            ),
            warnings=(why,) if why else (),
            figures={"argv": [REDACTOR.mask(argument) for argument in argv], "is_ready": not why},
        )

    async def run(self, context: JobContext, parameters: msgspec.Struct) -> Mapping[str, Any]:
        """Run the program to its end; raises Permanent, and Retryable for the exit codes declared for it."""
        command, values = self._command, _values(parameters)
        if problems := arguments.problems(command, values):
            raise Permanent("; ".join(f"{name}: {why}" for name, why in problems.items()))
        if why := obstacle(command, os.environ):
            raise Permanent(why, hint="qsuite-console doctor looks at every command")
        await self._check_repeat(context)
        lines = Lines(command.output_kb)
        argv = arguments.argv(command, values)
        context.log.info("runs %s", shlex.join(argv))
        async with _directory(command.directory) as directory:
            order = Order(
                argv=argv,
                environment=arguments.environment(command, os.environ),
                directory=directory,
                memory=command.memory_mb * 1_000_000,
            )
            await context.save({"is_running": True})
            try:
                report = await _run(context, order, lines)
            except SoftTimeLimit as error:
                await context.save({})
                raise Permanent("the program and all it had started were ended") from error
            except asyncio.CancelledError as error:
                if error.args[:1] != (DRAINED,):
                    await _forget(context)
                raise
        await context.save({})
        return self._result(context, report, lines)

    async def _check_repeat(self, context: JobContext) -> None:
        if not (context.checkpoint or {}).get("is_running"):
            return
        if self._command.repeatable:
            context.log.warning("the engine ended while the program ran; it is run again from its beginning")
            return
        await context.save({})
        raise Permanent(
            "the engine ended while the program ran, which was ended with it: how far it came is not known",
            hint=f"look, then run it again: jobs retry {context.job_id}",
        )

    def _result(self, context: JobContext, report: Report, lines: Lines) -> Mapping[str, Any]:
        command, last = self._command, lines.last
        if lines.dropped:
            context.log.warning(
                "%d of %d lines were not kept: output_kb = %d is reached; the last ones:",
                lines.dropped,
                lines.count,
                command.output_kb,
            )
            for text in last:
                context.log.info("%s", text)
        if report.left:
            context.log.warning("%d processes that it left behind were ended", report.left)
        if report.error:
            raise Permanent(f"can't be run: {clean(report.error, 300)}")
        if report.ended_by == "memory":
            raise Permanent(f"took more than its memory_mb = {command.memory_mb} and was killed")
        how = _ending(report.code or 0)
        if report.ended_by:
            raise Permanent(f"was ended from outside: {how}")
        quoted = f": {last[-1]}" if last else ""
        if report.code in command.retry:
            raise Retryable(f"{how}{quoted}")
        if report.code not in command.success:
            raise Permanent(f"{how}{quoted}")
        return {
            "exit_code": report.code,
            "lines": lines.count,
            "output_bytes": lines.size,
            "is_truncated": bool(lines.dropped),
            "peak_memory_mb": round(report.peak / 1e6, 1),
            "last_lines": last,
        }


def declared(commands: Mapping[str, Command]) -> dict[str, CommandWorker]:
    """Return kind -> worker of every declared command."""
    return {command.kind: CommandWorker(command) for command in commands.values()}


async def _run(context: JobContext, order: Order, lines: Lines) -> Report:
    """Run the program and log what it prints; whatever ends this ends the program, all of it, before it returns."""
    child = Child(order)
    await child.start()
    run = asyncio.create_task(_follow(context, child, lines))
    _RUNS.add(run)
    run.add_done_callback(_RUNS.discard)
    try:
        return await asyncio.shield(run)
    except asyncio.CancelledError:
        child.stop()
        while not run.done():
            with contextlib.suppress(asyncio.CancelledError):  # again each second, until the program is gone
                await asyncio.shield(run)
        raise


async def _follow(context: JobContext, child: Child, lines: Lines) -> Report:
    """Log what it prints until both output and program are at their end."""
    reading = asyncio.create_task(_read(context, child, lines))
    try:
        report = await child.end()
        await asyncio.wait({reading}, timeout=_REST_S)  # who still holds its output is none of ours any more
        return report
    finally:
        reading.cancel()
        child.close()


async def _read(context: JobContext, child: Child, lines: Lines) -> None:
    while piece := await child.read():
        for text in lines.feed(piece):
            context.log.info("%s", text)
            context.progress(lines.count, unit="lines", message=text)
        await asyncio.sleep(_CALM_S if lines.dropped else 0)
    for text in lines.close():
        context.log.info("%s", text)


async def _forget(context: JobContext) -> None:
    """Take note that a person stopped it: what comes next is their wish."""
    try:
        await context.save({})
    except ConsoleError as error:
        context.log.warning("%s", error.message)


@contextlib.asynccontextmanager
async def _directory(declared: str) -> AsyncIterator[str]:
    if declared:
        yield declared
        return
    made = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="qsuite-command-", ignore_cleanup_errors=True)
    try:
        yield made.name
    finally:
        await asyncio.shield(asyncio.to_thread(made.cleanup))


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


def _values(parameters: msgspec.Struct) -> dict[str, str]:
    return {name: str(value) for name, value in msgspec.structs.asdict(parameters).items()}


def _parameters(command: Command) -> type[msgspec.Struct]:
    """Return the struct from which form, flags and validation are made."""
    fields: list[Any] = []
    for each in command.parameters.values():
        hint: Any = Literal.__getitem__(each.choices) if each.choices else str
        hint = Annotated[hint, msgspec.Meta(title=each.title or None, description=_help(each))]
        fields.append((each.name, hint) if each.default is None else (each.name, hint, each.default))
    return msgspec.defstruct(f"{command.name.title()}Parameters", fields, frozen=True, kw_only=True)


def _help(parameter: Parameter) -> str:
    form = f"of the form {parameter.pattern}" if parameter.pattern else ""
    return "; ".join(part for part in (parameter.description, form) if part)
