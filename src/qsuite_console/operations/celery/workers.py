"""Operations on workers: ask one to stop, switch the events of all on or off."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qsuite_console.engine.ports import OperationKind
from qsuite_console.model.errors import NotFound
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.text import clean
from qsuite_console.operations.celery.commanding import WHOLE_NAME, CeleryOperation, WorkerName


class WorkerParameters(msgspec.Struct, frozen=True, kw_only=True):
    """One worker."""

    worker: WorkerName


class Shutdown(CeleryOperation):
    """Asks a worker to end after what it does."""

    kind = OperationKind(
        name="celery.shutdown",
        title="Stop worker",
        help="Ask one of Celery's workers to end once it has done what it does now.",
        parameters=WorkerParameters,
    )

    async def propose(self, parameters: WorkerParameters) -> Proposal:
        """Say what it does now; raises NotFound, Conflict, CacheError."""
        worker = parameters.worker
        answers = await self.ask("active", worker)
        active = answers.of("active").get(worker)
        if not isinstance(active, list):
            raise NotFound(f"no worker {clean(worker, 100)} answers", hint=WHOLE_NAME)
        others = answers.heard - 1
        runs = "1 task: it is" if len(active) == 1 else f"{len(active)} tasks: they are"
        stay = "One other worker stays." if others == 1 else f"{others} other workers stay."
        return Proposal(
            operation=self.kind.name,
            title=f"Stop the worker {clean(worker, 80)}?",
            lines=(
                f"it runs {runs} finished first, what it only holds goes back to the queue"
                if active
                else "it runs no task; what it only holds goes back to the queue",
                "",
                stay if others > 0 else "No other worker is left on this broker.",
                "Unless something starts it again, it stays away.",
            ),
            do="stop it",
            parameters={"worker": worker},
        )

    async def perform(self, parameters: WorkerParameters) -> Outcome:
        """Ask it; raises NotFound, Conflict, CacheError."""
        worker = parameters.worker
        if worker not in (await self.ask("ping", worker)).of("ping"):
            raise NotFound(f"no worker {clean(worker, 100)} answers", hint=WHOLE_NAME)
        await self.watch.broker.tell("shutdown", {}, destination=(worker,))
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"Worker {clean(worker, 80)} was asked to stop; it ends once its tasks have",
            figures={"worker": worker},
        )


class EventsParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Whether workers tell of their tasks."""

    enabled: Annotated[bool, msgspec.Meta(title="Events", description="whether workers tell of their tasks")] = True


class Events(CeleryOperation):
    """Lets workers tell of their tasks, or not."""

    kind = OperationKind(
        name="celery.events",
        title="Switch events",
        help="Let all of Celery's workers tell of what becomes of each task, or stop that, until they are restarted.",
        parameters=EventsParameters,
    )

    async def propose(self, parameters: EventsParameters) -> Proposal:
        """Say what that costs; raises Conflict, CacheError."""
        heard = (await self.ask("ping")).heard
        workers = "1 worker" if heard == 1 else f"{heard} workers"
        on = parameters.enabled
        return Proposal(
            operation=self.kind.name,
            title=f"Switch events {'on' if on else 'off'}?",
            lines=(
                f"{workers} on {self.watch.broker.where}",
                "",
                "Each task then costs about three small messages on the broker; they are not stored."
                if on
                else "Rates, times and failures of tasks are not seen any more, here and in other monitors.",
                "A worker that restarts does as it was started (with or without -E).",
            ),
            do="switch them on" if on else "switch them off",
            parameters={"enabled": on},
        )

    async def perform(self, parameters: EventsParameters) -> Outcome:
        """Do it, and say who has; raises Conflict, CacheError."""
        on = parameters.enabled
        method = "enable_events" if on else "disable_events"
        answers = await self.ask(method)
        # A worker that was started with -E says "already disabled" too, and goes on: Celery's own limit.
        same = sorted(worker for worker, said in answers.of(method).items() if "already" in str(said))
        changed = sorted(set(answers.of(method)) - set(same))
        state = "on" if on else "off"
        who = f"by {len(changed)} workers" if len(changed) != 1 else f"by {clean(changed[0], 80)}"
        stuck = f"off before, or started with -E, which can't be switched off from outside: {', '.join(same)}"
        return Outcome(
            operation=self.kind.name,
            is_done=bool(changed),
            message=f"Events of tasks are {state}, {who}" if changed else f"Nobody changed: events were {state} before",
            lines=(clean(stuck, 300),) if same and not on else (),
            figures={"enabled": on, "workers": changed},
        )
