"""What passes between the engine and the process that renders: orders in, frames out. No path and no name of a file."""

from __future__ import annotations

import struct
from enum import StrEnum
from typing import Final

import msgspec

from qsuite_console.reports.document import Document

HEADER: Final = struct.Struct("!cI")  # kind of frame, bytes that follow
STEP, DATA, END, FAILED, READY = b"S", b"D", b"E", b"X", b"R"
LENGTH: Final = struct.Struct("!I")
LARGEST: Final = 256 * 1024 * 1024  # bytes of one order


class Why(StrEnum):
    """Why nothing was rendered."""

    LIBRARY = "library"  # Pango or WeasyPrint is missing
    FONTS = "fonts"
    TEMPLATE = "template"
    MEMORY = "memory"
    DEPTH = "depth"  # elements within elements within elements
    OTHER = "other"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One document to render, as ``html`` or ``pdf``."""

    format: str
    document: Document
    template: str | None = None
    is_tagged: bool = False
    is_archive: bool = False  # PDF/A
    memory: int = 0  # bytes beyond what the libraries take
    cpu_s: float = 0.0


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is: a step of ``STEPS``, and how far within it where that is known."""

    step: int
    message: str


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a rendering: what it made, and what was asked for outside and refused."""

    pages: int = 0
    bytes: int = 0
    refused: tuple[str, ...] = ()
    refused_total: int = 0
    seconds: float = 0.0
    peak: int = 0  # bytes


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing came of it."""

    why: Why
    message: str


STEPS: Final = 7  # page, parsed, styled, structure, layout, drawn, written
