"""Operations on queues: throw away what waits in one, let workers take from one or not."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from qsuite_console.cache.celery_queues import STEPS, list_of
from qsuite_console.cache.errors import CacheError
from qsuite_console.engine.ports import OperationKind
from qsuite_console.model.errors import Conflict, NotFound
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.text import clean
from qsuite_console.operations.celery.commanding import WHOLE_NAME, CeleryOperation, QueueName, outcome

_TYPEABLE: Final = 60  # a longer name nobody types
_GROWN: Final = 1.1  # a queue that holds more than that of what was proposed is not emptied


class PurgeParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The queue; how much waits in it is filled in by the proposal."""

    queue: QueueName
    waiting: Annotated[int | None, msgspec.Meta(description="refuse when it holds more")] = None


class Purge(CeleryOperation):
    """Throws away what waits in a queue."""

    kind = OperationKind(
        name="celery.purge",
        title="Empty queue",
        help="Throw away every message that waits in a queue of Celery's; their tasks never run.",
        parameters=PurgeParameters,
    )

    async def propose(self, parameters: PurgeParameters) -> Proposal:
        """Say how much is lost; raises Conflict when it is empty, CacheError."""
        queue = parameters.queue
        waiting = sum(await self._lengths(queue))
        if not waiting:
            raise Conflict(f"nothing waits in the queue {clean(queue, 80)}", hint="there is nothing to throw away")
        ours = bool(self.watch.ours) and queue.startswith(self.watch.ours)
        return Proposal(
            operation=self.kind.name,
            title=f"Empty the queue {clean(queue, 80)}?",
            lines=(
                f"{_messages(waiting)} on {self.watch.broker.where}",
                "",
                "They carry jobs of this console: each is sent again soon." if ours else "Their tasks never run.",
                "What workers have taken by now is not touched. There is no way back.",
            ),
            do="empty it",
            named=clean(queue, 80) if len(queue) <= _TYPEABLE else "",
            parameters={"queue": queue, "waiting": waiting},
        )

    async def perform(self, parameters: PurgeParameters) -> Outcome:
        """Empty it if it holds about what was proposed; what comes meanwhile stays. Raises Conflict, CacheError."""
        queue, proposed = parameters.queue, parameters.waiting
        if proposed is None:
            raise Conflict("it was not proposed first", hint="perform takes the parameters of a proposal")
        lengths = await self._lengths(queue)
        if sum(lengths) > proposed * _GROWN + 10:
            raise Conflict(
                f"the queue {clean(queue, 80)} holds {sum(lengths):,} messages by now, not {proposed:,}",
                hint="propose it again to empty it all the same",
            )
        # The oldest are at the end of each list: what is pushed meanwhile is not among those counted.
        trims = [
            ("LTRIM", self._key(queue, step), 0, -(length + 1))
            for step, length in zip(STEPS, lengths, strict=True)
            if length
        ]
        for answer in await self.watch.broker.exchange(trims) if trims else ():
            if isinstance(answer, CacheError):
                raise answer
        gone = sum(lengths)
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"Queue {clean(queue, 80)} emptied: {_messages(gone)} thrown away",
            figures={"queue": queue, "messages": gone},
        )

    async def _lengths(self, queue: str) -> list[int]:
        answers = await self.watch.broker.exchange([("LLEN", self._key(queue, step)) for step in STEPS])
        for answer in answers:
            if isinstance(answer, CacheError):
                raise answer
        return [int(answer) for answer in answers]

    def _key(self, queue: str, step: int) -> bytes:
        return self.watch.broker.channels.key(list_of(queue.encode(), step))


class ConsumeParameters(msgspec.Struct, frozen=True, kw_only=True):
    """A queue, and who takes from it."""

    queue: QueueName
    worker: Annotated[str, msgspec.Meta(title="Worker", description="one of them; empty: all", max_length=200)] = ""
    enabled: Annotated[bool, msgspec.Meta(title="Take", description="whether tasks are taken from it")] = True


class Consume(CeleryOperation):
    """Lets workers take from a queue, or not."""

    kind = OperationKind(
        name="celery.consume",
        title="Switch queue",
        help="Let Celery's workers, or one of them, take tasks from a queue, or stop that, until they are restarted.",
        parameters=ConsumeParameters,
    )

    async def propose(self, parameters: ConsumeParameters) -> Proposal:
        """Say who takes from it now; raises NotFound, Conflict, CacheError."""
        queue, one = parameters.queue, parameters.worker
        answers = await self.ask("active_queues", *_to(one))
        now = {worker: _takes(value, queue) for worker, value in answers.of("active_queues").items()}
        if one and one not in now:
            raise NotFound(f"no worker {clean(one, 100)} answers", hint=WHOLE_NAME)
        if all(takes is parameters.enabled for takes in now.values()):
            who = clean(one, 80) if one else "every worker"
            raise Conflict(
                f"{who} {'takes' if parameters.enabled else 'takes nothing'} from {clean(queue, 80)} already"
            )
        verb = "take from" if parameters.enabled else "stop taking from"
        rest = (
            "What waits is taken by them." if parameters.enabled else "What waits there stays until somebody takes it."
        )
        return Proposal(
            operation=self.kind.name,
            title=f"Let {clean(one, 60) if one else 'all workers'} {verb} {clean(queue, 60)}?",
            lines=(
                *(f"{clean(worker, 80)} {'takes' if takes else 'does not take'} from it now" for worker, takes in
                  sorted(now.items())[:8]),
                "",
                rest,
                "A worker that restarts takes from the queues that it was started with.",
            ),
            do="do it",
            parameters={"queue": queue, "worker": one, "enabled": parameters.enabled},
        )  # fmt: skip

    async def perform(self, parameters: ConsumeParameters) -> Outcome:
        """Do it, and say who has; raises Conflict, CacheError."""
        method = "add_consumer" if parameters.enabled else "cancel_consumer"
        answers = await self.ask(method, *_to(parameters.worker), queue=parameters.queue)
        text = f"Queue {clean(parameters.queue, 80)} {'is taken from' if parameters.enabled else 'is left alone'}"
        return outcome(self.kind, answers, method, text, {"queue": parameters.queue, "worker": parameters.worker})


def _messages(number: int) -> str:
    return "1 message" if number == 1 else f"{number:,} messages"


def _takes(queues: object, name: str) -> bool:
    return isinstance(queues, list) and any(isinstance(one, dict) and one.get("name") == name for one in queues)


def _to(worker: str) -> tuple[str, ...]:
    return (worker,) if worker else ()
