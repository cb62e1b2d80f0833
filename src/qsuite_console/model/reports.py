"""Reports that were made: what a list shows of each, and what the beginning of one looks like in a terminal."""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Unread


class ReportInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One report as a file. ``pages`` is 0 where the format has none."""

    file: str  # its name in the directory of reports
    path: str
    name: str  # "market"
    format: str  # "pdf"
    title: str
    target: str
    window: str  # of the data, in words with its zone
    created_at: datetime
    expires_at: datetime
    bytes: int = 0
    pages: int = 0
    job_id: int = 0
    is_partial: bool = False  # something could not be read, or there was nothing


class ReportList(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``reports.list``, newest first."""

    at: datetime
    reports: tuple[ReportInfo, ...] = ()
    directory: str = ""
    bytes: int = 0
    limit: int = 0  # bytes that all reports together may take
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


class ReportPreview(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``reports.preview``: the report as plain text, a line each."""

    at: datetime
    report: ReportInfo
    lines: tuple[str, ...] = ()
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


class ReportPart(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``reports.content``: bytes of a report's file from ``offset``; none behind its end."""

    at: datetime
    report: ReportInfo
    offset: int = 0
    data: bytes = b""
    size: int = 0  # of the whole file
