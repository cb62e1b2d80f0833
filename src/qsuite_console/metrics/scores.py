"""Scores from 0 to 100 that count only what was measured, and whose worst figure caps the whole.

Each figure maps piecewise to points: ok 100, warning 75, critical 40, dead 0. Unknown is neither 0 nor 100: it is left
out, and an area of which less than half is known has no score. The guides' plain formulas are kept beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from qsuite_console.model.advice import Component, Measure, Score

DATABASE: Final = "database"
CACHE: Final = "cache"
SYSTEM: Final = "system"
OVERALL: Final = "overall"
AREAS: Final = (DATABASE, CACHE, SYSTEM)
_POINTS: Final = (100.0, 75.0, 40.0, 0.0)
_HEADROOM: Final = 25.0  # how far above its worst part a whole may stand
_ENOUGH: Final = 0.5


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure's limits (ok, warning, critical, dead; falling ones get worse downwards) and weight in its area."""

    id: str
    title: str
    unit: str
    limits: tuple[float, float, float, float]
    weight: float

    @property
    def area(self) -> str:
        """Return "database" of "database.connections"."""
        return self.id.partition(".")[0]


METRICS: Final[Mapping[str, Metric]] = {
    metric.id: metric
    for metric in (
        Metric("database.connections", "connections in use", "%", (60, 80, 90, 100), 3),
        Metric("database.lock_wait", "longest wait for a lock", "s", (0, 10, 60, 300), 2),
        Metric("database.transaction", "longest transaction", "s", (60, 300, 1800, 7200), 2),
        Metric("database.hit_rate", "cache hit rate", "%", (99, 95, 90, 70), 1),
        Metric("database.rollbacks", "transactions rolled back", "%", (2, 5, 15, 50), 1),
        Metric("database.checkpoints", "checkpoints forced by WAL", "%", (10, 30, 60, 100), 1),
        Metric("database.replication", "replication behind", "MiB", (16, 128, 1024, 8192), 2),
        Metric("database.dead_rows", "dead rows of autovacuum's trigger", "times", (1, 2, 5, 20), 1),
        Metric("database.xid_age", "transaction ids of the forced vacuum", "%", (50, 80, 95, 100), 2),
        Metric("database.disk", "disk of the data in use", "%", (75, 85, 92, 98), 3),
        Metric("cache.memory", "memory in use", "%", (70, 85, 95, 100), 3),
        Metric("cache.hit_rate", "hit rate", "%", (90, 80, 60, 0), 2),
        Metric("cache.evictions", "keys evicted", "/s", (0, 1, 50, 1000), 2),
        Metric("cache.broker_evictions", "messages' keys evicted", "/s", (0, 0, 0, 0), 2),
        Metric("cache.clients", "clients connected", "%", (60, 80, 90, 100), 1),
        Metric("cache.ping", "PING, 95th percentile", "ms", (1, 5, 25, 200), 2),
        Metric("cache.fragmentation", "memory fragmentation", "times", (1.5, 2, 3, 6), 1),
        Metric("cache.persistence", "last save good", "1/0", (1, 1, 0, -1), 2),
        Metric("system.cpu", "CPU busy", "%", (70, 85, 95, 100), 2),
        Metric("system.memory", "memory not available", "%", (80, 90, 95, 99), 3),
        Metric("system.load", "load a core", "", (1, 1.5, 3, 8), 1),
        Metric("system.iowait", "CPU waiting for disks", "%", (10, 20, 40, 80), 1),
        Metric("system.swap_in", "swapped in", "MiB/s", (0, 1, 10, 100), 2),
    )
}


def points(limits: tuple[float, float, float, float], value: float) -> float:
    """Return 0 to 100 for a value between its limits, linear from each limit to the next."""
    sign = -1.0 if limits[-1] < limits[0] else 1.0
    stops = [sign * limit for limit in limits]
    at = sign * value
    if at <= stops[0]:
        return _POINTS[0]
    for low, high, better, worse in zip(stops, stops[1:], _POINTS, _POINTS[1:], strict=False):
        if at <= high and high > low:
            return better - (better - worse) * (at - low) / (high - low)
    return _POINTS[-1]


def measure(metric_id: str, value: float | None, why: str = "") -> Measure:
    """Return a figure with its points; ``why`` tells why there is no value."""
    metric = METRICS[metric_id]
    return Measure(
        id=metric.id,
        area=metric.area,
        title=metric.title,
        unit=metric.unit,
        value=value,
        why=why if value is None else "",
        limits=metric.limits,
        weight=metric.weight,
        score=None if value is None else round(points(metric.limits, value), 1),
    )


def area_score(
    area: str, measures: Iterable[Measure], *, failure: str = "", absent: str = "", components: Sequence[Component] = ()
) -> Score:
    """Return one area's score. ``failure``: it does not answer, which is 0; ``absent``: there is none to score."""
    if absent:
        return Score(area=area, reasons=(absent,), components=tuple(components))
    if failure:
        return Score(area=area, value=0.0, known=1.0, reasons=(failure,), components=tuple(components))
    own = [one for one in measures if one.area == area]
    known = [one for one in own if one.score is not None]
    whole = sum(one.weight for one in own)
    share = sum(one.weight for one in known) / whole if whole else 0.0
    missing = tuple(f"not measured: {one.title} ({one.why})" for one in own if one.score is None)
    if not known or share < _ENOUGH:
        told = (f"only {share * 100:.0f} % of what counts was measured", *missing)
        return Score(area=area, known=round(share, 3), reasons=told, components=tuple(components))
    mean = sum(one.weight * (one.score or 0.0) for one in known) / sum(one.weight for one in known)
    lost = sorted((one for one in known if (one.score or 0.0) < 100.0), key=lambda one: one.score or 0.0)
    return Score(
        area=area,
        value=round(_capped(mean, min(one.score or 0.0 for one in known)), 1),
        known=round(share, 3),
        reasons=(*(_reason(one) for one in lost), *missing),
        components=tuple(components),
    )


def overall(areas: Sequence[Score], *, absent: Sequence[str] = (), components: Sequence[Component] = ()) -> Score:
    """Return the score of the whole by the same rule over the areas; those in ``absent`` don't exist here."""
    present = [score for score in areas if score.area not in absent]
    known = [score for score in present if score.value is not None]
    share = len(known) / len(present) if present else 0.0
    missing = tuple(f"not scored: {score.area}" for score in present if score.value is None)
    if not known or share < _ENOUGH:
        return Score(area=OVERALL, known=round(share, 3), reasons=missing, components=tuple(components))
    values = {score.area: score.value or 0.0 for score in known}
    mean = sum(values.values()) / len(values)
    value = _capped(mean, min(values.values()))
    lost = sorted((one for one in values.items() if one[1] < 100.0), key=lambda one: one[1])
    reasons = [f"{area} has {points_:.0f}" for area, points_ in lost]
    if value < mean:
        reasons.append(f"capped {_HEADROOM:.0f} above the worst: the mean would be {mean:.0f}")
    return Score(
        area=OVERALL,
        value=round(value, 1),
        known=round(share, 3),
        reasons=(*reasons, *missing),
        components=tuple(components),
    )


def guide_components(
    *, hit: float | None, long_queries: float | None, cache_hit: float | None, cpu: float | None, memory: float | None
) -> dict[str, Component]:
    """Return the guides' own scores by area, each None where an input was not measured."""
    database = system = None
    if hit is not None and long_queries is not None:
        database = max(0.0, 100 - 2 * max(0.0, 95 - hit) - 5 * long_queries)
    if cpu is not None and memory is not None:
        system = max(0.0, 100 - 2 * max(0.0, cpu - 70) - 3 * max(0.0, memory - 80))
    known = [value for value in (database, cache_hit, system) if value is not None]
    mean = sum(known) / len(known) if known else None
    formulas = {
        DATABASE: ("100 - 2 per point of hit rate below 95 - 5 per query over 30 s", database),
        CACHE: ("hit rate", cache_hit),
        SYSTEM: ("100 - 2 per point of CPU above 70 - 3 per point of memory above 80", system),
        OVERALL: ("mean of those that are known", mean),
    }
    return {
        area: Component(title="plain formula", formula=formula, value=None if value is None else round(value, 1))
        for area, (formula, value) in formulas.items()
    }


def _capped(mean: float, worst: float) -> float:
    return min(mean, worst + _HEADROOM) if worst < _POINTS[1] else mean


def _reason(one: Measure) -> str:
    quantity = f"{one.value:,.1f}".removesuffix(".0") if one.value is not None else ""
    limit = f"good is {one.limits[0]:g}"
    return f"{one.title}: {quantity} {one.unit}".rstrip() + f" ({limit}, scores {one.score:.0f})"
