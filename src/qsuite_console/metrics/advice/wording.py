"""Values as PostgreSQL writes them, evidence, and statements quoted so that any name is safe in them."""

from __future__ import annotations

from typing import Final

from qsuite_console.metrics import units
from qsuite_console.model.advice import Evidence
from qsuite_console.model.text import clean

_BYTES: Final = (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024))
_TIMES: Final = (("h", 3600), ("min", 60), ("s", 1))


def bytes_setting(value: float) -> str:
    """Return bytes as PostgreSQL takes and shows them: "4GB", "20164kB"; 0 and -1 as they are."""
    whole = int(value)
    if whole <= 0:
        return str(whole)
    for unit, size in _BYTES:
        if whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}B"


def seconds_setting(value: float) -> str:
    """Return seconds as PostgreSQL takes and shows them: "15min"; below one, milliseconds."""
    if value <= 0:
        return f"{value:g}"
    if value < 1 or value != int(value):
        return f"{value * 1000:g}ms"
    for unit, size in _TIMES:
        if int(value) % size == 0:
            return f"{int(value) // size}{unit}"
    raise AssertionError("unreachable")


def alter_system(name: str, value: str) -> str:
    """Return the statement that sets ``name``; both are quoted."""
    return f'ALTER SYSTEM SET "{name.replace(chr(34), chr(34) * 2)}" = {literal(value)};'


def literal(text: str) -> str:
    """Return ``text`` as an SQL string that is the same whatever standard_conforming_strings says."""
    quoted = text.replace("'", "''")
    if "\\" in quoted:
        doubled = quoted.replace("\\", "\\\\")
        return f"E'{doubled}'"
    return f"'{quoted}'"


def count(name: str, value: float, unit: str = "") -> Evidence:
    """Return a counted value."""
    return Evidence(name=name, value=value, text=f"{units.count(value)} {unit}".strip())


def size(name: str, value: float) -> Evidence:
    """Return a number of bytes."""
    return Evidence(name=name, value=value, text=units.size(value))


def percent(name: str, value: float) -> Evidence:
    """Return a share in percent."""
    return Evidence(name=name, value=value, text=units.percent(value))


def span(name: str, seconds: float) -> Evidence:
    """Return a duration in seconds."""
    return Evidence(name=name, value=seconds, text=units.span(seconds))


def number(name: str, value: float, unit: str = "") -> Evidence:
    """Return a number with up to two decimals."""
    return Evidence(name=name, value=value, text=f"{value:,.2f}".rstrip("0").rstrip(".") + (f" {unit}" if unit else ""))


def word(name: str, value: object) -> Evidence:
    """Return a value that is text."""
    text = clean(value, 300)
    return Evidence(name=name, value=text, text=text)
