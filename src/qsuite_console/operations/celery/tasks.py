"""Operations on tasks: revoke one, with or without an end to its process; limit how often those of a name begin."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from qsuite_console.engine.ports import OperationKind
from qsuite_console.model.errors import Conflict, NotFound
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.text import clean
from qsuite_console.operations.celery.commanding import CeleryOperation, outcome

_SIGNAL: Final = "SIGTERM"


class RevokeParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The task; worker and name are filled in by the proposal."""

    task_id: Annotated[
        str,
        msgspec.Meta(
            title="Task",
            description="its id",
            min_length=1,
            max_length=200,
            examples=["4fd04232-0a7f-4e8c-9f1e-5b0c6b1d2e3f"],
        ),
    ]
    terminate: Annotated[
        bool, msgspec.Meta(title="Terminate", description="also end its process, where it runs by now")
    ] = False
    worker: Annotated[str, msgspec.Meta(description="refuse to terminate when another worker runs it")] = ""
    name: Annotated[str, msgspec.Meta(description="the task's name, for the audit")] = ""


class Revoke(CeleryOperation):
    """Tells workers not to run a task, and on request ends the process that runs it."""

    kind = OperationKind(
        name="celery.revoke",
        title="Revoke task",
        help="Let Celery's workers skip a task; with terminate also end the process that runs it.",
        parameters=RevokeParameters,
    )

    async def propose(self, parameters: RevokeParameters) -> Proposal:
        """Say who has the task; raises Conflict, CacheError."""
        worker, state, name = await self._find(parameters.task_id)
        known = name or self.watch.tally.name_of(parameters.task_id) or parameters.name
        terminate = parameters.terminate
        if terminate and state != "active":
            raise Conflict(
                f"no worker runs task {clean(parameters.task_id, 80)}", hint="revoke it without terminating anything"
            )
        do = "terminate it" if terminate else "revoke it"
        return Proposal(
            operation=self.kind.name,
            title="Terminate this task?" if terminate else "Revoke this task?",
            lines=(
                f"{clean(known, 120) or 'a task of unknown name'} · {clean(parameters.task_id, 100)}",
                f"{state} on {worker}" if worker else "no worker has it: it waits in a queue, has ended, or never was",
                "",
                *_consequence(state, terminate=terminate),
            ),
            do=do,
            parameters={
                "task_id": parameters.task_id,
                "terminate": terminate,
                "worker": worker,
                "name": clean(known, 120),
            },
        )

    async def perform(self, parameters: RevokeParameters) -> Outcome:
        """Do it, and say who has; raises Conflict, CacheError."""
        task_id, to = parameters.task_id, list[str]()
        if parameters.terminate:
            worker, state, _ = await self._find(task_id)
            if state != "active" or not parameters.worker or worker != parameters.worker:
                raise Conflict(
                    f"task {clean(task_id, 80)} is not run by that worker any more",
                    hint="look at what workers have and propose it again",
                )
            to = [worker]
        answers = await self.ask("revoke", *to, task_id=task_id, terminate=parameters.terminate, signal=_SIGNAL)
        did = "terminated" if parameters.terminate else "revoked"
        return outcome(self.kind, answers, "revoke", f"Task {clean(task_id, 80)} {did}", {"task_id": task_id})

    async def _find(self, task_id: str) -> tuple[str, str, str]:
        """Return (worker, state, name) of a task, "" where no worker has it."""
        answers = await self.ask("query_task", ids=[task_id])
        for worker, value in answers.of("query_task").items():
            found = value.get(task_id) if isinstance(value, dict) else None
            if isinstance(found, list) and len(found) == 2:
                info = found[1] if isinstance(found[1], dict) else {}
                return clean(worker, 200), clean(found[0], 20), clean(info.get("name") or "", 120)
        return "", "", ""


class RateParameters(msgspec.Struct, frozen=True, kw_only=True):
    """A task by its name, and how often each worker may begin one."""

    task: Annotated[
        str,
        msgspec.Meta(
            title="Task", description="its name", min_length=1, max_length=200, examples=["reports.tasks.nightly"]
        ),
    ]
    rate: Annotated[
        str,
        msgspec.Meta(
            title="Rate",
            description="of each worker: 10/s, 100/m, 1000/h; 0 is no limit",
            pattern=r"^[0-9]{1,6}(/[smh])?$",
            examples=["100/m"],
        ),
    ]


class RateLimit(CeleryOperation):
    """Limits how often workers begin tasks of one name."""

    kind = OperationKind(
        name="celery.rate-limit",
        title="Limit rate of task",
        help="Limit how often each of Celery's workers begins tasks of one name, until it is restarted.",
        parameters=RateParameters,
    )

    async def propose(self, parameters: RateParameters) -> Proposal:
        """Say what the limit is now; raises NotFound, Conflict, CacheError."""
        task = parameters.task
        answers = await self.ask("registered", taskinfoitems=["rate_limit"])
        now = {worker: _limit_of(task, value) for worker, value in answers.of("registered").items()}
        known = {worker: limit for worker, limit in now.items() if limit is not None}
        if not known:
            raise NotFound(
                f"no worker knows a task {clean(task, 120)}", hint="its name as in `celery inspect registered`"
            )
        is_free = parameters.rate.partition("/")[0].strip("0") == ""
        then = "no limit" if is_free else f"{parameters.rate} of each worker, {len(known)} of them"
        return Proposal(
            operation=self.kind.name,
            title=f"{'Lift the limit of' if is_free else 'Limit'} {clean(task, 80)}?",
            lines=(
                *(f"{clean(worker, 80)}: {limit or 'no limit'} now" for worker, limit in sorted(known.items())[:8]),
                f"then {then}, at once",
                "",
                "Tasks over the limit wait in their worker. A worker that restarts has its own limit again.",
            ),
            do="set it",
            parameters={"task": task, "rate": "0" if is_free else parameters.rate},
        )

    async def perform(self, parameters: RateParameters) -> Outcome:
        """Set it, and say who has; raises Conflict, CacheError."""
        task, rate = parameters.task, parameters.rate
        answers = await self.ask("rate_limit", task_name=task, rate_limit=rate)
        text = f"{clean(task, 80)}: {'no limit' if rate == '0' else rate} now"
        return outcome(self.kind, answers, "rate_limit", text, {"task": task, "rate": rate})


def _consequence(state: str, *, terminate: bool) -> tuple[str, ...]:
    if terminate:
        return (
            f"Its process gets {_SIGNAL}: what it did so far is not undone.",
            "Should it end in the same moment, the next task of that process is hit.",
        )
    if state == "active":
        return ("It runs by now and is not stopped: terminate it to end its process.",)
    return (
        "Workers skip it when they get it.",
        "A worker that restarts forgets that, unless it keeps its state (--statedb).",
    )


def _limit_of(task: str, registered: object) -> str | None:
    """Return a task's limit from an answer to ``registered``, "" where there is none, None for an unknown task."""
    for one in registered if isinstance(registered, list) else ():
        name, _, info = str(one).partition(" [")
        if name == task:
            limit = info.rstrip("]").partition("rate_limit=")[2]
            return "" if limit in ("", "None", "0") else clean(limit, 40)
    return None
