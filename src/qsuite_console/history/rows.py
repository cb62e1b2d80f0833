"""Between rows of SQLite and structs of the model. Kept apart from the queries because every job passes here thrice."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from qsuite_console.model.jobs import Attempt, Job, JobState, LogLine, Outcome, Progress

COLUMNS: Final = (
    "id, kind, title, queue, priority, state, parameters, created_at, run_at, started_at, finished_at, attempt,"
    " max_attempts, tries, rescues, progress, error, reason, correlation_id, origin, cancel_requested,"
    " handed_out"
)
ATTEMPT_COLUMNS: Final = (
    "job_id, number, started_at, finished_at, outcome, error, wait_us, run_us, cpu_us, memory_delta, owner"
)
Row = tuple[Any, ...]

_WORTH_PACKING: Final = 256  # bytes
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_STATES: Final = {state.value: state for state in JobState}
_NO_PROGRESS: Final = Progress()
_encode: Final = msgspec.json.Encoder().encode
_progress: Final = msgspec.json.Decoder(Progress).decode
_mapping: Final = msgspec.json.Decoder(dict[str, Any]).decode
_rows: Final = msgspec.json.Decoder(list[Row]).decode


def stamp(moment: datetime) -> int:
    """Return microseconds since 1970 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """Return the aware UTC instant of a stamp."""
    return _EPOCH + timedelta(microseconds=value)


def _moment(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def to_json(value: object) -> str:
    """Return JSON text; instants, dates and decimals become strings."""
    return _encode(value).decode()


def pack(value: Mapping[str, Any]) -> bytes:
    """Return JSON, compressed where that is worth it."""
    text = _encode(value)
    return text if len(text) < _WORTH_PACKING else zlib.compress(text, 6)


def unpack(blob: bytes) -> dict[str, Any]:
    """Return what ``pack`` was given."""
    return _mapping(blob if blob.startswith(b"{") else zlib.decompress(blob))


def progress_text(progress: Progress) -> str | None:
    """Return progress as stored, None where there is none to speak of."""
    return None if progress == _NO_PROGRESS else to_json(progress)


def progress_of(text: str | None) -> Progress:
    """Return stored progress."""
    return _NO_PROGRESS if text is None else _progress(text)


def job_of(row: Row) -> Job:
    """Return the job of a row of COLUMNS."""
    return Job(
        id=row[0],
        kind=row[1],
        title=row[2],
        queue=row[3],
        priority=row[4],
        state=_STATES[row[5]],
        parameters=_mapping(row[6]),
        created_at=_EPOCH + timedelta(microseconds=row[7]),
        run_at=_EPOCH + timedelta(microseconds=row[8]),
        started_at=_moment(row[9]),
        finished_at=_moment(row[10]),
        attempt=row[11],
        max_attempts=row[12],
        tries=row[13],
        rescues=row[14],
        progress=progress_of(row[15]),
        error=row[16],
        reason=row[17],
        correlation_id=row[18],
        origin=row[19],
        cancel_requested=bool(row[20]),
        handed_out=bool(row[21]),
    )


def rows_of(text: str) -> list[Row]:
    """Return rows that SQLite has put together as JSON."""
    return _rows(text)


def attempt_of(row: Row) -> Attempt:
    """Return the attempt of a row of ATTEMPT_COLUMNS."""
    return Attempt(
        job_id=row[0],
        number=row[1],
        started_at=moment(row[2]),
        finished_at=_moment(row[3]),
        outcome=None if row[4] is None else Outcome(row[4]),
        error=row[5],
        wait_s=row[6] / 1e6,
        run_s=None if row[7] is None else row[7] / 1e6,
        cpu_s=None if row[8] is None else row[8] / 1e6,
        memory_delta=row[9],
        owner=row[10],
    )


def log_of(row: Row) -> LogLine:
    """Return the log line of a row (job_id, number, at, level, message, attempt)."""
    return LogLine(job_id=row[0], number=row[1], at=moment(row[2]), level=row[3], message=row[4], attempt=row[5])
