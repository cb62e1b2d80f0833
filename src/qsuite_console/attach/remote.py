"""Control by HTTP: each method is one request of ``headless.routes``; what is kept and followed is in ``link``."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import msgspec

from qsuite_console.attach.address import Address, of_socket, require_own
from qsuite_console.attach.link import Link
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import EngineGone, ReadOnly
from qsuite_console.model.events import AnyEvent
from qsuite_console.model.jobs import (
    ActionResult,
    JobAction,
    JobDetail,
    JobPage,
    JobQuery,
    LogLine,
    QueueView,
    Receipt,
    Statistics,
    Submission,
)
from qsuite_console.model.kinds import FieldProblem, KindInfo, Plan
from qsuite_console.model.operations import OperationInfo, Outcome, Proposal
from qsuite_console.model.text import clean
from qsuite_console.model.wire import (
    ActRequest,
    AskRequest,
    EngineInfo,
    KindRequest,
    PerformRequest,
    ProbeAnswer,
    ProposeRequest,
    QueueRequest,
    unpack_answer,
)
from qsuite_console.paths import Paths

T = TypeVar("T")


def find_engine(paths: Paths, *, timeout_s: float = 1.0) -> EngineInfo | None:
    """Return who answers on the instance's socket, or None; blocks for about ``timeout_s`` seconds at most."""
    connection = _UnixConnection(paths.socket, timeout_s)
    try:
        require_own(paths.socket)
        connection.request("GET", "/health")
        answer = connection.getresponse()
        body = answer.read(65_536)
        return msgspec.json.decode(body, type=EngineInfo) if answer.status == 200 else None
    except (EngineGone, OSError, http.client.HTTPException, msgspec.DecodeError):
        return None
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("engine", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(os.fspath(self._path))


class RemoteControl:
    """Control of an engine in another process. ``open`` it (or use ``with``) before use, ``close`` it after."""

    def __init__(
        self,
        address: Address | Path,
        *,
        read_only: bool = False,
        owner: str = "",
        target: str = "",
        when_ended: str = "",
    ) -> None:
        """``read_only``: refuse every change, naming the ``owner`` ("pid 4711 on db-1") who may make it.

        ``target``: it is this target that may not be changed from here. ``when_ended``: what can be done after the
        engine's end besides waiting.
        """
        self._link = Link(of_socket(address) if isinstance(address, Path) else address, when_ended=when_ended)
        self._target = target
        self._is_read_only = read_only
        self._owner = owner

    def open(self, timeout_s: float = 3.0) -> Self:
        """Connect and wait for the first state; raises EngineGone when nobody answers in time."""
        self._link.open(timeout_s)
        return self

    def close(self) -> None:
        """Let go of the engine; it goes on without us."""
        self._link.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def state(self) -> ConsoleState:
        """Return the newest state known; its ``trouble`` tells since when the engine is silent."""
        state = self._link.state
        if not self._is_read_only:
            return state
        refusal = self._refusal()
        return msgspec.structs.replace(state, is_read_only=True, forbids=f"{refusal.message}\n{refusal.hint}")

    def events(self, after: int) -> tuple[int, tuple[AnyEvent, ...]]:
        """Return (newest sequence, facts after ``after``), from memory."""
        return self._link.events(after)

    async def kinds(self) -> tuple[KindInfo, ...]:
        """Return every kind of job with its parameters."""
        return await self._get("/kinds", tuple[KindInfo, ...])

    async def check(self, kind: str, parameters: Mapping[str, Any]) -> tuple[FieldProblem, ...]:
        """Validate parameters as they are typed."""
        return await self._post("/check", _asked(kind, parameters), tuple[FieldProblem, ...])

    async def plan(self, kind: str, parameters: Mapping[str, Any]) -> Plan:
        """Return what the job would do."""
        return await self._post("/plan", _asked(kind, parameters), Plan)

    async def submit(self, submission: Submission) -> Receipt:
        """Make a job; it is durable when this returns."""
        self._require_writable()
        return await self._post("/jobs", submission, Receipt)

    async def act(self, action: JobAction, job_ids: Sequence[int], *, origin: str = "") -> tuple[ActionResult, ...]:
        """Do one thing to some jobs; one answer for each."""
        self._require_writable()
        body = ActRequest(action=action, job_ids=tuple(job_ids), origin=origin)
        return await self._post("/jobs/actions", body, tuple[ActionResult, ...])

    async def jobs(self, query: JobQuery) -> JobPage:
        """Return a page of jobs, newest first."""
        given = {name: ",".join(getattr(query, name)) for name in ("states", "kinds", "queues")}
        given |= {"text": query.text, "origin": query.origin, "limit": str(query.limit)}
        given["routine"] = "" if query.routine else "false"
        given["before"] = "" if query.before is None else str(query.before)
        return await self._get("/jobs", JobPage, {name: text for name, text in given.items() if text})

    async def job(self, job_id: int) -> JobDetail:
        """Return everything about one job; raises NotFound."""
        return await self._get(f"/jobs/{job_id:d}", JobDetail)

    async def logs(self, job_id: int, *, after: int = 0, limit: int = 500) -> tuple[LogLine, ...]:
        """Return the job's log lines numbered above ``after``."""
        query = {"after": str(after), "limit": str(limit)}
        return await self._get(f"/jobs/{job_id:d}/logs", tuple[LogLine, ...], query)

    async def set_queue(
        self, name: str, *, is_paused: bool | None = None, concurrency: int | None = None, origin: str = ""
    ) -> QueueView:
        """Pause, resume or resize a queue, live."""
        self._require_writable()
        body = QueueRequest(is_paused=is_paused, concurrency=concurrency, origin=origin)
        return await self._post(f"/queues/{quote(name, safe='')}", body, QueueView)

    async def statistics(self, window_s: float) -> Statistics:
        """Return success, failure and duration figures over a window."""
        return await self._get("/statistics", Statistics, {"window_s": str(window_s)})

    async def ask(self, probe: str, parameters: Mapping[str, Any]) -> msgspec.Struct:
        """Put a named read-only question."""
        body = AskRequest(parameters=dict(parameters))
        return unpack_answer(await self._post(f"/ask/{quote(probe, safe='')}", body, ProbeAnswer))

    async def operations(self) -> tuple[OperationInfo, ...]:
        """Return what can be changed on the platform at once, with parameters, by name."""
        return await self._get("/operations", tuple[OperationInfo, ...])

    async def propose(self, operation: str, parameters: Mapping[str, Any], *, origin: str = "") -> Proposal:
        """Return what an operation would do now, changing nothing."""
        self._require_writable()
        body = ProposeRequest(parameters=msgspec.to_builtins(dict(parameters)), origin=origin)
        return await self._post(f"/operations/{quote(operation, safe='')}/proposal", body, Proposal)

    async def perform(
        self, operation: str, parameters: Mapping[str, Any], *, confirmation: str = "", origin: str = ""
    ) -> Outcome:
        """Do it, with the proposal's parameters and what it wants typed."""
        self._require_writable()
        given = msgspec.to_builtins(dict(parameters))
        body = PerformRequest(parameters=given, confirmation=confirmation, origin=origin)
        return await self._post(f"/operations/{quote(operation, safe='')}", body, Outcome)

    async def _get(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        return await self._link.call("GET", path, kind, None, query or {})

    async def _post(self, path: str, body: msgspec.Struct, kind: type[T]) -> T:
        return await self._link.call("POST", path, kind, body, {})

    def _require_writable(self) -> None:
        if self._is_read_only:
            raise self._refusal()

    def _refusal(self) -> ReadOnly:
        if self._target:
            return ReadOnly(
                f"the target {clean(self._target, 60)} is read-only here",
                hint="leave --read-only out, or set target.read_only = false for it",
            )
        who = self._owner or self._link.state.owner or "another process"
        return ReadOnly(
            f"attached read-only: {who} owns this history and makes its changes",
            hint="make the change there, or from a shell: qsuite-console jobs, act and run ask that process",
        )


def _asked(kind: str, parameters: Mapping[str, Any]) -> KindRequest:
    return KindRequest(kind=kind, parameters=dict(parameters))
