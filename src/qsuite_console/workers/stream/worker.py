"""The job kinds ``stream`` (into a table of the target) and ``stream.file`` (into a file: changes nothing there).

What is written to is always the target, so that the gate speaks for it; only the source may be another one's database.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qsuite_console.db.database import Database
from qsuite_console.db.row_writer import RowWriter
from qsuite_console.engine.ports import JobContext, JobKind
from qsuite_console.model import units
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.kinds import Plan
from qsuite_console.model.text import clean
from qsuite_console.workers.stream import planning
from qsuite_console.workers.stream.copying import Copying, checked_state
from qsuite_console.workers.stream.csv_sink import CsvSink
from qsuite_console.workers.stream.files import Place
from qsuite_console.workers.stream.parameters import (
    PARQUET,
    FileParameters,
    SourceParameters,
    StreamParameters,
    check,
    given_transform,
)
from qsuite_console.workers.stream.parquet_sink import ParquetSink, require
from qsuite_console.workers.stream.sinks import TableSink
from qsuite_console.workers.stream.state import COPY, State
from qsuite_console.workers.stream.survey import Reading, Writing, survey_source, survey_table
from qsuite_console.workers.stream.transform import Transform, load_transform, merge
from qsuite_console.workers.stream.values import Kind as ValueKind
from qsuite_console.workers.stream.values import column_of
from qsuite_console.workers.stream.verify import UNASKED, Verdict, verify_count, verify_csv, verify_table

if TYPE_CHECKING:
    from qsuite_console.config.settings import DatabaseSettings
    from qsuite_console.workers import Services

_PATIENCE_S: Final = 3600.0  # for one statement; chunks and pages have limits of their own
_ATTEMPTS: Final = 8


class _Streaming:
    """What both kinds share."""

    kind: JobKind

    def __init__(self, services: Services) -> None:
        self._services = services

    def check(self, parameters: SourceParameters) -> Mapping[str, str]:
        """Return field name -> problem; pure."""
        problems = check(parameters)
        if parameters.source and parameters.source not in self._known():
            known = ", ".join(self._known()) or "none"
            problems["source"] = f"the configuration has no target {clean(parameters.source, 60)}; known are {known}"
        return problems

    def _known(self) -> Mapping[str, DatabaseSettings]:
        return self._services.settings.others

    def _checked(self, parameters: SourceParameters) -> None:
        if problems := self.check(parameters):
            raise InvalidParameters(dict(problems))

    @asynccontextmanager
    async def _database(self, source: str = "") -> AsyncIterator[Database]:
        """Open connections of the copy's own: it may hold them for hours, and panels shall not wait for it."""
        services = self._services
        settings = self._known()[source] if source else services.settings.database
        patient = replace(settings, pool_min=0, pool_max=2, command_timeout_s=_PATIENCE_S)
        database = Database(patient, application=services.database.application)
        try:
            yield database
        finally:
            await database.close()

    async def _transform(self, parameters: SourceParameters) -> Transform:
        file = await asyncio.to_thread(load_transform, parameters.transform) if parameters.transform else Transform()
        return merge(file, given_transform(parameters))

    async def _read(self, source: Database, parameters: SourceParameters) -> Reading:
        transform = await self._transform(parameters)
        async with source.session("stream look") as connection:
            return await survey_source(connection, parameters, transform)

    def _copying(
        self, context: JobContext, reading: Reading, source: Database, parameters: SourceParameters
    ) -> Copying:
        context.progress(0, message="looking at source and destination")
        return Copying(context, reading, source, self._services.clock, is_strict=parameters.strict)


class StreamWorker(_Streaming):
    """``stream``: rows into a table."""

    kind = JobKind(
        name="stream",
        title="Stream",
        description="Copy the rows of a table or query into a table of this target; stream.file makes files.",
        parameters=StreamParameters,
        queue="data_processing",
        soft_limit_s=24 * 3600.0,
        hard_limit_s=25 * 3600.0,
        max_attempts=_ATTEMPTS,
    )

    def title(self, parameters: StreamParameters) -> str:
        """Return the line by which people recognise the job."""
        return f"stream {planning.title_of(parameters, parameters.to)}"

    async def plan(self, parameters: StreamParameters) -> Plan:
        """Return what would be copied how; reads only. Raises InvalidParameters, DatabaseError."""
        self._checked(parameters)
        async with self._database(parameters.source) as source, self._database() as target:
            reading = await self._read(source, parameters)
            writing = await self._look(target, parameters, reading)
        reading.warnings.extend(writing.warnings)
        figures = {
            "destination": writing.intake.table.name,
            "upsert_by": list(writing.intake.key),
            "is_resumable": reading.is_resumable,
        }
        lines = planning.of_table(reading, writing)
        return planning.describe(self.kind.name, self.title(parameters), reading, lines, figures)

    async def run(self, context: JobContext, parameters: StreamParameters) -> Mapping[str, Any]:
        """Copy the rows; raises InvalidParameters, DatabaseError."""
        self._checked(parameters)
        async with self._database(parameters.source) as source, self._database() as target:
            reading = await self._read(source, parameters)
            writing = await self._look(target, parameters, reading)
            for warning in (*reading.warnings, *writing.warnings):
                context.log.warning("%s", warning)
            state = _state(context, parameters, reading)
            if not state.read:
                state.was_empty = writing.was_empty
            copying = self._copying(context, reading, source, parameters)
            async with target.session(f"stream write/{context.job_id}") as connection:
                stream = f"{context.correlation_id}/{context.job_id}"
                writer = RowWriter(connection, writing.intake, stream, context.attempt)
                sink = TableSink(
                    writer,
                    reading.program,
                    copying.report,
                    copying.save,
                    is_kept=writing.is_kept,
                    is_one=writing.is_one,
                )
                state = await copying.run(sink, state)
            await self._services.answers.everything_changed()
            verdict = UNASKED
            if parameters.verify:
                context.progress(state.read, max(state.read, 1), unit="rows", message="comparing with the source")
                verdict = await verify_table(source, target, reading, writing, state)
        more = {"table": writing.intake.table.name, "upsert_by": ", ".join(writing.intake.key)}
        return _result(context, reading, state, verdict, more)

    async def _look(self, target: Database, parameters: StreamParameters, reading: Reading) -> Writing:
        own = self._services.settings.database
        is_same = not parameters.source or self._known()[parameters.source].dsn == own.dsn
        async with target.session("stream look") as connection:
            return await survey_table(connection, parameters, reading, is_same_database=is_same)


class FileStreamWorker(_Streaming):
    """``stream.file``: rows into a CSV or Parquet file."""

    kind = JobKind(
        name="stream.file",
        title="Stream to a file",
        description="Copy the rows of a table or query into a CSV or Parquet file, resumable and whole or not there.",
        parameters=FileParameters,
        queue="data_processing",
        soft_limit_s=24 * 3600.0,
        hard_limit_s=25 * 3600.0,
        max_attempts=_ATTEMPTS,
        changes_data=False,
    )

    def title(self, parameters: FileParameters) -> str:
        """Return the line by which people recognise the job."""
        return f"stream {planning.title_of(parameters, Path(parameters.to).name)}"

    async def plan(self, parameters: FileParameters) -> Plan:
        """Return what would be copied how; reads only. Raises InvalidParameters, DatabaseError."""
        self._checked(parameters)
        place = Place(parameters.to, 0, overwrite=parameters.overwrite)
        is_parquet = _is_parquet(parameters)
        await asyncio.to_thread(place.check)
        if is_parquet:
            await asyncio.to_thread(require)
        async with self._database(parameters.source) as source:
            reading = await self._read(source, parameters)
        lines = planning.of_file(place, reading, is_parquet=is_parquet)
        figures = {"destination": parameters.to, "is_resumable": reading.is_resumable}
        return planning.describe(self.kind.name, self.title(parameters), reading, lines, figures)

    async def run(self, context: JobContext, parameters: FileParameters) -> Mapping[str, Any]:
        """Copy the rows; raises InvalidParameters, DatabaseError, OutputProblem."""
        self._checked(parameters)
        place = Place(parameters.to, context.job_id, overwrite=parameters.overwrite)
        if not context.checkpoint:
            await asyncio.to_thread(place.check)
        async with self._database(parameters.source) as source:
            reading = await self._read(source, parameters)
            for warning in reading.warnings:
                context.log.warning("%s", warning)
            state = _state(context, parameters, reading)
            copying = self._copying(context, reading, source, parameters)
            sink = await self._sink(place, reading, copying, is_parquet=_is_parquet(parameters))
            state = await copying.run(sink, state)
            told = dict(await asyncio.to_thread(sink.result))
            verdict = UNASKED
            if parameters.verify:
                context.progress(state.read, max(state.read, 1), unit="rows", message="comparing with the source")
                if isinstance(sink, CsvSink):
                    verdict = await verify_csv(source, reading, sink, state)
                else:
                    verdict = await verify_count(source, reading, told["file_rows"], state)
        return _result(context, reading, state, verdict, told)

    async def _sink(
        self, place: Place, reading: Reading, copying: Copying, *, is_parquet: bool
    ) -> CsvSink | ParquetSink:
        program = reading.program
        stamp = program.transform.stamp
        columns = (*program.outputs, *([column_of(stamp, ValueKind.INSTANT)] if stamp else []))
        if not is_parquet:
            return CsvSink(place, [column.name for column in columns], copying.report, copying.save)
        await asyncio.to_thread(require)
        return ParquetSink(place, columns, program.name_of_output, copying.report, copying.save)


def _is_parquet(parameters: FileParameters) -> bool:
    return Path(parameters.to).suffix.lower() == PARQUET


def _state(context: JobContext, parameters: SourceParameters, reading: Reading) -> State:
    """Return where to go on; a reading without a key begins anew."""
    asked = {name: value for name, value in msgspec.to_builtins(parameters).items() if name != "verify"}
    declared = msgspec.to_builtins(reading.program.transform)
    text = msgspec.json.encode([asked, declared, reading.signature], order="deterministic")
    identity = hashlib.sha256(text).hexdigest()[:32]
    state = checked_state(context.checkpoint, identity)
    if state.phase == COPY and not reading.is_resumable:
        state = State(identity=identity)
    state.estimate = state.estimate or reading.relation.rows or 0
    return state


def _result(
    context: JobContext, reading: Reading, state: State, verdict: Verdict, more: Mapping[str, Any]
) -> dict[str, Any]:
    context.log.info("%d rows read, %d written in %s", state.read, state.written, units.span(state.elapsed_s))
    if verdict is not UNASKED:
        context.log.log(logging.WARNING if verdict.is_equal is False else logging.INFO, "%s", verdict.text)
    return {
        "source": reading.relation.name,
        **more,
        "read_by": ", ".join(reading.selection.key),
        **verdict.result(),
        **state.result(),
    }
