"""``api.call`` and ``api.bulk``: requests to addresses outside, with the rules of ``providers.calls``.

What could have an effect twice is marked before it is sent: after the death of the engine it is reported as unknown,
never repeated by itself. Results, logs and checkpoints hold addresses without their query, and no secret.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.engine.ports import JobContext, JobKind, Permanent
from qsuite_console.model.access import LOCAL_ORIGIN
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean
from qsuite_console.providers.calls import IDEMPOTENT, CallDesk, Got, Wanted
from qsuite_console.providers.errors import ProviderRefused
from qsuite_console.providers.outgoing import Request, place_of
from qsuite_console.workers.api.parameters import (
    BadCall,
    BulkParameters,
    Call,
    CallParameters,
    Patience,
    call_of,
    calls_of,
)

if TYPE_CHECKING:
    from qsuite_console.workers import Services

KEPT: Final = 64 * 1024  # characters of an answer's text that a call's result keeps
KEPT_OF_MANY: Final = 4 * 1024
_TEXT: Final = ("text/", "application/json", "application/xml", "application/javascript", "application/x-ndjson")
# Only what tells about the answer; anything else may be a cookie or a token.
_SHOWN: Final = ("content-type", "content-length", "date", "etag", "last-modified", "retry-after", "server")
_UNKNOWN: Final = "it is not known whether it arrived: the console ended while it was under way"


class _Worker:
    kind: JobKind

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def _desk(self) -> CallDesk:
        if self._services.calls is None:
            raise ConsoleError("nothing is called from here", hint="start an engine")
        return self._services.calls

    def _wanted(self, call: Call, patience: Patience, user: str = "") -> Wanted:
        request = Request(
            method=call.method,
            url=call.url,
            headers=call.headers,
            body=call.body.encode(),
            timeout_s=patience.timeout_s,
            limit=patience.limit_kb * 1024,
            redirects=patience.redirects,
        )
        return Wanted(request=request, user=user, retries=patience.retries, cache_s=patience.cache_s)

    def _refusals(self, calls: tuple[Call, ...], patience: Patience) -> tuple[str, ...]:
        found = (self._desk.problems(self._wanted(call, patience).request) for call in calls)
        return tuple(dict.fromkeys(why for why in found if why))


class CallWorker(_Worker):
    """``api.call``."""

    kind = JobKind(
        name="api.call",
        title="Call an address",
        description="Send one HTTP request: retried, limited in rate, time and size; secrets by name only.",
        parameters=CallParameters,
        max_attempts=1,  # it tries again itself
        needs_host=True,  # what may be called how often is counted here
    )

    def title(self, parameters: CallParameters) -> str:
        """Return the line by which people recognise the job."""
        return f"{parameters.method} {place_of(parameters.url)}"

    def check(self, parameters: CallParameters) -> Mapping[str, str]:
        """Return what is wrong with the call; no value is quoted."""
        try:
            call_of(parameters)
        except BadCall as error:
            return {error.field: str(error)}
        return {}

    async def plan(self, parameters: CallParameters) -> Plan:
        """Return what would be sent; sends nothing."""
        call = call_of(parameters)
        lines = (
            PlanLine(label="request", value=self.title(parameters)),
            PlanLine(label="headers", value=", ".join(call.headers) or "none of its own"),
            PlanLine(label="body", value=f"{len(call.body.encode()):,} bytes"),
        )
        warnings = self._refusals((call,), parameters)
        return Plan(kind=self.kind.name, title=self.title(parameters), lines=lines, warnings=warnings)

    async def run(self, context: JobContext, parameters: CallParameters) -> Mapping[str, Any]:
        """Return status, headers and text of the answer; raises Permanent for a status of 400 and above."""
        call = call_of(parameters)
        place = self.title(parameters)
        if (context.checkpoint or {}).get("sent"):
            await context.save({"sent": False})  # whoever retries it now has looked
            raise Permanent(f"{place}: {_UNKNOWN}", hint="look there, then retry the job if it did not")
        context.progress(0, 1, unit="calls", message=place)
        found = _shown(await self._send(context, call, parameters), KEPT)
        context.progress(1, 1, unit="calls", message=_line(place, found))
        context.log.info("%s", _line(place, found))
        if found["status"] >= 400:
            if found["body"]:
                context.log.warning("it answered: %s", clean(found["body"], 300))
            raise Permanent(f"{place} answered {found['status']} {found['reason']}".rstrip())
        return {"method": call.method, **found}

    async def _send(self, context: JobContext, call: Call, parameters: CallParameters) -> Got:
        wanted = self._wanted(call, parameters, user_of(context.origin))
        if call.method in IDEMPOTENT:
            return await self._desk.call(wanted)
        await context.save({"sent": True})
        try:
            return await self._desk.call(wanted)
        finally:
            await asyncio.shield(context.save({"sent": False}))  # how it ended is known: this job says so


class BulkWorker(_Worker):
    """``api.bulk``."""

    kind = JobKind(
        name="api.bulk",
        title="Call many addresses",
        description="Send up to fifty HTTP requests at once; each has its own result, whatever becomes of the others.",
        parameters=BulkParameters,
        max_attempts=1,
        needs_host=True,
    )

    def title(self, parameters: BulkParameters) -> str:
        """Return the line by which people recognise the job."""
        calls = calls_of(parameters)
        more = f" and {len(calls) - 1} more" if len(calls) > 1 else ""
        return f"{calls[0].method} {place_of(calls[0].url)}{more}"

    def check(self, parameters: BulkParameters) -> Mapping[str, str]:
        """Return what is wrong with the calls; no value is quoted."""
        try:
            calls_of(parameters)
        except BadCall as error:
            return {error.field: str(error)}
        return {}

    async def plan(self, parameters: BulkParameters) -> Plan:
        """Return what would be sent; sends nothing."""
        calls = calls_of(parameters)
        hosts = sorted({place_of(call.url).partition("/")[0] for call in calls})
        lines = (
            PlanLine(label="calls", value=f"{len(calls)}", note=f"{min(parameters.parallel, len(calls))} at once"),
            PlanLine(label="hosts", value=clean(", ".join(hosts), 300)),
        )
        warnings = self._refusals(calls, parameters)
        return Plan(kind=self.kind.name, title=self.title(parameters), lines=lines, warnings=warnings)

    async def run(self, context: JobContext, parameters: BulkParameters) -> Mapping[str, Any]:
        """Return the result of each call, in their order; raises Permanent where none succeeded."""
        calls = calls_of(parameters)
        round_ = _Round(self._desk, context, calls)
        gate = asyncio.Semaphore(parameters.parallel)

        async def one(number: int, call: Call) -> None:
            async with gate:
                await context.breathe()
                await round_.call(number, self._wanted(call, parameters, user_of(context.origin)))

        round_.progress()
        async with asyncio.TaskGroup() as group:
            for number, call in enumerate(calls):
                if number not in round_.results:
                    group.create_task(one(number, call))
        results = [round_.results[number] for number in range(len(calls))]
        good = sum(one["ok"] for one in results)
        if not good:
            raise Permanent(f"none of {len(calls)} calls succeeded: {results[0]['error']}", hint="see the job's log")
        return {"calls": len(calls), "succeeded": good, "failed": len(calls) - good, "results": results}


class _Round:
    """The calls of one attempt and what became of them; begun ones that must not be repeated are in the checkpoint."""

    def __init__(self, desk: CallDesk, context: JobContext, calls: tuple[Call, ...]) -> None:
        self._desk = desk
        self._context = context
        self._calls = calls
        kept = context.checkpoint or {}
        known = {int(number): one for number, one in kept.get("results", {}).items()}
        self.results: dict[int, dict[str, Any]] = {number: one for number, one in known.items() if one["ok"]}
        self._sent: set[int] = set(kept.get("sent", ())) - (known.keys() - self.results.keys())
        for number in self._sent - self.results.keys():
            self._note(number, {"ok": False, "error": _UNKNOWN})

    async def call(self, number: int, wanted: Wanted) -> None:
        """Make one call and keep its result, whatever it is."""
        is_once = wanted.request.method not in IDEMPOTENT
        if is_once:
            self._sent.add(number)
            await self._save()
        try:
            found = _shown(await self._desk.call(wanted), KEPT_OF_MANY)
            error = "" if found["status"] < 400 else f"answered {found['status']} {found['reason']}".rstrip()
        except ConsoleError as raised:
            found, error = {}, clean(raised.message, 300).removeprefix(f"{place_of(wanted.request.url)} ")
            if isinstance(raised, ProviderRefused) and raised.hint:
                error = f"{error} ({clean(raised.hint, 200)})"
        self._note(number, {"ok": not error, "error": error or None, **found})
        if is_once:
            await self._save()
        self.progress()

    def progress(self) -> None:
        """Tell how many are done."""
        bad = sum(not one["ok"] for one in self.results.values())
        self._context.progress(
            len(self.results), len(self._calls), unit="calls", figures={"failed": bad, "ok": len(self.results) - bad}
        )

    def _note(self, number: int, found: dict[str, Any]) -> None:
        call = self._calls[number]
        place = f"{call.method} {place_of(call.url)}"
        self.results[number] = {"number": number + 1, "method": call.method, "address": place_of(call.url), **found}
        if found["ok"]:
            self._context.log.info("%s", _line(place, found))
        else:
            self._context.log.warning("%s: %s", place, found["error"])

    async def _save(self) -> None:
        results = {str(number): one for number, one in self.results.items()}
        await self._context.save({"sent": sorted(self._sent), "results": results})


def user_of(origin: str) -> str:
    """Return the user for whom a job's calls are counted: the holder of a token by its name, else "", the console's."""
    return origin if origin.startswith(f"{LOCAL_ORIGIN}:") else ""


def _shown(got: Got, kept: int) -> dict[str, Any]:
    """Return what a result keeps of an answer."""
    answer = got.answer
    kind = answer.headers.get("content-type", "")
    is_text = kind.startswith(_TEXT) or kind.partition(";")[0].endswith(("+json", "+xml"))
    text = answer.body.decode("utf-8", "replace") if is_text else ""
    return {
        "status": answer.status,
        "reason": answer.reason,
        "url": answer.url,
        "headers": {
            name: clean(value, 200)
            for name, value in answer.headers.items()
            if name in _SHOWN or name.startswith("x-ratelimit-")
        },
        "body": clean(text, kept, one_line=False),
        "bytes": len(answer.body),
        "sha256": hashlib.sha256(answer.body).hexdigest(),
        "latency_ms": round(answer.latency_s * 1000, 1),
        "tries": got.tries,
        "redirects": answer.redirects,
        "is_cached": got.is_cached,
    }


def _line(place: str, found: Mapping[str, Any]) -> str:
    how = "from the cache" if found["is_cached"] else f"in {found['latency_ms']:,.0f} ms"
    tries = f", {found['tries']} tries" if found["tries"] > 1 else ""
    return f"{place}: {found['status']} {found['reason']}, {found['bytes']:,} bytes {how}{tries}"
