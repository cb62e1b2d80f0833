"""What Celery's events add up to: who is there, how often each task ran, how long and how well. No I/O; bounded.

A worker's own clock dates an event only in differences of its own; when something was heard is our clock's business.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from qsuite_console.logs import REDACTOR
from qsuite_console.model.celery import CeleryEnd, CeleryKind
from qsuite_console.model.clock import Clock
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.cache.celery_wire import Event

WINDOW_S: Final = 900.0
RATE_S: Final = 60.0
_SLOT_S: Final = 10.0
_KINDS: Final = 300
_RUNTIMES: Final = 500  # of each kind, newest
_UNDER_WAY: Final = 20_000
_ENDS: Final = 2000
_WORKERS: Final = 1000
_KEPT_S: Final = 1800.0  # a worker that is gone
_LONGEST_ID: Final = 200
_BUFFERED_S: Final = 3.0  # how long a worker may keep events of tasks back
_BEATS: Final = 3.0  # heartbeats that may be missing
_LEAST_SILENCE_S: Final = 10.0
_ENDINGS: Final = {
    "task-succeeded": "succeeded",
    "task-failed": "failed",
    "task-retried": "retried",
    "task-revoked": "revoked",
    "task-rejected": "rejected",
}


@dataclass(slots=True)
class Worker:
    """One worker by its events; times are monotonic seconds of ours."""

    name: str
    heard: float
    freq: float = 2.0
    is_offline: bool = False
    pid: int | None = None
    version: str = ""
    active: int | None = None
    processed: int | None = None
    load: float | None = None
    ahead_s: float | None = None
    task_told: float | None = None  # when it last told of a task
    worked: float | None = None  # when a heartbeat last told that tasks had ended
    counted: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=40))  # processed, over time

    def is_silent(self, now: float) -> bool:
        """Return whether its heartbeats stopped."""
        return now - self.heard > max(_LEAST_SILENCE_S, _BEATS * self.freq)

    def rate(self, now: float) -> float | None:
        """Return the tasks it ended a second over the last minute, None before two heartbeats."""
        first = next((one for one in self.counted if now - one[0] <= RATE_S), None)
        last = self.counted[-1] if self.counted else None
        if first is None or last is None or last[0] - first[0] < self.freq / 2:
            return None
        return (last[1] - first[1]) / (last[0] - first[0])


@dataclass(slots=True)
class _Under:
    """A task of which no end is known yet."""

    name: str = ""
    started: float | None = None  # by its worker's clock
    retries: int = 0


@dataclass(slots=True)
class _Kind:
    name: str
    slots: deque[tuple[int, dict[str, int]]] = field(default_factory=lambda: deque(maxlen=int(WINDOW_S / _SLOT_S)))
    runtimes: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_RUNTIMES))
    last_error: str = ""
    last_failed_at: datetime | None = None
    used: float = 0.0

    def count(self, state: str, now: float) -> None:
        slot = int(now // _SLOT_S)
        if not self.slots or self.slots[-1][0] != slot:
            self.slots.append((slot, {}))
        counts = self.slots[-1][1]
        counts[state] = counts.get(state, 0) + 1

    def counted(self, state: str, now: float, window_s: float) -> int:
        first = (now - window_s) // _SLOT_S
        return sum(counts.get(state, 0) for slot, counts in self.slots if slot > first)


class Tally:
    """Takes events as they come; used on one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.workers: dict[str, Worker] = {}
        self.since: float | None = None  # listened without a gap
        self.events = 0
        self._under_way: OrderedDict[str, _Under] = OrderedDict()
        self._kinds: dict[str, _Kind] = {}
        self._ends: deque[CeleryEnd] = deque(maxlen=_ENDS)

    @property
    def covered_s(self) -> float:
        """Return how long events were listened to without a gap."""
        return 0.0 if self.since is None else self._clock.monotonic() - self.since

    def begin(self) -> None:
        """Note that events are heard from now on."""
        self.since = self._clock.monotonic()

    def lost(self) -> None:
        """Note that events are not heard any more: what was under way may end unheard."""
        self.since = None
        self._under_way.clear()
        for worker in self.workers.values():
            worker.counted.clear()

    def take(self, events: Iterable[Event]) -> None:
        """Count what was told."""
        now = self._clock.monotonic()
        for event in events:
            self.events += 1
            if event.type.startswith("worker-"):
                self._worker(event, now)
            elif event.type.startswith("task-") and 0 < len(event.uuid) <= _LONGEST_ID:
                self._task(event, now)

    def kinds(self) -> list[CeleryKind]:
        """Return each kind of task over the window."""
        now = self._clock.monotonic()
        return [self._summed(kind, now) for kind in self._kinds.values() if now - kind.used <= WINDOW_S]

    def total(self, state: str) -> int:
        """Return how many tasks ended so over the window."""
        now = self._clock.monotonic()
        return sum(kind.counted(state, now, WINDOW_S) for kind in self._kinds.values())

    def ends(self) -> list[CeleryEnd]:
        """Return the newest ends, newest first."""
        return list(reversed(self._ends))

    def name_of(self, task_id: str) -> str:
        """Return the name of a task that was seen, "" of an unknown one."""
        known = self._under_way.get(task_id)
        if known is not None:
            return known.name
        return next((end.name for end in reversed(self._ends) if end.id == task_id), "")

    def quiet(self) -> tuple[str, ...]:
        """Return the workers that work and tell nothing of their tasks: their events are switched off."""
        now = self._clock.monotonic()
        found = []
        for worker in self.workers.values():
            if worker.worked is None or worker.is_offline or worker.is_silent(now):
                continue
            told = worker.task_told if worker.task_told is not None else -math.inf
            if told < worker.worked - worker.freq - _BUFFERED_S:
                found.append(worker.name)
        return tuple(sorted(found))

    def _worker(self, event: Event, now: float) -> None:
        name = clean(event.hostname, 200)
        known = self.workers.get(name)
        if known is None:
            self._make_room(now)
            known = self.workers[name] = Worker(name, now)
        known.is_offline = event.type == "worker-offline"
        if not known.is_offline or known.heard == 0:
            known.heard = now
        known.freq = event.freq or known.freq
        known.pid, known.version = event.pid or known.pid, clean(event.sw_ver or known.version, 40)
        known.active = event.active if event.active is not None else known.active
        known.load = event.loadavg[0] if event.loadavg else known.load
        known.ahead_s = event.timestamp - self._clock.now().timestamp() if event.timestamp else known.ahead_s
        if event.processed is not None:
            if known.processed is not None and event.processed < known.processed:
                known.counted.clear()  # it was started anew
            elif known.processed is not None and event.processed > known.processed:
                known.worked = now
            known.processed = event.processed
            known.counted.append((now, event.processed))

    def _make_room(self, now: float) -> None:
        gone = [name for name, one in self.workers.items() if now - one.heard > _KEPT_S]
        for name in gone:
            del self.workers[name]
        if len(self.workers) >= _WORKERS:
            del self.workers[min(self.workers.values(), key=lambda one: one.heard).name]

    def _task(self, event: Event, now: float) -> None:
        worker = self.workers.get(clean(event.hostname, 200))
        if worker is not None and event.type != "task-sent":  # it lives: heartbeats may be late where it is busy
            worker.task_told = worker.heard = now
        if (state := _ENDINGS.get(event.type)) is not None:
            self._end(event, state, now)
            return
        under = self._under_way.get(event.uuid)
        if under is None:
            under = self._under_way[event.uuid] = _Under()
            if len(self._under_way) > _UNDER_WAY:
                self._under_way.popitem(last=False)
        under.name = clean(event.name or under.name, 200)
        under.retries = event.retries or under.retries
        if event.type == "task-started":
            under.started = event.timestamp

    def _end(self, event: Event, state: str, now: float) -> None:
        # A task that is retried keeps its id; its next try may have been received before this end is told.
        under = self._under_way.get(event.uuid) or _Under()
        if state != "retried":
            self._under_way.pop(event.uuid, None)
        runtime = event.runtime
        if runtime is None and under.started is not None:
            runtime = max(0.0, event.timestamp - under.started)
        error = REDACTOR.mask(clean(event.exception or "", 300))
        end = CeleryEnd(
            id=clean(event.uuid, 100),
            name=under.name,
            state=state,
            worker=clean(event.hostname, 200),
            at=self._clock.now(),
            runtime_s=runtime,
            retries=under.retries,
            error=error,
        )
        self._ends.append(end)
        kind = self._kind(under.name, now)
        kind.count(state, now)
        if state in ("succeeded", "failed") and runtime is not None:
            kind.runtimes.append((now, runtime))
        if state == "failed":
            kind.last_error, kind.last_failed_at = error, end.at

    def _kind(self, name: str, now: float) -> _Kind:
        kind = self._kinds.get(name)
        if kind is None:
            if len(self._kinds) >= _KINDS:
                del self._kinds[min(self._kinds.values(), key=lambda one: one.used).name]
            kind = self._kinds[name] = _Kind(name)
        kind.used = now
        return kind

    def _summed(self, kind: _Kind, now: float) -> CeleryKind:
        runtimes = sorted(runtime for at, runtime in kind.runtimes if now - at <= WINDOW_S)
        states = ("succeeded", "failed", "retried", "revoked")
        counts = {state: kind.counted(state, now, WINDOW_S) for state in states}
        heard_s = min(RATE_S, self.covered_s)
        lately = sum(kind.counted(state, now, RATE_S) for state in ("succeeded", "failed", "revoked"))
        return CeleryKind(
            name=kind.name,
            succeeded=counts["succeeded"],
            failed=counts["failed"],
            retried=counts["retried"],
            revoked=counts["revoked"],
            rate=lately / heard_s if heard_s >= _SLOT_S else None,
            p50_s=quantile(runtimes, 0.50),
            p95_s=quantile(runtimes, 0.95),
            p99_s=quantile(runtimes, 0.99),
            longest_s=runtimes[-1] if runtimes else None,
            last_error=kind.last_error,
            last_failed_at=kind.last_failed_at,
        )


def quantile(ordered: list[float], share: float) -> float | None:
    """Return the smallest value that at least ``share`` of the values do not exceed; None of none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
