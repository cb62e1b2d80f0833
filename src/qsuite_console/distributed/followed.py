"""One run in the hands of others: what is heard of it is mirrored, what is wished of it is passed on, until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from msgspec import structs

from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.runs import RunBook
from qsuite_console.engine.handing_ports import Following
from qsuite_console.engine.ports import Ending
from qsuite_console.model.handing import Execution, Run, RunNews, RunState
from qsuite_console.model.jobs import Outcome, Progress
from qsuite_console.model.text import clean

RETRY_S: Final = 2.0
UNHEEDED_S: Final = 15.0  # after which a run that does not heed its cancellation is given up
T = TypeVar("T")


class Followed:
    """One run in the hands of others."""

    def __init__(self, book: RunBook, run: Run, following: Following, *, max_rescues: int) -> None:
        self.token = run.token
        self.run = run
        self.execution = Execution(run.execution)
        self.following = following
        self.known = (0, 0)
        self.is_waiting = run.state is RunState.HANDED_OFF
        self._book = book
        self._max_rescues = max_rescues
        self._owner = run.owner
        self._lines = run.heard
        self._is_troubled = False
        self._news: asyncio.Queue[RunNews] = asyncio.Queue()
        self._unheeded: float | None = None
        self._waits_for = ""

    @property
    def queue(self) -> str:
        """Return the queue of its job."""
        return self.run.claim.job.queue

    @property
    def kind(self) -> str:
        """Return the kind of its job."""
        return self.run.claim.job.kind

    def say_waiting(self, message: str) -> None:
        """Show what it waits for, while nobody has taken it."""
        if self.is_waiting and message != self._waits_for:
            self._waits_for = message
            self.following.show(idle_progress(self.following, message))

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
                following.show(idle_progress(following, f"with {self._by()}"))
        if news.lines > self._lines:
            await self._read_lines(news)
        if news.checkpoint is not None:
            await following.save(news.checkpoint)
        if news.progress is not None:
            following.show(news.progress)
        if news.ending is not None:
            await self._patiently(lambda: self._book.collected(self.token))
            return self._spoken(news.ending, news.ended_s)
        if news.state is RunState.WITHDRAWN:
            return unbegun(following)
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

    def _spoken(self, ending: Ending, ended_s: float) -> Ending:
        """Return an ending as its console keeps it; ``ended_s``: how long ago it was, by the server's clock."""
        if ending.retry_in_s is not None:
            return structs.replace(ending, retry_in_s=max(0.0, ending.retry_in_s - ended_s))
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


def idle_progress(following: Following, message: str) -> Progress:
    """Return how far it is while nobody works on it."""
    return structs.replace(following.claim.job.progress, message=clean(message, 200), rate=None, eta_s=None)


def unbegun(following: Following) -> Ending:
    """Return how a run ended that nobody had begun."""
    if following.is_pause_wished:
        return Ending(outcome=Outcome.PAUSED, reason="paused by the operator")
    if following.is_cancel_wished:
        return Ending(outcome=Outcome.CANCELLED)
    return Ending(outcome=Outcome.INTERRUPTED, reason="its run was taken back")


def joined(run: Run) -> str:
    """Return what an attempt says that finds its run handed out already."""
    if run.state is RunState.ENDED:
        return "it was done elsewhere while this engine was away"
    return f"joins its run that {'is under way' if run.owner else 'waits to be taken'}"
