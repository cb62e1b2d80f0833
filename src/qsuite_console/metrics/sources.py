"""What a reader of one source must offer, and the small vocabulary readers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import structs

from qsuite_console.metrics import thresholds
from qsuite_console.metrics.thresholds import Rule
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.health import Figure, Level

MEASURING = "measuring"  # a rate needs two samples


class SourceSilent(ConsoleError):
    """A source gave no answer; the message is what its tile says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement. ``watched``: rule id -> value for the alerts, None where it could not be measured."""

    headline: Figure
    figures: tuple[Figure, ...] = ()
    watched: Mapping[str, float | None] = field(default_factory=dict)
    problem: str = ""  # why the figures are older than this sample; what is watched is new all the same


@dataclass(slots=True)
class OwnLoad:
    """Transactions that watching itself made on the database since they were last taken off its load."""

    transactions: int = 0


class Source(Protocol):
    """Reads one thing. ``read`` may be cancelled at any time and must stay usable after it."""

    name: str
    title: str

    @property
    def unconfigured(self) -> str:
        """Return why there is nothing to read ("not configured: set …"), or ""."""
        ...

    @property
    def headline(self) -> Figure:
        """Return the headline as it looks before the first sample."""
        ...

    async def read(self) -> Sample:
        """Measure now; raises ConsoleError."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def figure(name: str, label: str, text: str, value: float | None, unit: str = "") -> Figure:
    """Return a figure without limits; one that was not measured is of unknown level."""
    return Figure(
        name=name, label=label, text=text, value=value, unit=unit, level=Level.UNKNOWN if value is None else Level.OK
    )


def judged(name: str, label: str, text: str, value: float | None, rule_id: str, measured: float | None) -> Figure:
    """Return a figure with limits: ``measured`` is what its rule compares, ``value`` the number in the text.

    Its level is that of the default limits; whoever knows the effective ones judges anew (``rejudged``).
    """
    rule = thresholds.RULES[rule_id]
    return rejudged(
        rule,
        Figure(
            name=name,
            label=label,
            text=text,
            value=measured,
            unit=rule.unit,
            amount=None if value == measured else value,
            level=Level.UNKNOWN,
        ),
    )


def rejudged(rule: Rule, figure: Figure) -> Figure:
    """Return a figure with the limits of a rule and the level its value has by them."""
    if not rule.enabled:
        return structs.replace(figure, level=Level.UNKNOWN if figure.value is None else Level.OK, limit="")
    standing = figure.level if figure.value is None else thresholds.level(rule, figure.value)
    return structs.replace(figure, level=standing, limit=thresholds.limits(rule))


def share(part: float | None, whole: float | None) -> float | None:
    """Return ``part`` of ``whole`` in percent, or None when there is no whole."""
    if part is None or not whole:
        return None
    return 100.0 * part / whole


class Rates:
    """Differences of counters over the interval since the last sample, never since boot."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._epoch: object = None
        self._counters: Mapping[str, float] = {}
        self.seconds = 0.0

    def advance(self, at: float, counters: Mapping[str, float], *, epoch: object = None) -> Mapping[str, float] | None:
        """Return each counter's growth since the last call, or None for a first, reset or restarted interval.

        ``at`` is the source's own clock in seconds; ``epoch`` identifies a life of the counters (start, last reset).
        """
        before, self._counters = self._counters, dict(counters)
        was_at, self._at = self._at, at
        was_epoch, self._epoch = self._epoch, epoch
        if was_at is None or at <= was_at or was_epoch != epoch or before.keys() != counters.keys():
            return None
        grown = {name: value - before[name] for name, value in counters.items()}
        if any(value < 0 for value in grown.values()):
            return None
        self.seconds = at - was_at
        return grown

    def forget(self) -> None:
        """Start over, as after a lost connection to what may be another server."""
        self._at = None
