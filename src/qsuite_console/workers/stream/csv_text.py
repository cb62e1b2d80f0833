"""COPY text as CSV (RFC 4180, as PostgreSQL's own): NULL is nothing at all, an empty text is ``""``; and back again.

Values are written as they are. A spreadsheet takes those that begin with = + - or @ for formulas: import them as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from qsuite_console.model.copytext import text_of

# Bytes that no UTF-8 text holds stand for NULL and for an empty text while the separators are exchanged.
_NULL: Final = b"\xff"
_EMPTY: Final = b"\xfe"
_SPECIAL: Final = re.compile(rb'([^\t\n]*[",\\\r][^\t\n]*)')
_FIELD: Final = re.compile(r'"((?:[^"]|"")*)"(?:,|$)|([^,"]*)(?:,|$)', re.DOTALL)


def csv_of(lines: bytes) -> bytes:
    """Return whole lines of COPY text as records."""
    text = _marked(_marked(b"\n" + lines, b"\\N", _NULL), b"", _EMPTY)[1:]
    if any(mark in text for mark in (b'"', b",", b"\\")):
        pieces = _SPECIAL.split(text)
        plain, special = pieces[::2], pieces[1::2]
        found = [b""] * len(pieces)
        found[::2] = [_plain(piece) for piece in plain]
        found[1::2] = [_quoted(text_of(piece)) for piece in special]
        return b"".join(found)
    return _plain(text)


def header_of(names: Sequence[str]) -> bytes:
    """Return the first record."""
    return b",".join(_quoted(name) if re.search('[",\r\n]', name) else name.encode() for name in names) + b"\n"


def read_csv(file: BinaryIO) -> Iterator[list[str | None]]:
    """Yield the records of what ``csv_of`` wrote, the header too."""
    gathered: list[str] = []
    for line in file:
        text = line.decode("utf-8")
        if not gathered and '"' not in text:
            yield [each or None for each in text[:-1].split(",")]
            continue
        gathered.append(text)
        if sum(each.count('"') for each in gathered) % 2 == 0:
            yield _record("".join(gathered)[:-1])
            gathered = []


def _record(text: str) -> list[str | None]:
    found: list[str | None] = []
    for match in _FIELD.finditer(text + ","):
        if match.start() > len(text):
            break
        found.append(match[1].replace('""', '"') if match[1] is not None else match[2] or None)
    return found


def _marked(text: bytes, field: bytes, mark: bytes) -> bytes:
    """Replace fields that are exactly ``field``; twice, since neighbours share a separator."""
    for around in (b"\t%b\t", b"\n%b\t", b"\t%b\n", b"\n%b\n"):
        sought, instead = around % field, around % mark
        if sought in text:
            text = text.replace(sought, instead).replace(sought, instead)
    return text


def _plain(piece: bytes) -> bytes:
    return piece.replace(b"\t", b",").replace(_NULL, b"").replace(_EMPTY, b'""')


def _quoted(value: str) -> bytes:
    return b'"' + value.replace('"', '""').encode("utf-8") + b'"'
