"""The console's side: attempts are written to the table, and what is heard of them is mirrored into the history.

One task looks at all runs in hand with one question, twice a second and whenever somebody says a word. A run whose
owner falls silent is given up, and the job's next attempt is handed out from where it got. An engine that finds a run
of an earlier attempt still alive joins it; one that has succeeded unheard is taken at its word.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol, TypeVar

from msgspec import structs

from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.runs import Put, RunBook
from qsuite_console.engine.handing_ports import Following
from qsuite_console.engine.ports import Ending, JobKind
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.handing import Execution, Message, Run, RunNews, RunState
from qsuite_console.model.jobs import Job, Outcome, Progress
from qsuite_console.model.text import clean

POLL_S: Final = 0.5
RETRY_S: Final = 2.0
UNHEEDED_S: Final = 15.0  # after which a run that does not heed its cancellation is given up
PRUNE_S: Final = 3600.0
_DONE_BY: Final = {Execution.NODES: "a node", Execution.CELERY: "a Celery worker"}
T = TypeVar("T")
log = logging.getLogger(__name__)


class Outlet(Protocol):
    """Tells workers that do not look at the table by themselves."""

    resend_s: float

    def open(self) -> AbstractAsyncContextManager[None]:
        """Return what closes its connections at the end."""
        ...

    async def send(self, run: Run, kind: JobKind) -> None:
        """Say that a run may be claimed; raises ConsoleError where nobody hears it."""
        ...

    async def missing(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return those of the unclaimed runs whose message is lost, as far as can be known."""
        ...


class Follower:
    """One per engine; ``open`` is one of its services, ``executor`` what a queue is given."""

    def __init__(self, book: RunBook, home: str, *, max_rescues: int, keep_days: float) -> None:
        self.book = book
        self.home = home
        self.max_rescues = max_rescues
        self._keep_days = keep_days
        self._followed: dict[str, _Followed] = {}
        self._woken = asyncio.Event()
        self._began = asyncio.Event()
        self._chores: set[asyncio.Task[None]] = set()
        self._outlets: dict[Execution, Outlet] = {}

    def executor(self, execution: Execution, in_flight: int, outlet: Outlet | None = None) -> RunExecutor:
        """Return what has jobs done by nodes or Celery workers, so many at once."""
        if outlet is not None:
            self._outlets[execution] = outlet
        return RunExecutor(self, execution, in_flight, outlet)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Follow runs until the block ends; nothing is asked before the first one is handed out."""
        tasks = [asyncio.create_task(work(), name="runs") for work in (self._watch, self._listen, self._care)]
        try:
            yield
        finally:
            for task in (*tasks, *self._chores):
                task.cancel()
            await asyncio.gather(*tasks, *self._chores, return_exceptions=True)

    def add(self, followed: _Followed) -> None:
        """Look for news of a run from now on."""
        self._followed[followed.token] = followed
        self._began.set()
        self._woken.set()

    def remove(self, token: str) -> None:
        """Look for news of it no longer."""
        self._followed.pop(token, None)

    def drop(self, job: Job) -> None:
        """End a run that nobody follows, as its job is over."""
        chore = asyncio.create_task(self._drop(job), name=f"drop-{job.id}")
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    async def _drop(self, job: Job) -> None:
        try:
            await self.book.prepare()
            if await self.book.drop(self.home, job.id, job.correlation_id):
                log.info("job %d is over: its run elsewhere was told to end", job.id)
        except DatabaseError as error:
            log.warning("job %d is over, but its run elsewhere can't be told: %s", job.id, error.message)

    async def _watch(self) -> None:
        while True:
            await self._began.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_S)
            self._woken.clear()
            if not self._followed:
                self._began.clear()
                continue
            known = {token: each.known for token, each in self._followed.items()}
            try:
                news = await self.book.follow(known)
            except DatabaseError as error:
                for each in tuple(self._followed.values()):
                    each.trouble(error)
                await asyncio.sleep(RETRY_S)
                continue
            except Exception:
                log.exception("following runs failed and goes on")
                await asyncio.sleep(RETRY_S)
                continue
            for item in news:
                if item.token in self._followed:
                    self._followed[item.token].take(item)

    async def _listen(self) -> None:
        await self._began.wait()
        await self.book.listen(lambda word: self._woken.set() if word in ("end", "open") else None)

    async def _care(self) -> None:
        """Send again what seems lost, and forget what is long over."""
        await self._began.wait()
        loop = asyncio.get_running_loop()
        pruned = float("-inf")
        while True:
            try:
                if loop.time() - pruned > PRUNE_S:
                    pruned = loop.time() if not await self.book.prune(self._keep_days) else pruned
                for execution, outlet in self._outlets.items():
                    await self._send_again(execution, outlet)
            except ConsoleError as error:
                log.warning("runs are not looked after: %s", error.message)
            except Exception:
                log.exception("looking after runs failed and goes on")
            await asyncio.sleep(min((outlet.resend_s for outlet in self._outlets.values()), default=PRUNE_S) / 3)

    async def _send_again(self, execution: Execution, outlet: Outlet) -> None:
        waiting = {t: each for t, each in self._followed.items() if each.is_waiting and each.execution is execution}
        if not waiting:
            return
        unclaimed = await self.book.unclaimed(self.home, list(waiting), outlet.resend_s)
        for message in await outlet.missing(unclaimed) if unclaimed else ():
            each = waiting[message.token]
            await outlet.send(each.run, each.following.kind)
            await self.book.sent([message.token])
            each.following.say(f"nobody has taken it: its message was sent again ({message.sends + 1} in all)")


class RunExecutor:
    """Implements ``engine.handing_ports.Executor`` for one queue."""

    def __init__(self, follower: Follower, execution: Execution, in_flight: int, outlet: Outlet | None) -> None:
        self.in_flight = in_flight
        self._follower = follower
        self._execution = execution
        self._outlet = outlet

    def drop(self, job: Job) -> None:
        """End the run of a job that is over by another's word."""
        self._follower.drop(job)

    async def run(self, following: Following) -> Ending:
        """Hand an attempt out, or join its run that is under way, and return how it ended."""
        put = await self._put(following)
        if put is None:
            return _unbegun(following)
        followed = _Followed(self._follower, put.run, self._execution, following)
        if put.is_adopted:
            following.say(_joined(put.run))
        elif self._outlet is not None:
            try:
                await self._outlet.send(put.run, following.kind)
            except ConsoleError as error:
                following.say(f"{error.message}; its message is sent again", "WARNING")
        self._follower.add(followed)
        try:
            return await followed.end()
        finally:
            self._follower.remove(put.run.token)

    async def _put(self, following: Following) -> Put | None:
        """Write the attempt to the table, as soon as that can be; None where it shall end before."""
        follower, is_told = self._follower, False
        while not (following.is_cancel_wished or following.is_pause_wished):
            following.show(_waiting(following, f"waits for {_DONE_BY[self._execution]}"))
            try:
                return await follower.book.put(following.claim, home=follower.home, execution=self._execution)
            except DatabaseError as error:
                if not error.is_transient:
                    raise
                if not is_told:
                    following.say(f"{error.message}: it is handed out once that works", "WARNING")
                    is_told = True
                following.show(_waiting(following, f"can't be handed out: {error.message}"))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(following.wished.wait(), RETRY_S)
        return None


class _Followed:
    """One run in the hands of others."""

    def __init__(self, follower: Follower, run: Run, execution: Execution, following: Following) -> None:
        self.token = run.token
        self.run = run
        self.execution = execution
        self.following = following
        self.known = (0, 0)
        self.is_waiting = run.state is RunState.HANDED_OFF
        self._book = follower.book
        self._max_rescues = follower.max_rescues
        self._owner = run.owner
        self._lines = 0
        self._is_troubled = False
        self._news: asyncio.Queue[RunNews] = asyncio.Queue()
        self._unheeded: float | None = None

    def take(self, news: RunNews) -> None:
        """Take in what is new; called by the watcher."""
        self.known = (news.changes, news.saves)
        self._is_troubled = False
        self._news.put_nowait(news)

    def trouble(self, error: DatabaseError) -> None:
        """Say once that nothing is heard."""
        if not self._is_troubled:
            self._is_troubled = True
            self.following.say(f"nothing is heard of it: {error.message}", "WARNING")

    async def end(self) -> Ending:
        """Mirror what is heard and pass on what is wished, until it has ended."""
        wished = asyncio.ensure_future(self.following.wished.wait())
        heard = asyncio.ensure_future(self._news.get())
        try:
            self._heed_at_once()
            while True:
                await asyncio.wait({wished, heard}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                if wished.done():
                    self.following.wished.clear()
                    wished = asyncio.ensure_future(self.following.wished.wait())
                    await self._pass_on()
                if heard.done():
                    news = heard.result()
                    heard = asyncio.ensure_future(self._news.get())
                    ending = await self._mirror(news)
                    if ending is not None:
                        return ending
                if self._is_unheeded() and await self._patiently(lambda: self._book.give_up(self.token)):
                    self.following.say("it does not heed its cancellation: it was given up", "WARNING")
                    return Ending(outcome=Outcome.CANCELLED, reason=f"{self._by()} did not answer")
        finally:
            wished.cancel()
            heard.cancel()

    def _heed_at_once(self) -> None:
        if self.following.is_cancel_wished or self.following.is_pause_wished:
            self.following.wished.set()

    def _is_unheeded(self) -> bool:
        return self._unheeded is not None and asyncio.get_running_loop().time() > self._unheeded

    async def _pass_on(self) -> None:
        cancel, pause = self.following.is_cancel_wished, self.following.is_pause_wished
        await self._patiently(lambda: self._book.wish(self.token, cancel=cancel, pause=pause))
        if cancel and self._unheeded is None:
            self._unheeded = asyncio.get_running_loop().time() + UNHEEDED_S

    async def _mirror(self, news: RunNews) -> Ending | None:
        following = self.following
        self.is_waiting = news.state is RunState.HANDED_OFF
        if news.owner and news.owner != self._owner:
            self._owner = news.owner
            following.say(f"taken by {self._by()}")
            if news.progress is None:
                following.show(_waiting(following, f"with {self._by()}"))
        if news.lines > self._lines:
            await self._read_lines(news)
        if news.checkpoint is not None:
            await following.save(news.checkpoint)
        if news.progress is not None:
            following.show(news.progress)
        if news.ending is not None:
            await self._patiently(lambda: self._book.collected(self.token))
            return self._spoken(news.ending)
        if news.state is RunState.WITHDRAWN:
            return _unbegun(following)
        if news.state is RunState.LOST or (
            news.is_late and await self._patiently(lambda: self._book.expire(self.token))
        ):
            return await self._lost(news)
        return None

    async def _read_lines(self, news: RunNews) -> None:
        while self._lines < news.lines:
            found = await self._patiently(lambda: self._book.lines(news.run_id, self._lines))
            if not found:
                self._lines = news.lines
                return
            self._lines = found[-1][0]
            self.following.log([line for _, line in found])

    async def _lost(self, news: RunNews) -> Ending:
        """Return what becomes of a job whose owner fell silent: on from its checkpoint, but not for ever."""
        await self._patiently(lambda: self._book.collected(self.token))
        died = f"{self._by()} died or was cut off"
        self.following.say(f"{died}: nothing was heard of it for {self._book.lease_s:g} s", "WARNING")
        if self.following.is_cancel_wished:
            return Ending(outcome=Outcome.CANCELLED, reason=died)
        if self.following.is_pause_wished:
            return Ending(outcome=Outcome.PAUSED, reason="paused by the operator")
        if news.rescues >= self._max_rescues:
            times = f"those who did it died {news.rescues + 1} times: it is not tried again"
            self.following.say(times, "ERROR")
            return Ending(outcome=Outcome.FAILED, error=times)
        return Ending(outcome=Outcome.INTERRUPTED, reason=died)

    def _spoken(self, ending: Ending) -> Ending:
        if ending.outcome is Outcome.INTERRUPTED:
            return structs.replace(ending, reason=f"{self._by()} was stopped")
        return ending

    def _by(self) -> str:
        """Return who has it, as people name it: "node db1:4711"."""
        who = ":".join(self._owner.split(":")[:2])
        return f"{'node' if self.execution is Execution.NODES else 'worker'} {clean(who, 80)}" if who else "nobody"

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the table, again and again while it is away."""
        while True:
            try:
                return await ask()
            except DatabaseError as error:
                if not error.is_transient:
                    raise
                self.trouble(error)
                await asyncio.sleep(RETRY_S)


def _waiting(following: Following, message: str) -> Progress:
    """Return how far it is while nobody works on it."""
    return structs.replace(following.claim.job.progress, message=clean(message, 200), rate=None, eta_s=None)


def _unbegun(following: Following) -> Ending:
    """Return how a run ended that nobody had begun."""
    if following.is_pause_wished:
        return Ending(outcome=Outcome.PAUSED, reason="paused by the operator")
    if following.is_cancel_wished:
        return Ending(outcome=Outcome.CANCELLED)
    return Ending(outcome=Outcome.INTERRUPTED, reason="its run was taken back")


def _joined(run: Run) -> str:
    if run.state is RunState.ENDED:
        return "it was done elsewhere while this engine was away"
    return f"joins its run that {'is under way' if run.owner else 'waits to be taken'}"
