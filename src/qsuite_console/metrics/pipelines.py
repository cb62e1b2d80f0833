"""Answers about the platform's pipelines: the list with last runs and figures of a window, runs by pages, one run.

Nothing is kept between questions: an answer is about exactly the pipeline, status and window it was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import msgspec

from qsuite_console.db.pipelines import Cursor, Ids, PipelineReader
from qsuite_console.engine.parameters import decode
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.pipelines import (
    Active,
    Pipeline,
    Pipelines,
    Run,
    Runs,
    RunStatistics,
    RunTasks,
    Status,
    TaskRun,
)
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.config.settings import Settings
    from qsuite_console.db.panels import Look, PanelReader, Rows

DAY_S: Final = 86_400.0
_TASKS: Final = 500
_MANY: Final = 1000  # pipelines that a filter may mean
_NAMED: Final = _MANY + 1
_LARGEST: Final = 2**63 - 1
_AHEAD: Final = timedelta(minutes=5)  # clocks of the platform may be ahead of ours
_END: Final = datetime(9999, 1, 1, tzinfo=UTC)
_USUAL_S: Final = 7 * DAY_S
_COUNTS: Final = ("total", "pending", "running", "success", "failed", "cancelled")
Window = Annotated[float, msgspec.Meta(gt=0, le=3650 * DAY_S)]
Id = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]


class ListParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which pipelines: all words of ``text`` in the name, ``status`` that of the last run; figures of the window."""

    text: Annotated[str, msgspec.Meta(max_length=80)] = ""
    status: Status | None = None
    window_s: Window = DAY_S
    limit: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 1000


class RunsParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs: of one pipeline, else of those whose name is ``text`` or has all its words; of one status, made in
    the window; the page below or above a run.
    """

    pipeline: Id = 0
    text: Annotated[str, msgspec.Meta(max_length=120)] = ""
    status: Status | None = None
    window_s: Window = DAY_S
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    older: Annotated[str, msgspec.Meta(max_length=80)] = ""
    newer: Annotated[str, msgspec.Meta(max_length=80)] = ""


class RunParameters(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    run: Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)]


class Sources(Protocol):
    """What of Services the questions need."""

    @property
    def panels(self) -> PanelReader:
        """The connection."""
        ...

    @property
    def settings(self) -> Settings:
        """The names of the tables."""
        ...


class _Probe:
    """What the questions share."""

    timeout_s = 6.0

    def __init__(self, services: Sources) -> None:
        self._panels, self._tables = services.panels, services.settings.tables

    def _begin(self) -> tuple[Look, PipelineReader]:
        look = self._panels.begin(self.timeout_s - 0.5)
        return look, PipelineReader(look, self._tables)


class ListProbe(_Probe):
    """Answers ``pipelines.list``."""

    name = "pipelines.list"

    async def ask(self, parameters: Mapping[str, Any]) -> Pipelines:
        """Return the pipelines; raises DatabaseError, InvalidParameters."""
        wanted: ListParameters = decode(ListParameters, parameters)
        look, reader = self._begin()
        rows = await reader.pipelines(_patterns(wanted.text), wanted.status or "", wanted.limit)
        figures = await reader.statistics(*_window(look.at, wanted.window_s)) if rows is not None else None
        active = await reader.active() if rows is not None else None
        known = {row["pipeline_id"]: statistics_of(row) for row in figures or ()}
        return Pipelines(
            at=look.at,
            window_s=wanted.window_s,
            text=wanted.text,
            status=wanted.status or "",
            pipelines=tuple(_pipeline(row, known.get(row["id"], RunStatistics())) for row in rows or ()),
            total=rows[0]["total"] if rows else 0,
            statistics=known.get(None),
            active=None if active is None else Active(**active),
            cost_ms=look.cost_ms,
            unread=look.unread,
        )


class RunsProbe(_Probe):
    """Answers ``pipelines.runs``."""

    name = "pipelines.runs"

    async def ask(self, parameters: Mapping[str, Any]) -> Runs:
        """Return a page of runs; raises DatabaseError, InvalidParameters."""
        wanted: RunsParameters = decode(RunsParameters, parameters)
        if wanted.older and wanted.newer:
            raise InvalidParameters({"newer": "is the other way than older: state one of them"})
        look, reader = self._begin()
        window = _window(look.at, wanted.window_s)
        is_newer = bool(wanted.newer)
        cursor = _cursor("newer", wanted.newer) if is_newer else _cursor("older", wanted.older)
        ids, name = await self._pipelines(reader, wanted)
        rows, figures = await self._read(reader, wanted, window, cursor, ids)
        page = [run_of(row) for row in rows or ()]
        has_more = len(page) > wanted.limit
        page = (page[1:] if is_newer else page[:-1]) if has_more else page
        has_older, has_newer = (bool(wanted.newer), has_more) if is_newer else (has_more, bool(wanted.older))
        total = next((row for row in figures or () if row["pipeline_id"] is None), None)
        return Runs(
            at=look.at,
            window_s=wanted.window_s,
            pipeline=ids[0] if ids is not None and len(ids) == 1 else 0,
            status=wanted.status or "",
            name=clean(name, 200),
            runs=tuple(page),
            older=cursor_of(page[-1]) if page and has_older else "",
            newer=cursor_of(page[0]) if page and has_newer else "",
            statistics=None if total is None else statistics_of(total),
            cost_ms=look.cost_ms,
            unread=look.unread,
        )

    async def _pipelines(self, reader: PipelineReader, wanted: RunsParameters) -> tuple[Ids, str]:
        """Return whose runs are wanted, and how they are called together."""
        if wanted.pipeline:
            return (wanted.pipeline,), await reader.name_of(wanted.pipeline)
        text = " ".join(wanted.text.split())
        if not text:
            return None, ""
        found = await reader.named(text, _patterns(text), _NAMED)
        if found is None:
            return (), ""
        many = f"{len(found)} pipelines" if len(found) <= _MANY else f"more than {_MANY} pipelines"
        return [row["id"] for row in found[:_MANY]], str(found[0]["name"]) if len(found) == 1 else many

    async def _read(
        self,
        reader: PipelineReader,
        wanted: RunsParameters,
        window: tuple[datetime, datetime],
        cursor: Cursor,
        ids: Ids,
    ) -> tuple[Rows | None, Rows | None]:
        if ids is not None and not ids:
            return None, None
        status = wanted.status or ""
        rows = await reader.runs(window, cursor, wanted.limit + 1, is_newer=bool(wanted.newer), ids=ids, status=status)
        return rows, None if rows is None else await reader.statistics(*window, ids)


class RunProbe(_Probe):
    """Answers ``pipelines.run``."""

    name = "pipelines.run"

    async def ask(self, parameters: Mapping[str, Any]) -> RunTasks:
        """Return a run and its tasks; ``run`` is None where it is gone. Raises DatabaseError, InvalidParameters."""
        wanted: RunParameters = decode(RunParameters, parameters)
        look, reader = self._begin()
        found = await reader.run(wanted.run)
        if not found:
            return RunTasks(at=look.at, id=wanted.run, cost_ms=look.cost_ms, unread=look.unread)
        run = run_of(found[0])
        tasks = await reader.tasks(wanted.run, _TASKS) or ()
        usual = await reader.statistics(*_window(look.at, _USUAL_S), (run.pipeline_id,)) or ()
        return RunTasks(
            at=look.at,
            id=wanted.run,
            run=run,
            tasks=tuple(_task(row) for row in tasks),
            tasks_hidden=tasks[0]["total"] - len(tasks) if tasks else 0,
            usual=next((statistics_of(row) for row in usual if row["pipeline_id"] is None), None),
            cost_ms=look.cost_ms,
            unread=look.unread,
        )


def statistics_of(row: Mapping[str, Any]) -> RunStatistics:
    """Return a row of ``pipelines_statistics``."""
    p50_s, p95_s = row["spread_s"] or (None, None)
    return RunStatistics(**{name: row[name] for name in _COUNTS}, mean_s=row["mean_s"], p50_s=p50_s, p95_s=p95_s)


def run_of(row: Mapping[str, Any]) -> Run:
    """Return a row of the queries of runs."""
    return Run(
        id=row["id"],
        pipeline_id=row["pipeline_id"],
        pipeline=clean(row["pipeline"] or "", 200),
        status=clean(row["status"], 40),
        created_at=row["created_at"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        error=clean(row["error"] or "", 2000),
    )


def cursor_of(run: Run) -> str:
    """Return what names the place of a run in the order of all: its instant, to the microsecond, and number."""
    return f"{run.created_at.astimezone(UTC).isoformat(timespec='microseconds')}~{run.id}"


def _cursor(field: str, text: str) -> Cursor:
    if not text:
        return _END, _LARGEST
    at, _, number = text.partition("~")
    try:
        instant, run = datetime.fromisoformat(at), int(number)
    except ValueError:
        raise InvalidParameters({field: f"“{clean(text, 60)}” is not where a page ended"}) from None
    if instant.tzinfo is None or not 0 <= run <= _LARGEST:
        raise InvalidParameters({field: f"“{clean(text, 60)}” is not where a page ended"})
    return instant, run


def _window(now: datetime, window_s: float) -> tuple[datetime, datetime]:
    return now - timedelta(seconds=window_s), now + _AHEAD


def _patterns(text: str) -> list[str]:
    """Return what a name must all be like to have the words of ``text``, whatever signs are in them."""
    plain = (word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for word in text.split())
    return [f"%{word}%" for word in plain]


def _pipeline(row: Mapping[str, Any], statistics: RunStatistics) -> Pipeline:
    last = None
    if row["run_id"] is not None:
        last = run_of({**row, "id": row["run_id"], "pipeline_id": row["id"], "pipeline": row["name"],
                       "status": row["run_status"]})  # fmt: skip
    return Pipeline(
        id=row["id"], name=clean(row["name"], 200), status=clean(row["status"], 40), last=last, statistics=statistics
    )


def _task(row: Mapping[str, Any]) -> TaskRun:
    return TaskRun(
        id=row["id"],
        name=clean(row["name"], 200),
        status=clean(row["status"], 40),
        attempt=row["attempt"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        rows=row["rows"],
        error=clean(row["error"] or "", 2000),
    )
