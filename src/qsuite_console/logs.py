"""Logging set-up: one rotating file of mode 0600, text or JSON, with the job's id and without a secret.

Nothing here knows settings or the engine: the caller names the secrets, the engine sets ``current_job``.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import logging.handlers
import os
import stat
import sys
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from qsuite_console.model.jobs import LogLine
from qsuite_console.model.text import clean

MASK: Final = "••••••"
MAX_BYTES: Final = 5_000_000
BACKUPS: Final = 5
TAIL_LINES: Final = 2000
_TAIL_MOST: Final = 4000  # characters of a kept line with its traceback
_SHORTEST_SECRET: Final = 4  # masking shorter ones would riddle every line and reveal them by their absence
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

current_job: contextvars.ContextVar[tuple[int | None, str]] = contextvars.ContextVar("current_job", default=(None, ""))


class Redactor:
    """Masks every registered secret in a text."""

    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()

    def register(self, secrets: Iterable[str]) -> None:
        """Add secrets; the longest are masked first so that a part never unmasks the whole."""
        known = {*self._secrets, *(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)}
        self._secrets = tuple(sorted(known, key=lambda secret: (-len(secret), secret)))

    def mask(self, text: str) -> str:
        """Return the text with every registered secret masked."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


REDACTOR: Final = Redactor()


class TextFormatter(logging.Formatter):
    """``2026-11-22T09:30:00.123Z WARNING qsuite_console.engine job=12 correlation=ab12 message``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the traceback after it where there is one."""
        job_id, correlation = _job_of(record)
        context = f" job={job_id}" if job_id is not None else ""
        context += f" correlation={clean(correlation, 64)}" if correlation else ""
        line = f"{_instant(record)} {record.levelname} {record.name}{context} {clean(record.getMessage(), 10_000)}"
        return REDACTOR.mask(line + _traceback(self, record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON; extra attributes are kept under their own names."""
        job_id, correlation = _job_of(record)
        fields: dict[str, object] = {
            "at": _instant(record),
            "level": record.levelname,
            "logger": record.name,
            "message": clean(record.getMessage(), 10_000),
        }
        if job_id is not None:
            fields["job_id"] = job_id
        if correlation:
            fields["correlation_id"] = correlation
        extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        fields = {**extra, **fields}
        if record.exc_info:
            fields["traceback"] = _traceback(self, record).strip()
        return REDACTOR.mask(json.dumps(fields, default=str, ensure_ascii=False))


class PrivateRotatingFile(logging.handlers.RotatingFileHandler):
    """A rotating file only its owner can read, whatever the umask is; a full disk never reaches the caller."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = os.open(self.baseFilename, flags, stat.S_IRUSR | stat.S_IWUSR)
        os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR)
        return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the line: a log that can't be written must neither end a job nor write over the screen."""


class Tail(logging.Handler):
    """Keeps the newest lines in memory, so that a screen can show them: masked, cleaned, bounded.

    ``file`` is where all of them are, "" while none is written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter())
        self.file = ""
        self._lines: deque[LogLine] = deque(maxlen=TAIL_LINES)
        self._newest = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record; the handler's lock is held."""
        job_id, _ = _job_of(record)
        number = job_id if isinstance(job_id, int) else 0
        source = record.name.removeprefix("qsuite_console.")
        text = f"{source}: {clean(record.getMessage(), _TAIL_MOST)}{_traceback(self.formatter, record)}"
        self._newest += 1
        self._lines.append(
            LogLine(
                job_id=number,
                number=self._newest,
                at=datetime.fromtimestamp(record.created, UTC),
                level=record.levelname,
                message=REDACTOR.mask(text)[:_TAIL_MOST],
            )
        )

    def lines(self, most: int) -> tuple[LogLine, ...]:
        """Return at most ``most`` lines, the newest, oldest of them first; from any thread."""
        with self.lock or contextlib.nullcontext():
            kept = tuple(self._lines)
        return kept[-most:]


TAIL: Final = Tail()


def configure(
    log_file: Path, *, level: str = "INFO", secrets: Iterable[str] = (), is_json: bool = False, on_stderr: bool = False
) -> None:
    """Send every record to ``log_file`` and, where asked, to stderr; replaces what was configured before.

    Raises nothing for a directory that can't be written: the file is left out and stderr says so.
    """
    REDACTOR.register(secrets)
    formatter = JsonFormatter() if is_json else TextFormatter()
    handlers: list[logging.Handler] = []
    try:
        log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handlers.append(PrivateRotatingFile(log_file, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8"))
    except OSError as error:
        if on_stderr:
            sys.stderr.write(f"warning: no log file: {log_file}: {error.strerror}\n")
    TAIL.file = str(log_file) if handlers else ""
    if on_stderr:
        handlers.append(logging.StreamHandler(sys.stderr))
    root = logging.getLogger()
    for handler in (*root.handlers,):
        if isinstance(handler, PrivateRotatingFile) or getattr(handler, "is_ours", False):
            root.removeHandler(handler)
            handler.close()
    for handler in handlers:
        handler.setFormatter(formatter)
        handler.__dict__["is_ours"] = True
        root.addHandler(handler)
    if TAIL not in root.handlers:
        root.addHandler(TAIL)
    root.setLevel(level)
    for chatty in ("aiohttp.access", "asyncio", "fontTools", "weasyprint"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.raiseExceptions = False


def _job_of(record: logging.LogRecord) -> tuple[object, str]:
    job_id, correlation = current_job.get()
    fields = record.__dict__
    return fields.get("job_id", job_id), str(fields.get("correlation_id", correlation))


def _instant(record: logging.LogRecord) -> str:
    instant = datetime.fromtimestamp(record.created, UTC)
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def _traceback(formatter: logging.Formatter | None, record: logging.LogRecord) -> str:
    if formatter is None or not record.exc_info:
        return ""
    return "\n" + clean(formatter.formatException(record.exc_info), 100_000, one_line=False)
