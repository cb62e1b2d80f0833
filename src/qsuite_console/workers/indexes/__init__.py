"""Indexes as jobs: the recommended ones that are missing are built, others rebuilt, dropped or repaired.

Nothing here stops reads or writes of a table for longer than a moment. What is done is looked up, not remembered: a run
that was cut goes on with what is not as it should be; the checkpoint only keeps what the result has to tell.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.index_care import IndexCare, IndexReader
from qsuite_console.db.maintenance import Step, Watch
from qsuite_console.engine.ports import JobContext, JobKind
from qsuite_console.model import units
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean
from qsuite_console.workers.indexes.survey import IndexesParameters, Surveyor, Task, is_all, problems_of

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_DONE: Final[Mapping[str, str]] = {"build": "built", "rebuild": "rebuilt", "drop": "dropped", "repair": "repaired"}
_WAITS: Final[Mapping[str, str]] = {
    "build": "reads and writes go on; DDL and vacuum of the table wait",
    "rebuild": "reads and writes go on; needs the index's size once more until it ends",
    "drop": "reads and writes go on; queries that used it find another way",
    "repair": "reads and writes go on; DDL and vacuum of the table wait",
}


class IndexesWorker:
    """Made once; holds nothing of a run."""

    kind = JobKind(
        name="indexes",
        title="Indexes",
        description="Build recommended indexes that are missing, rebuild or drop one, repair broken ones.",
        parameters=IndexesParameters,
        queue="maintenance",
        soft_limit_s=24 * 3600.0,
        hard_limit_s=25 * 3600.0,
    )

    def __init__(self, services: Services) -> None:
        self.services = services
        self.reader = IndexReader(services.database, services.panels, services.settings.tables)
        self.surveyor = Surveyor(self.reader)

    def title(self, parameters: IndexesParameters) -> str:
        """Return the line by which people recognise the job."""
        what = clean(parameters.which, 80)
        if is_all(parameters):
            what = "recommended indexes" if parameters.action == "build" else "broken indexes"
            what = "every index" if parameters.action == "rebuild" else what
        return f"{parameters.action} {what}{f' of {clean(parameters.table, 80)}' if parameters.table.strip() else ''}"

    def check(self, parameters: IndexesParameters) -> Mapping[str, str]:
        """Return field name -> problem; pure."""
        return problems_of(parameters)

    async def plan(self, parameters: IndexesParameters) -> Plan:
        """Return what a run would do; reads only. Raises InvalidParameters, DatabaseError."""
        survey = await self.surveyor.survey(parameters)
        lines = [
            PlanLine(label=task.does, value=f"{task.name} on {task.table.removeprefix('public.')}", note=task.note)
            for task in survey.tasks
        ]
        if survey.present:
            lines.append(PlanLine(label="there already", value=units.count(len(survey.present))))
        warnings = list(survey.warnings)
        if survey.tasks:
            lines.append(PlanLine(label="meanwhile", value=_WAITS[parameters.action]))
            warnings += await self._waits()
        figures = {"indexes": [task.name for task in survey.tasks], "present": len(survey.present)}
        return Plan(
            kind=self.kind.name,
            title=self.title(parameters),
            lines=tuple(lines),
            warnings=tuple(warnings),
            figures=figures,
            is_noop=not survey.tasks,
        )

    async def run(self, context: JobContext, parameters: IndexesParameters) -> Mapping[str, Any]:
        """Do it; returns bytes before and after of each, and how long it took."""
        problems = self.check(parameters)
        if problems:
            raise InvalidParameters(dict(problems))
        try:
            return await _Run(self, context, parameters).run()
        except DatabaseError as error:
            error.hint = _hint(error)
            raise

    async def _waits(self) -> list[str]:
        lines = [
            f"it waits for the transaction of pid {row['pid']} ({clean(row['application'] or 'no name', 40)}), "
            f"open for {units.span(row['age_s'])}"
            for row in await self.reader.transactions()
        ]
        if self.services.settings.database.pgbouncer:
            lines.append("through PgBouncer no timeout can be set: it waits for locks as long as they are held")
        return lines


class _Run:
    """One attempt at a job."""

    def __init__(self, worker: IndexesWorker, context: JobContext, parameters: IndexesParameters) -> None:
        self._worker, self._context, self._parameters = worker, context, parameters
        kept = dict(context.checkpoint or {})
        self._before: dict[str, int] = dict(kept.get("before") or {})
        self._done: dict[str, Any] = dict(kept.get("done") or {})
        services = worker.services
        self._care = IndexCare(
            services.database,
            services.panels,
            worker.reader,
            mark=f"/* {context.correlation_id or 'job'}/{context.job_id}.{context.attempt} */",
            label=f"indexes/{context.job_id}",
            lock_timeout_s=parameters.lock_timeout_s,
        )

    async def run(self) -> Mapping[str, Any]:
        """Do what is left; returns the result."""
        context, started = self._context, time.monotonic()
        context.progress(0, message="looking at the indexes", figures={"phase": "plan"})
        survey = await self._worker.surveyor.survey(self._parameters, list(self._before))
        for warning in survey.warnings:
            context.log.warning("%s", warning)
        tasks = [task for task in survey.tasks if task.key not in self._done]
        total = sum(2 * max(1, task.pages) for task in tasks)
        passed = 0
        for number, task in enumerate(tasks, start=1):
            await context.breathe()
            watch = self._watch(f"{task.name} ({number} of {len(tasks)})", passed, max(1, task.pages), total)
            await watch(Step("starting", 0, 0))
            await self._one(task, watch)
            passed += 2 * max(1, task.pages)
        context.progress(total, total, unit="pages", message="done", figures={"phase": "done"})
        details = list(self._done.values())
        return {
            "indexes": len(details),
            "present": len(survey.present),
            "action": self._parameters.action,
            "bytes_before": sum(each["bytes_before"] for each in details),
            "bytes_after": sum(each["bytes_after"] for each in details),
            "duration_s": round(time.monotonic() - started, 3),
            "details": details,
            "warnings": list(survey.warnings),
        }

    async def _one(self, task: Task, watch: Watch) -> None:
        reader, started = self._worker.reader, time.monotonic()
        if task.key not in self._before:
            self._before[task.key] = 0 if task.existing is None else await reader.size(task.existing)
            await self._save()
        if task.existing is not None and task.does == "drop":
            await self._care.drop(task.existing, watch)
        elif task.existing is not None:
            await self._care.rebuild(task.existing, watch)
        elif task.home is not None and task.shape is not None:
            await self._care.build(task.home, task.name, task.tail, task.shape, watch)
        owner = task.existing.table_oid if task.existing is not None else task.home.oid if task.home is not None else 0
        after = [each for each in await reader.indexes(tables=[owner]) if each.name == task.name]
        took_s = round(time.monotonic() - started, 3)
        does = "dropped" if task.does == "drop" else _DONE[self._parameters.action]
        self._done[task.key] = {
            "index": task.name, "table": task.table, "does": does, "bytes_before": self._before[task.key],
            "bytes_after": sum([await reader.size(each) for each in after]), "duration_s": took_s,
        }  # fmt: skip
        await self._save()
        self._context.log.info("%s on %s %s in %s", task.name, task.table, does, units.span(took_s))

    def _watch(self, what: str, passed: int, pages: int, total: int) -> Callable[[Step], Awaitable[None]]:
        """Return who is told how far an index is: a build reads its table twice, to fill and to validate."""

        async def tell(step: Step) -> None:
            share = step.scanned / step.total if step.total else 0.0
            is_late = not step.phase.startswith(
                ("starting", "initializing", "building", "waiting for writers before b")
            )
            is_loading = step.phase.startswith("building") and "scanning" not in step.phase
            done = pages * (1.0 if is_late or is_loading else 0.0) + pages * min(1.0, share) * (
                "scanning table" in step.phase
            )
            phase = step.phase + (f", {100 * share:.0f} %" if step.total and "scanning" in step.phase else "")
            self._context.progress(
                passed + done, total, unit="pages", message=f"{what}: {phase}", figures={"phase": step.phase}
            )

        return tell

    async def _save(self) -> None:
        await self._context.save({"before": self._before, "done": self._done})


def _hint(error: DatabaseError) -> str:
    """Return what to do about what the database says of an index."""
    if "hypertable" in error.message:
        return "CREATE INDEX … WITH (timescaledb.transaction_per_chunk) builds it chunk by chunk"
    if "unique index" in error.message:
        return "remove the equal values from its table, or drop the index"
    return error.hint
