"""Removes dead rows and renews the planner's statistics: of one table, or of all that have waited for it too long.

One table after the other, each with its own statement. The checkpoint holds what is done and what the tables were like
before: a server that crashes forgets its statistics, so neither could be asked again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from qsuite_console.db.errors import DatabaseBusy
from qsuite_console.db.maintenance import Maintenance, Step, Target, options
from qsuite_console.engine.ports import JobContext, JobKind, Permanent, Retryable
from qsuite_console.model import units
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

NEEDED: Final = "needed"
_NAMED: Final = 8  # tables that a plan or a message names one by one
_DETAILS: Final = 200  # tables whose figures the result has one by one
_SKIPPED: Final = ("lock not available",)
_REFUSED: Final = ("permission denied", "only table or database owner", "only superuser")
Mode = Literal["vacuum", "analyze", "vacuum_analyze"]
_WORDS: Final[Mapping[str, str]] = {
    "vacuum": "vacuum",
    "analyze": "analyze",
    "vacuum_analyze": "vacuum and analyze",
}


class VacuumParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which tables, and what to do with them."""

    table: Annotated[
        str,
        msgspec.Meta(
            title="Table",
            description="a table (with its partitions), or needed: all that have passed what starts autovacuum",
            examples=["public.execution_engine_order"],
            max_length=200,
        ),
    ]
    mode: Annotated[
        Mode, msgspec.Meta(title="Mode", description="remove dead rows, renew the planner's statistics, or both")
    ] = "vacuum_analyze"
    freeze: Annotated[
        bool, msgspec.Meta(title="Freeze", description="freeze all rows: against transaction id wraparound")
    ] = False
    lock_timeout_s: Annotated[
        float,
        msgspec.Meta(title="Lock timeout", description="seconds to wait for a table's lock, then it is tried later",
                     ge=0.05, le=600),
    ] = 5.0  # fmt: skip


class VacuumWorker:
    """Made once; holds nothing of a run."""

    kind = JobKind(
        name="vacuum",
        title="Vacuum",
        description="Remove dead rows and renew the planner's statistics of a table, or of all tables that need it.",
        parameters=VacuumParameters,
        queue="maintenance",
        soft_limit_s=24 * 3600.0,
        hard_limit_s=25 * 3600.0,
    )

    def __init__(self, services: Services) -> None:
        self._services = services
        self._maintenance = Maintenance(services.database, services.panels)

    @property
    def is_pooled(self) -> bool:
        """Tell whether a pooler stands between."""
        return self._services.settings.database.pgbouncer

    def title(self, parameters: VacuumParameters) -> str:
        """Return the line by which people recognise the job."""
        what = "the tables that need it" if _is_needed(parameters) else clean(parameters.table, 80)
        return f"{_WORDS[parameters.mode]} {what}{', freezing' if parameters.freeze else ''}"

    def check(self, parameters: VacuumParameters) -> Mapping[str, str]:
        """Return field name -> problem; pure."""
        problems = {}
        if not parameters.table.strip():
            problems["table"] = "name a table, or needed"
        if parameters.freeze and parameters.mode == "analyze":
            problems["freeze"] = "only a vacuum freezes rows; choose mode vacuum or vacuum_analyze"
        return problems

    async def plan(self, parameters: VacuumParameters) -> Plan:
        """Return what a run would do; reads only. Raises InvalidParameters, DatabaseError."""
        targets = await self._targets(parameters)
        steps = [target for target in targets if target.kind != "p"]
        sizes = [await self._maintenance.size(target.oid) or target.bytes for target in steps[:_NAMED]]
        size = sum(sizes) + sum(target.bytes for target in steps[_NAMED:])
        dead, live = sum(target.dead for target in steps), sum(target.live for target in steps)
        lines = [PlanLine(label="tables", value=units.count(len(steps)), note=_names(steps))]
        if steps:
            lines += [
                PlanLine(label="size", value=units.size(size), note="with indexes and TOAST"),
                PlanLine(label="dead rows", value=units.count(dead), note=f"of {units.count(live + dead)}"),
                PlanLine(label="last vacuum", value=_oldest([(t.vacuumed_at, t.at) for t in steps])),
                PlanLine(label="last analyze", value=_oldest([(t.analyzed_at, t.at) for t in steps])),
            ]
        figures = {"tables": [t.name for t in steps[:_DETAILS]], "bytes": size, "dead": dead, "live": live}
        title = self.title(parameters)
        return Plan(kind=self.kind.name, title=title, lines=tuple(lines), figures=figures, is_noop=not steps,
                    warnings=tuple(self._warnings(parameters, steps)))  # fmt: skip

    async def run(self, context: JobContext, parameters: VacuumParameters) -> Mapping[str, Any]:
        """Do it and return rows and bytes before and after."""
        problems = self.check(parameters)
        if problems:
            raise InvalidParameters(dict(problems))
        return await _Run(self, self._maintenance, context, parameters).run()

    async def targets(self, parameters: VacuumParameters, done: Mapping[str, Any]) -> tuple[Target, ...]:
        """Return the tables of a run, those of its checkpoint where there is one; raises as ``plan``."""
        known = done.get("targets")
        return await (self._maintenance.look(known) if known else self._targets(parameters))

    async def _targets(self, parameters: VacuumParameters) -> tuple[Target, ...]:
        """Return what is to be done in order: leaves, then, where it is analyzed, the partitioned table itself."""
        name, mode = parameters.table.strip(), parameters.mode
        if _is_needed(parameters):
            oids = await self._maintenance.needed(vacuums=mode != "analyze", analyzes=mode != "vacuum")
            found = await self._maintenance.look(oids)
            return tuple(target for target in found if target.may)
        oid = await self._maintenance.find(name)
        if oid is None:
            alike = await self._maintenance.alike(name)
            hint = f"did you mean {', '.join(alike)}?" if alike else "the tables pane lists those there are"
            raise InvalidParameters({"table": f"there is no table {clean(name, 80)!r}; {hint}"})
        targets = await self._maintenance.look([oid])
        if targets and targets[0].kind == "p":
            leaves = await self._maintenance.look(await self._maintenance.leaves(oid))
            targets = leaves if mode == "vacuum" else (*leaves, *targets)
        for target in targets:
            if target.is_standby:
                raise InvalidParameters({"table": "a standby can't be vacuumed; point the console at the primary"})
            if not target.may:
                raise InvalidParameters({"table": f"the role {target.role} may not maintain {target.name}; "
                                                  f"GRANT MAINTAIN (17 and later), or use its owner"})  # fmt: skip
        return targets

    def _warnings(self, parameters: VacuumParameters, steps: Sequence[Target]) -> list[str]:
        warnings = []
        if self.is_pooled:
            warnings.append("through PgBouncer a locked table is skipped at once and tried again later")
        if parameters.freeze and steps:
            warnings.append("freezing reads and rewrites every page that is not frozen yet: WAL and I/O for all of it")
        return warnings


class _Run:
    """One attempt at a job."""

    def __init__(
        self, worker: VacuumWorker, maintenance: Maintenance, context: JobContext, parameters: VacuumParameters
    ) -> None:
        self._worker, self._maintenance = worker, maintenance
        self._context, self._parameters = context, parameters
        kept = dict(context.checkpoint or {})
        self._before: dict[str, Any] = dict(kept.get("before") or {})
        self._done: dict[str, Any] = dict(kept.get("done") or {})
        self._kept = kept
        self._mark = f"/* {context.correlation_id or 'job'}/{context.job_id}.{context.attempt} */"
        self._pages_done = self._pages = 0
        self._has_root = False

    async def run(self) -> Mapping[str, Any]:
        """Do what is left; returns the result."""
        context, started = self._context, time.monotonic()
        context.progress(0, message="looking at the tables", figures={"phase": "plan"})
        targets = await self._worker.targets(self._parameters, self._kept)
        await self._remember(targets)
        self._has_root = any(target.kind == "p" for target in targets)
        if self._has_root and self._parameters.mode == "analyze":
            targets = tuple(target for target in targets if target.kind == "p")  # reads its partitions, all at once
        self._pages = sum(max(1, target.pages) for target in targets)
        locked = []
        for number, target in enumerate(targets, start=1):
            await context.breathe()
            if str(target.oid) not in self._done and not await self._one(target, f"{number} of {len(targets)}"):
                locked.append(target)
            self._pages_done += max(1, target.pages)
        if locked:
            raise Retryable(f"{_names(locked)}: locked by another session; the rest is done", after_s=5.0)
        self._report(self._pages_done, "done", "done")
        return self._result(time.monotonic() - started)

    async def _remember(self, targets: Sequence[Target]) -> None:
        for target in targets:
            if str(target.oid) not in self._before:
                size = await self._maintenance.size(target.oid) if target.kind != "p" else 0
                self._before[str(target.oid)] = {"name": target.name, "dead": target.dead, "bytes": size}
        self._kept["targets"] = [target.oid for target in targets]
        await self._save()

    async def _one(self, target: Target, place: str) -> bool:
        """Do one table; False when its lock could not be had."""
        context, parameters = self._context, self._parameters
        started = time.monotonic()
        mode = self._mode_of(target)
        flags = {
            "freeze": parameters.freeze and mode != "analyze",
            # Left to itself, the server skips the indexes when few pages have dead rows, and they stay.
            "index_cleanup on": mode != "analyze",
            "skip_locked": self._worker.is_pooled,
        }
        statement = f"{options(mode, flags)} {target.name}"
        label = f"vacuum/{context.job_id}"
        self._report(self._pages_done, f"{target.name} ({place})", "starting")

        async def watch(step: Step) -> None:
            share = step.scanned / step.total if step.total else 0.0
            pages = self._pages_done + min(1.0, share) * max(1, target.pages)
            self._report(pages, f"{target.name} ({place}): {step.phase}", step.phase)

        try:
            warnings = await self._maintenance.run(statement, self._mark, label, parameters.lock_timeout_s, watch)
        except DatabaseBusy as error:
            context.log.warning("%s: %s", target.name, error.message)
            return False
        for warning in warnings:
            context.log.warning("%s", warning)
        if any(word in warning for warning in warnings for word in _REFUSED):
            raise Permanent(f"{target.name}: {warnings[0]}", hint="GRANT MAINTAIN (17 and later), or use its owner")
        if any(word in warning for warning in warnings for word in _SKIPPED):
            return False
        await self._note(target, mode, time.monotonic() - started)
        return True

    def _mode_of(self, target: Target) -> str:
        """Return what to do with one of the tables: partitions are analyzed together, through their root."""
        if target.kind == "p":
            return "analyze"
        return "vacuum" if self._has_root else self._parameters.mode

    async def _note(self, target: Target, mode: str, took_s: float) -> None:
        """Keep what the table is like now."""
        found = await self._maintenance.settled(target, vacuumed=mode != "analyze", analyzed=mode != "vacuum")
        size = await self._maintenance.size(target.oid) if target.kind != "p" else 0
        before = self._before[str(target.oid)]
        after = found.dead if found is not None else 0
        self._done[str(target.oid)] = {"dead": after, "bytes": size, "duration_s": round(took_s, 3)}
        await self._save()
        if mode == "analyze":
            self._context.log.info("%s analyzed in %s", target.name, units.span(took_s))
            return
        removed = max(0, before["dead"] - after)
        self._context.log.info("%s: %s dead rows removed in %s", target.name, units.count(removed), units.span(took_s))
        if before["dead"] and after > before["dead"] / 2:
            self._context.log.warning(
                "%s still has %s dead rows: an old transaction, slot or prepared transaction may need them",
                target.name, units.count(after),
            )  # fmt: skip

    async def _save(self) -> None:
        await self._context.save({**self._kept, "before": self._before, "done": self._done})

    def _report(self, pages: float, message: str, phase: str) -> None:
        self._context.progress(pages, self._pages, unit="pages", message=message, figures={"phase": phase})

    def _result(self, took_s: float) -> dict[str, Any]:
        tables = []
        for oid, done in self._done.items():
            before = self._before.get(oid, {})
            tables.append(
                {
                    "table": before.get("name", oid),
                    "dead_before": before.get("dead"),
                    "dead_after": done["dead"],
                    "bytes_before": before.get("bytes"),
                    "bytes_after": done["bytes"],
                    "duration_s": done["duration_s"],
                }
            )

        def total(name: str) -> int:
            return sum(table[name] or 0 for table in tables)

        return {
            "tables": len(tables),
            "mode": self._parameters.mode,
            **{name: total(name) for name in ("dead_before", "dead_after", "bytes_before", "bytes_after")},
            "duration_s": round(took_s, 3),
            "details": tables[:_DETAILS],
        }


def _is_needed(parameters: VacuumParameters) -> bool:
    return parameters.table.strip().lower() == NEEDED


def _names(targets: Sequence[Target]) -> str:
    """Return the first names: "public.a, public.b and 3 more"."""
    named = ", ".join(target.name for target in targets[:_NAMED])
    return named + (f" and {len(targets) - _NAMED} more" if len(targets) > _NAMED else "")


def _oldest(times: Sequence[tuple[datetime | None, datetime]]) -> str:
    """Return how long ago the one was that lies farthest back."""
    if any(at is None for at, _ in times):
        never = sum(at is None for at, _ in times)
        return "never" if never == len(times) else f"never for {never} of {len(times)}"
    return f"{units.age(max((now - at).total_seconds() for at, now in times if at is not None))} ago"
