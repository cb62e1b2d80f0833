"""What ``doctor`` looks at. A check returns findings and never raises; each finding says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check ended; only ``fail`` makes ``doctor`` end with 1."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination."""

    name: str
    verdict: Verdict
    what: str
    todo: str = ""


def ok(name: str, what: str) -> Finding:
    """Return a finding that needs nothing done."""
    return Finding(name, Verdict.OK, what)


def warn(name: str, what: str, todo: str) -> Finding:
    """Return a finding that takes something away without stopping the rest."""
    return Finding(name, Verdict.WARN, what, todo)


def fail(name: str, what: str, todo: str) -> Finding:
    """Return a finding that must be put right."""
    return Finding(name, Verdict.FAIL, what, todo)
