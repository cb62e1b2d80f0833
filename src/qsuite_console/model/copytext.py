"""PostgreSQL's COPY text: a row a line, fields between tabs, ``\\N`` for NULL. Exact for every type.

Tabs, newlines and backslashes within a value are escaped: a real tab or newline is always the format's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

NULL: Final = b"\\N"
_ESCAPED: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SPECIAL: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def fields_of(line: bytes) -> list[bytes]:
    """Return the fields of a line without its end, still escaped."""
    return line.split(b"\t")


def text_of(field: bytes) -> str:
    """Return the value of an escaped field that is not NULL."""
    text = field.decode("utf-8")
    return _ESCAPED.sub(_unescape, text) if "\\" in text else text


def value_of(field: bytes) -> str | None:
    """Return the value of an escaped field, None for NULL."""
    return None if field == NULL else text_of(field)


def escape(value: str | None) -> str:
    """Return a value as a field."""
    if value is None:
        return "\\N"
    return value.translate(_SPECIAL)


def rows_of(data: bytes) -> list[list[str | None]]:
    """Return the values of whole lines."""
    text = data.decode("utf-8")
    lines = text.split("\n")
    del lines[-1]
    if "\\" not in text:
        return [[*line.split("\t")] for line in lines]
    return [
        [None if each == "\\N" else (_ESCAPED.sub(_unescape, each) if "\\" in each else each) for each in fields]
        for fields in (line.split("\t") for line in lines)
    ]


def lines_of(rows: Sequence[Sequence[str | None]]) -> bytes:
    """Return rows as lines; values hold no NUL, as no text of PostgreSQL does."""
    text = "".join(["\t".join(["\0" if value is None else value for value in row]) + "\n" for row in rows])
    tabs = sum(map(len, rows)) - len(rows)
    if "\\" in text or "\r" in text or text.count("\n") != len(rows) or text.count("\t") != tabs:
        text = "".join(["\t".join([escape(value) for value in row]) + "\n" for row in rows])
    return text.replace("\0", "\\N").encode("utf-8")


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    if match[2]:
        return chr(int(match[2], 8))
    return _SHORT.get(match[3], match[3])
