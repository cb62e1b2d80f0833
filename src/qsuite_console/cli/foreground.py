"""One job from its submission to its end, through whichever engine runs it.

Where an engine runs for this history the job is handed to it and followed; else one is opened here. When the other
engine ends first, the job goes on here from its checkpoint: whoever types ``run`` gets its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from qsuite_console.cli.connect import any_engine, reading
from qsuite_console.cli.follow import Follower
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.progress import ProgressLine
from qsuite_console.cli.signals import Signals
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import Claiming
from qsuite_console.model.errors import Conflict, EngineGone
from qsuite_console.model.jobs import TERMINAL, Job, JobDetail, Receipt, Submission
from qsuite_console.model.kinds import KindInfo, Plan

ORIGIN: Final = "run"


def plan_of(invocation: Invocation, submission: Submission) -> Plan:
    """Return what a job would do, without making it."""
    with ExitStack() as stack:
        control = any_engine(invocation, stack, claim=Claiming.NONE, origin=ORIGIN)
        return asyncio.run(control.plan(submission.kind, submission.parameters))


class Foreground:
    """Submits and follows one job; ``job_id`` is known once an engine has taken it."""

    def __init__(
        self,
        invocation: Invocation,
        submission: Submission,
        kind: KindInfo,
        signals: Signals,
        *,
        tell: Sequence[str] = (),
    ) -> None:
        self.job_id = 0
        self._invocation = invocation
        self._submission = submission
        self._signals = signals
        self._tell = tuple(tell)
        self._line = ProgressLine()
        self._is_here = False
        # The other engine may run without --read-only; it must not change data on behalf of one that has it.
        self._refuse = kind.changes_data and invocation.loaded.settings.target.read_only

    def to_the_end(self) -> JobDetail | None:
        """Return the job at its end, or as it was left after a signal; None when another engine goes on with it."""
        detail: JobDetail | None = None
        is_over = False
        try:
            while not is_over:
                try:
                    detail = self._once()
                    is_over = True
                except EngineGone:
                    if not self.job_id or self._signals.leaving:
                        raise
                    how = "going on here" if self._invocation.engine is None else "waiting for it to come back"
                    self._line.say(f"the engine that ran job {self.job_id} has ended; {how}")
        finally:
            self._line.close()
        if detail is None and self._is_here:  # closed meanwhile: what it did within its grace is in the history
            return reading(self._invocation, lambda reads: reads.job(self.job_id))
        return detail

    def _once(self) -> JobDetail | None:
        with ExitStack() as stack:
            control = any_engine(
                self._invocation, stack, claim=Claiming.ONLY_SUBMITTED, origin=ORIGIN, refuse=self._refuse
            )
            self._is_here = not control.state.is_attached
            return asyncio.run(self._submit_and_follow(control))

    async def _submit_and_follow(self, control: Control) -> JobDetail | None:
        if self.job_id:
            known = await control.job(self.job_id)
            if known.job.state in TERMINAL:
                return known
        for name in self._tell:  # nothing is made for somebody who can't be told of it
            await control.propose("webhooks.test", {"endpoint": name}, origin=ORIGIN)
        receipt = await control.submit(self._submission)
        self.job_id = receipt.job_id
        for name in self._tell:
            try:
                await control.perform("jobs.tell", {"job": receipt.job_id, "endpoint": name}, origin=ORIGIN)
            except Conflict as error:  # it asked not to be told any more; the job is wanted all the same
                self._line.say(f"{error.message}: job {receipt.job_id} is not told there")
        self._announce(control, (await control.job(receipt.job_id)).job, receipt)
        follower = Follower(control, receipt.job_id, signals=self._signals, line=self._line, origin=ORIGIN)
        return await follower.to_the_end()

    def _announce(self, control: Control, job: Job, receipt: Receipt) -> None:
        where = "" if self._is_here else f" in {control.state.owner}"
        if not receipt.joined:
            self._line.say(f"job {job.id}: {job.title}{where}")
            return
        has_progress = job.attempt > 0 and job.progress.fraction is not None
        done = f", {(job.progress.fraction or 0) * 100:.0f} % done" if has_progress else ""
        if job.attempt and (self._is_here or receipt.resumed):
            self._line.say(f"resuming job {job.id} from its checkpoint{where}{done}")
        else:
            self._line.say(f"joining job {job.id}{where}: {job.title}{done}")
