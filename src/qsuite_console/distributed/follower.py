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

from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.runs import Left, Put, RunBook
from qsuite_console.distributed.followed import RETRY_S, Followed, idle_progress, joined, unbegun
from qsuite_console.engine.handing_ports import Following, NotOut
from qsuite_console.engine.ports import Ending, JobKind
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.handing import Execution, Message, Run
from qsuite_console.model.jobs import Job

POLL_S: Final = 0.5
LOOK_S: Final = 5.0
LAST_S: Final = 3.0  # for a word that ends a run of a job that is over
PRUNE_S: Final = 3600.0
_DONE_BY: Final = {Execution.NODES: "a node", Execution.CELERY: "a Celery worker"}
T = TypeVar("T")
_NO_BROKER: Final = "waits for Celery's broker, which is away"
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
        self._followed: dict[str, Followed] = {}
        self._woken = asyncio.Event()
        self._began = asyncio.Event()
        self._chores: set[asyncio.Task[None]] = set()
        self._outlets: dict[Execution, Outlet] = {}
        self._looked_at = float("-inf")

    def executor(self, execution: Execution, in_flight: int, outlet: Outlet | None = None) -> RunExecutor:
        """Return what has jobs done by nodes or Celery workers, so many at once."""
        if outlet is not None:
            self._outlets[execution] = outlet
        return RunExecutor(self, execution, in_flight, outlet)

    def rejoiner(self, *, is_read_only: bool) -> Rejoiner:
        """Return what finds jobs that others may have though their queue is local now."""
        return Rejoiner(self, is_read_only=is_read_only)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Follow runs until the block ends; nothing is asked before the first one is handed out."""
        tasks = [asyncio.create_task(work(), name="runs") for work in (self._watch, self._listen, self._care)]
        try:
            yield
        finally:
            if self._chores:
                await asyncio.wait(self._chores, timeout=LAST_S)
            for task in (*tasks, *self._chores):
                task.cancel()
            await asyncio.gather(*tasks, *self._chores, return_exceptions=True)

    def add(self, followed: Followed) -> None:
        """Look for news of a run from now on."""
        self._followed[followed.token] = followed
        self._began.set()
        self._woken.set()

    def remove(self, token: str) -> None:
        """Look for news of it no longer."""
        self._followed.pop(token, None)

    async def follow(self, run: Run, following: Following) -> Ending:
        """Mirror a run until it has ended."""
        followed = Followed(self.book, run, following, max_rescues=self.max_rescues)
        self.add(followed)
        try:
            return await followed.end()
        finally:
            self.remove(run.token)

    def drop(self, job: Job) -> None:
        """End a run that nobody follows, as its job is over."""
        chore = asyncio.create_task(self._drop(job), name=f"drop-{job.id}")
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    async def _drop(self, job: Job) -> None:
        while True:
            try:
                await self.book.prepare()
                if await self.book.drop(self.home, job.id, job.correlation_id):
                    log.info("job %d is over: its run elsewhere was told to end", job.id)
                return
            except DatabaseError as error:
                log.warning("job %d is over, but its run elsewhere can't be told: %s", job.id, error.message)
                if not error.is_transient:
                    return
            await asyncio.sleep(RETRY_S)

    async def _watch(self) -> None:
        while True:
            await self._began.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
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
            await self._look_for_nodes()

    async def _look_for_nodes(self) -> None:
        """Let what waits for a node say whether there is one that serves its queue."""
        waiting = [each for each in self._followed.values() if each.is_waiting and each.execution is Execution.NODES]
        now = asyncio.get_running_loop().time()
        if not waiting or now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        with contextlib.suppress(DatabaseError):  # the next question to the table tells what is wrong
            nodes = await self.book.nodes(sorted({each.queue for each in waiting}))
            knowing = await self.book.knowing(sorted({each.kind for each in waiting}))
            for each in waiting:
                why = ""
                if nodes is not None and not nodes[each.queue]:
                    why = f": none serves {each.queue}"
                elif knowing is not None and not knowing[each.kind]:
                    why = f": none knows {each.kind}, which needs the package that brings it"
                each.say_waiting(f"waits for a node{why}")

    async def _listen(self) -> None:
        await self._began.wait()
        await self.book.listen(lambda word: self._woken.set() if word in ("end", "open") else None)

    async def _care(self) -> None:
        """Send again what seems lost, and forget what is long over."""
        await self._began.wait()
        loop = asyncio.get_running_loop()
        pruned, told = float("-inf"), ""
        while True:
            try:
                if loop.time() - pruned > PRUNE_S:
                    pruned = loop.time() if not await self.book.prune(self._keep_days) else pruned
                for execution, outlet in self._outlets.items():
                    await self._send_again(execution, outlet)
                told = ""
            except ConsoleError as error:
                if error.message != told:
                    log.warning("runs are not looked after: %s", error.message)
                told = error.message
            except Exception:
                log.exception("looking after runs failed and goes on")
            await asyncio.sleep(min((outlet.resend_s for outlet in self._outlets.values()), default=PRUNE_S) / 3)

    async def _send_again(self, execution: Execution, outlet: Outlet) -> None:
        waiting = {t: each for t, each in self._followed.items() if each.is_waiting and each.execution is execution}
        if not waiting:
            return
        unclaimed = await self.book.unclaimed(self.home, list(waiting), outlet.resend_s)
        if not unclaimed:
            return
        for_whom = f"waits for {_DONE_BY[execution]}"
        try:
            for message in await outlet.missing(unclaimed):
                each = waiting[message.token]
                await outlet.send(each.run, each.following.kind)
                await self.book.sent([message.token])
                each.following.say(f"nobody has taken it: its message was sent again ({message.sends + 1} in all)")
        except DatabaseError:
            raise
        except ConsoleError:
            for_whom = _NO_BROKER
            raise
        finally:
            for each in waiting.values():
                each.say_waiting(for_whom)


class RunExecutor:
    """Implements ``engine.handing_ports.Executor`` for one queue."""

    def __init__(self, follower: Follower, execution: Execution, in_flight: int, outlet: Outlet | None) -> None:
        self.in_flight = in_flight
        self.execution = execution
        self._follower = follower
        self._outlet = outlet

    def drop(self, job: Job) -> None:
        """End the run of a job that is over by another's word."""
        self._follower.drop(job)

    async def run(self, following: Following) -> Ending:
        """Hand an attempt out, or join its run that is under way, and return how it ended."""
        follower = self._follower
        put = await self._put(following)
        if put is None:
            if following.is_cancel_wished and following.claim.number > 1:
                follower.drop(following.claim.job)  # a run of an earlier attempt may be under way
            return unbegun(following)
        if put.is_adopted or self._outlet is None:
            if put.is_adopted:
                following.say(joined(put.run))
            return await follower.follow(put.run, following)
        # Beside it: a broker that hangs must not keep a cancellation from being heard.
        sending = asyncio.create_task(_announce(self._outlet, put.run, following), name=f"send-{put.run.run_id}")
        try:
            return await follower.follow(put.run, following)
        finally:
            sending.cancel()

    async def _put(self, following: Following) -> Put | None:
        """Write the attempt to the table, as soon as that can be; None where it shall end before."""
        follower = self._follower

        async def put() -> Put:
            following.show(idle_progress(following, f"waits for {_DONE_BY[self.execution]}"))
            return await follower.book.put(following.claim, home=follower.home, execution=self.execution)

        return await _at_last(following, put, "it is handed out once that works", "can't be handed out")


async def _announce(outlet: Outlet, run: Run, following: Following) -> None:
    try:
        await outlet.send(run, following.kind)
    except ConsoleError as error:
        following.say(f"{error.message}; its message is sent again", "WARNING")
        following.show(idle_progress(following, _NO_BROKER))
    except Exception:
        log.exception("the message of job %d failed; it is sent again", following.claim.job.id)


class Rejoiner:
    """Implements ``engine.handing_ports.Executor`` for jobs that were handed out when their queue was not local yet.

    What is under way is joined, wherever it is; what nobody has begun is taken back and done here. Where the table
    can't be asked the job waits: begun here as well, it could be done twice at once.
    """

    execution: Final = Execution.LOCAL.value
    in_flight: Final = 0

    def __init__(self, follower: Follower, *, is_read_only: bool) -> None:
        self._follower = follower
        self._is_read_only = is_read_only

    def drop(self, job: Job) -> None:
        """End the run of a job that is over by another's word; on a read-only target nothing can be said to it."""
        if self._is_read_only:
            log.warning("job %d is over, but its run elsewhere can't be told: the target is read-only", job.id)
        else:
            self._follower.drop(job)

    async def run(self, following: Following) -> Ending | NotOut:
        """Join the job's run where there is one; say that it is done here where nobody has it."""
        follower, job = self._follower, following.claim.job

        async def take_back() -> Left:
            following.show(idle_progress(following, "asks who has it: its queue was not local before"))
            left = await follower.book.take_back(job, home=follower.home)
            if left.run is None and left.checkpoint is not None:
                await following.save(left.checkpoint)
                await follower.book.collected(left.token)
            return left

        left = await _at_last(following, take_back, "it goes on once that works", "can't see who has it")
        if left is None:
            if following.is_cancel_wished:
                follower.drop(job)
            return unbegun(following)
        if left.run is None:
            following.say("nobody else has it: it is done here")
            return NotOut(left.checkpoint)
        following.say(joined(left.run))
        return await follower.follow(left.run, following)


async def _at_last(following: Following, ask: Callable[[], Awaitable[T]], then: str, trouble: str) -> T | None:
    """Ask the table again and again while it is away; None where the attempt shall end before it has answered."""
    is_told = False
    while not (following.is_cancel_wished or following.is_pause_wished):
        try:
            return await ask()
        except DatabaseError as error:
            if not error.is_transient:
                raise
            if not is_told:
                following.say(f"{error.message}: {then}", "WARNING")
                is_told = True
            following.show(idle_progress(following, f"{trouble}: {error.message}"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                await following.wished.wait()
    return None
