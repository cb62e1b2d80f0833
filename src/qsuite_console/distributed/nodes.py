"""A headless engine as a node: it claims runs of the queues it serves from the table, whosever they are, and does them.

Several nodes share one table without knowing of each other: a claim skips what another holds. What a node does is in
nobody's history but that of the console whose job it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from qsuite_console.db.errors import DatabaseError
from qsuite_console.distributed.claimer import Claimer
from qsuite_console.model.handing import Execution, Run
from qsuite_console.model.text import clean

POLL_S: Final = 1.0  # where no word is heard
RETRY_S: Final = 5.0
PRESS_S: Final = 3.0  # for clean-up after a cancellation
log = logging.getLogger(__name__)


class Node:
    """One per headless engine, on its loop. ``slots``: queue -> how many of its runs are done here at once."""

    def __init__(self, claimer: Claimer, slots: Mapping[str, int]) -> None:
        self._claimer = claimer
        self._slots = dict(slots)
        self._kinds = sorted(name for name, worker in claimer.workers.items() if not worker.kind.needs_host)
        self._busy: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._is_away = False

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Claim and do runs until the block ends; those still under way then are left to their leases."""
        serves = [name for name, count in self._slots.items() if count]
        hearing = self._claimer.book.listen(self._hear, serves=serves, knows=self._kinds if serves else ())
        listening = asyncio.create_task(hearing, name="node-listen")
        serving = asyncio.create_task(self._serve(), name="node")
        log.info("node %s serves %s", self._claimer.owner, ", ".join(f"{n} ({s})" for n, s in self._slots.items()))
        try:
            async with self._claimer.attending(listens=False):
                try:
                    yield
                finally:
                    for task in (listening, serving, *self._tasks):
                        task.cancel()
                    await asyncio.gather(listening, serving, *self._tasks, return_exceptions=True)
        finally:
            self._is_stopping = True

    async def drain(self, patience_s: float, hurry: asyncio.Event) -> None:
        """Claim nothing more and give back what does not end in time; ``hurry`` cuts the patience short."""
        self._is_stopping = True
        self._claimer.drain(patience_s)
        hurried = asyncio.ensure_future(hurry.wait())
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s
        while self._tasks and not hurried.done() and loop.time() < until:
            await asyncio.wait({*self._tasks, hurried}, timeout=until - loop.time(), return_when="FIRST_COMPLETED")
        hurried.cancel()
        if self._tasks:
            self._claimer.press()
            await asyncio.wait({*self._tasks}, timeout=PRESS_S)

    def _hear(self, word: str) -> None:
        self._claimer.hear(word)
        if word in (f"put {Execution.NODES}", "open"):
            self._woken.set()

    async def _serve(self) -> None:
        while not self._is_stopping:
            try:
                await self._claim()
            except DatabaseError as error:
                if not self._is_away:
                    log.warning("node: no runs are claimed: %s", error.message)
                self._is_away = True
                await asyncio.sleep(RETRY_S)
            except Exception:
                log.exception("node: claiming failed and goes on")
                await asyncio.sleep(RETRY_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            self._woken.clear()

    async def _claim(self) -> None:
        book = self._claimer.book
        await book.prepare()
        free = {name: slots - self._busy[name] for name, slots in self._slots.items()}
        if not any(count > 0 for count in free.values()):
            return
        runs = await book.claim(free, kinds=self._kinds, owner=self._claimer.owner)
        if self._is_away:
            log.info("node: runs are claimed again")
        self._is_away = False
        for run in runs:
            self._busy[run.claim.job.queue] += 1
            task = asyncio.create_task(self._do(run), name=f"run-{run.run_id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if self._is_stopping:  # the drain came while the claim was under way: it is given back
                asyncio.get_running_loop().call_soon(self._claimer.drain, 0.0)

    async def _do(self, run: Run) -> None:
        job = run.claim.job
        log.info("run of job %d (%s) for %s: %s", job.id, job.kind, run.home, clean(job.title, 200))
        try:
            ending = await self._claimer.execute(run)
            log.info("run of job %d %s", job.id, "was given up" if ending is None else ending.outcome)
        except Exception:
            log.exception("run of job %d failed here; its lease gives it to another", job.id)
        finally:
            self._busy[job.queue] -= 1
            self._woken.set()
