"""What all operations on Celery share: to ask workers, and to say who has done it and who has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.cache.celery_link import Answers
from qsuite_console.engine.ports import OperationKind
from qsuite_console.model.errors import Conflict
from qsuite_console.model.operations import Outcome
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.metrics.celery_watch import CeleryWatch
    from qsuite_console.workers import Services

NOBODY: Final = "no worker listens on this broker"
WHOLE_NAME: Final = "its whole name, as celery@host"

WorkerName = Annotated[
    str, msgspec.Meta(title="Worker", description="its name", min_length=1, max_length=200, examples=["celery@web1"])
]
QueueName = Annotated[
    str, msgspec.Meta(title="Queue", description="its name", min_length=1, max_length=200, examples=["celery"])
]


class CeleryOperation:
    """What the operations share."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def watch(self) -> CeleryWatch:
        """Return what watches the broker; raises Conflict where nothing does."""
        if self._services.celery is None:
            raise Conflict("Celery is not watched here", hint="an engine with a broker or a cache watches it")
        return self._services.celery

    async def ask(self, method: str, *to: str, **arguments: Any) -> Answers:
        """Return what workers answer to one method; raises Conflict when nobody listens, CacheError."""
        answers = await self.watch.broker.ask({method: arguments}, destination=to)
        if not answers.heard:
            raise Conflict(NOBODY, hint="a command now would reach nobody and be forgotten; start a worker first")
        return answers


def outcome(kind: OperationKind, answers: Answers, method: str, done: str, figures: Mapping[str, Any]) -> Outcome:
    """Return who has done it and who has not; nobody: it was not done."""
    refused = {worker: str(value["error"]) for worker, value in _said(answers, method) if "error" in value}
    did = sorted(set(answers.of(method)) - set(refused))
    late = answers.heard - len(answers.of(method)) if len(answers.of(method)) < answers.heard else 0
    lines = [f"{clean(worker, 80)}: {clean(why, 200)}" for worker, why in sorted(refused.items())[:8]]
    if not did:
        why = lines[0] if lines else "no worker answered within a second"
        return Outcome(operation=kind.name, is_done=False, message=f"{kind.title}: {why}", lines=tuple(lines[1:]))
    workers = clean(did[0], 80) if len(did) == 1 else f"{len(did)} workers"
    if late and method != "revoke":
        lines.append(f"{late} of {answers.heard} workers did not answer within a second")
    return Outcome(
        operation=kind.name,
        is_done=True,
        message=f"{done}, by {workers}",
        lines=tuple(lines),
        figures={**figures, "workers": did},
    )


def _said(answers: Answers, method: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
    return [(worker, value) for worker, value in answers.of(method).items() if isinstance(value, dict)]
