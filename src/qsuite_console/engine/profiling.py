"""Where a job's time goes on the engine's loop, measured only for jobs somebody asked about.

Jobs share one loop, so a profiler that is simply switched on would tell of all of them. Here it is on just while a step
of this job runs: of its own task, and of every task made in its context since. What other threads and processes do for
it is not seen.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import time
from collections.abc import Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any, Final

from qsuite_console.logs import current_job
from qsuite_console.model.text import clean

SHOWN: Final = 15
_PARTS: Final = 3  # of a path
_measured: Final[dict[tuple[int | None, str], JobProfile]] = {}  # what current_job says -> its profile


class JobProfile:
    """The profile of one attempt; used on the loop it runs on."""

    def __init__(self) -> None:
        self.steps = 0
        self.busy_s = 0.0
        self.longest_s = 0.0
        self._profiler = cProfile.Profile()
        self._is_on = False

    def step(self, resume: Callable[..., Any], *given: Any) -> Any:
        """Run one step of one of the job's tasks, measured."""
        if self._is_on:  # a task's step inside of its driver's
            return resume(*given)
        self._is_on = True
        began = time.perf_counter()
        self._profiler.enable()
        try:
            return resume(*given)
        finally:
            self._profiler.disable()
            took_s = time.perf_counter() - began
            self.steps += 1
            self.busy_s += took_s
            self.longest_s = max(self.longest_s, took_s)
            self._is_on = False

    def start(self, key: tuple[int | None, str]) -> None:
        """Measure the tasks that are made from now on in the context of the job ``key`` as well."""
        _measured[key] = self
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is None:
            loop.set_task_factory(_make_task)

    def stop(self, key: tuple[int | None, str]) -> None:
        """Measure no more."""
        if _measured.get(key) is self:
            del _measured[key]
        loop = asyncio.get_running_loop()
        if not _measured and loop.get_task_factory() is _make_task:
            loop.set_task_factory(None)

    def lines(self, run_s: float) -> Iterator[str]:
        """Yield what was found, as lines of the job's log."""
        yield (
            f"profile: {self.steps:,} steps on the engine's loop took {self.busy_s:.3f} s of {run_s:.3f} s,"
            f" the longest {self.longest_s * 1000:.1f} ms; other threads and processes are not in it"
        )
        if not self.steps:
            return
        yield "profile:  own s  with its calls s    times  function"
        found: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = pstats.Stats(self._profiler).stats  # type: ignore[attr-defined]  # not in typeshed
        rows = [(own_s, all_s, times, where) for where, (_, times, own_s, all_s, _callers) in found.items()]
        for own_s, all_s, times, where in sorted(rows, key=lambda row: -row[0])[:SHOWN]:
            yield f"profile: {own_s:6.3f} {all_s:17.3f} {times:8,}  {_name(*where)}"


class _Measured(Coroutine[Any, Any, Any]):
    """A task's coroutine whose steps are measured."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], profile: JobProfile) -> None:
        self._coroutine = coroutine
        self._profile = profile
        self.__name__ = getattr(coroutine, "__name__", "measured")
        self.__qualname__ = getattr(coroutine, "__qualname__", "measured")

    def send(self, value: Any) -> Any:
        return self._profile.step(self._coroutine.send, value)

    def throw(self, *failure: Any) -> Any:
        return self._profile.step(self._coroutine.throw, *failure)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> asyncio.Future[Any]:
    context = options.get("context")
    profile = _measured.get(current_job.get() if context is None else context.get(current_job))
    if profile is not None and isinstance(coroutine, Coroutine):
        coroutine = _Measured(coroutine, profile)
    return asyncio.Task(coroutine, loop=loop, **options)


def _name(path: str, line: int, function: str) -> str:
    if path in ("", "~"):
        return clean(function, 120)
    parts = Path(path).parts[-_PARTS:]
    return clean(f"{'/'.join(parts)}:{line} {function}", 160)
