"""Jobs over many keys: invalidation by symbol, user, family or pattern, and lives for keys that would stay for ever.

Both walk the keyspace in bounded steps and begin anew when they are cut: to remove what is gone, or to give a life to
what has one, changes nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from qsuite_console.cache import sweep
from qsuite_console.cache.families import family_of as described
from qsuite_console.cache.keys import FAMILIES
from qsuite_console.engine.ports import JobContext, JobKind
from qsuite_console.model import units
from qsuite_console.model.keys import escape, unescape
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

By = Literal["symbol", "user", "family", "pattern"]
PLAN_S: Final = 3.0  # a plan counts for that long; what it has not seen by then it estimates
_SHOWN: Final = 5
_BROKERS: Final = "queues and messages of a Celery broker"
_SAVED: Final = 40  # unknown families a result names


class InvalidateParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys go."""

    by: Annotated[By, msgspec.Meta(title="By", description="what the value names: symbol, user, family or pattern")]
    value: Annotated[
        str,
        msgspec.Meta(
            title="Value",
            description="a symbol AAPL, a user 42, a family price, a pattern ohlcv:AAPL:*",
            examples=["AAPL"],
            min_length=1,
            max_length=500,
        ),
    ]


class CleanupParameters(msgspec.Struct, frozen=True, kw_only=True):
    """How long keys without a life may still live."""

    life_s: Annotated[
        int, msgspec.Meta(title="Life", description="seconds given to keys that never expire", ge=60, le=31_536_000)
    ] = 3600


@dataclass(slots=True)
class _Tally:
    """What a walk has seen so far."""

    walked: int = 0
    matched: int = 0
    removed: int = 0
    spared: int = 0  # keys of a broker
    names: list[str] = field(default_factory=list)


class Invalidate:
    """``cache.invalidate``: what the platform has cached about something is forgotten."""

    kind = JobKind(
        name="cache.invalidate",
        title="Invalidate",
        description="Remove cached keys by symbol, user, family or pattern, in steps that nobody feels.",
        parameters=InvalidateParameters,
        queue="general",
        soft_limit_s=3600.0,
        hard_limit_s=3660.0,
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def title(self, parameters: InvalidateParameters) -> str:
        """Return the line by which people recognise the job."""
        return f"invalidate {parameters.by} {clean(parameters.value, 80)}"

    def check(self, parameters: InvalidateParameters) -> Mapping[str, str]:
        """Return field name -> problem; pure."""
        value = parameters.value.strip()
        if parameters.by == "family" and value not in FAMILIES:
            return {"value": f"no family is named {clean(value, 40)!r}: {', '.join(FAMILIES)}"}
        if parameters.by == "user" and not value.isdigit():
            return {"value": "a user is a number"}
        if parameters.by == "symbol" and not _is_symbol(value):
            return {"value": "a symbol is letters, digits, dots, slashes or dashes"}
        if parameters.by == "pattern":
            try:
                unescape(value)
            except ValueError as error:
                return {"value": str(error)}
            if not value.strip("*"):
                return {"value": "this would be every key of the database; name a part of them, such as price:*"}
        return {}

    async def plan(self, parameters: InvalidateParameters) -> Plan:
        """Return how many keys would go: counted, or estimated where the database is large. Raises CacheError."""
        pattern, matches = _selection(parameters)
        cache, tally, until, is_whole = self._services.cache, _Tally(), time.monotonic() + PLAN_S, True
        total, brokers = await sweep.count_keys(cache), await sweep.find_brokers(cache, until=until)
        until = time.monotonic() + PLAN_S
        async for step in sweep.walk_keys(cache, pattern):
            _part(tally, brokers, [name for name in step.names if matches(name)], step.walked)
            if time.monotonic() > until:
                is_whole = False
                break
        share = 1.0 if is_whole else max(1.0, total / max(1, tally.walked))
        count = units.count(tally.matched) if is_whole else f"about {units.count(tally.matched * share)}"
        lines = [PlanLine(label="keys", value=count, note=f"of {units.count(total)} in {cache.where}")]
        if tally.names:
            lines.append(PlanLine(label="such as", value=", ".join(tally.names[:_SHOWN])))
        if tally.spared:
            lines.append(PlanLine(label="left alone", value=units.count(tally.spared), note=_BROKERS))
        figures = {"keys": round(tally.matched * share), "is_exact": is_whole, "total": total, "spared": tally.spared}
        title, is_noop = self.title(parameters), is_whole and not tally.matched
        return Plan(kind=self.kind.name, title=title, lines=tuple(lines), figures=figures, is_noop=is_noop)

    async def run(self, context: JobContext, parameters: InvalidateParameters) -> Mapping[str, Any]:
        """Remove them; raises Retryable while the cache is away."""
        started = time.monotonic()
        tally = _Tally(removed=int((context.checkpoint or {}).get("removed", 0)))
        async with _keeping(context, lambda: {"removed": tally.removed}):
            total = await self._sweep(context, parameters, tally)
        context.progress(max(total, 1), max(total, 1), unit="keys", figures={"removed": tally.removed})
        if tally.spared:
            context.log.info("%d keys were left alone: %s", tally.spared, _BROKERS)
        context.log.info("%d keys removed: %s", tally.removed, ", ".join(tally.names[:_SHOWN]) or "none was there")
        return {
            "by": parameters.by,
            "value": parameters.value.strip(),
            "removed": tally.removed,
            "spared": tally.spared,
            "keys_before": total,
            "examples": tally.names,
            "duration_s": round(time.monotonic() - started, 3),
        }

    async def _sweep(self, context: JobContext, parameters: InvalidateParameters, tally: _Tally) -> int:
        """Walk and remove; returns how many keys there were before."""
        cache, (pattern, matches) = self._services.cache, _selection(parameters)
        total, brokers = await sweep.count_keys(cache), await sweep.find_brokers(cache)
        for name in _sure(parameters):  # what can be named needs no walk: it goes at once
            if await sweep.remove(cache, [name]):
                tally.removed += 1
                _look(tally, [name], 0)
        await self._forget_answers(parameters)
        async for step in sweep.walk_keys(cache, pattern):
            names = _part(tally, brokers, [name for name in step.names if matches(name)], step.walked)
            tally.removed += await sweep.remove(cache, names)
            figures = {"removed": tally.removed, "walked": min(tally.walked, total)}
            context.progress(min(tally.walked, total), max(total, 1), unit="keys", figures=figures)
            await context.breathe()
        return total

    async def _forget_answers(self, parameters: InvalidateParameters) -> None:
        """Forget what this and other consoles have computed about the same."""
        answers = self._services.answers
        if parameters.by == "symbol":
            await answers.symbol_changed(parameters.value.strip().upper())
        else:
            await answers.everything_changed()


class Cleanup:
    """``cache.cleanup``: keys of known families that never expire get a life; others are only reported."""

    kind = JobKind(
        name="cache.cleanup",
        title="Clean up cache",
        description="Give keys of the platform's families that never expire a life; report the other ones.",
        parameters=CleanupParameters,
        queue="maintenance",
        soft_limit_s=3600.0,
        hard_limit_s=3660.0,
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def title(self, parameters: CleanupParameters) -> str:
        """Return the line by which people recognise the job."""
        return f"give keys without expiry {units.span(parameters.life_s)}"

    async def plan(self, parameters: CleanupParameters) -> Plan:
        """Return what a walk of a few seconds finds without expiry. Raises CacheError."""
        cache, until = self._services.cache, time.monotonic() + PLAN_S
        total, walked, known, other = await sweep.count_keys(cache), 0, 0, 0
        async for step in sweep.walk_keys(cache):
            for name in await sweep.without_life(cache, step.names):
                is_known = sweep.family_of(name) is not None
                known, other = known + is_known, other + (not is_known)
            walked += step.walked
            if time.monotonic() > until:
                break
        seen = f"of {units.count(walked)} looked at, {units.count(total)} in all"
        lines = (
            PlanLine(
                label="get a life", value=units.count(known), note=f"{seen}; {units.span(parameters.life_s)} each"
            ),
            PlanLine(label="reported", value=units.count(other), note="of families the platform does not know"),
        )
        figures = {"known": known, "other": other, "walked": walked, "total": total}
        return Plan(
            kind=self.kind.name,
            title=self.title(parameters),
            lines=lines,
            figures=figures,
            is_noop=not known and walked >= total,
        )

    async def run(self, context: JobContext, parameters: CleanupParameters) -> Mapping[str, Any]:
        """Give lives, count the rest; raises Retryable while the cache is away."""
        started, cache = time.monotonic(), self._services.cache
        given: Counter[str] = Counter((context.checkpoint or {}).get("given") or {})
        others: Counter[str] = Counter()
        walked = 0
        async with _keeping(context, lambda: {"given": dict(given)}):
            total = await sweep.count_keys(cache)
            async for step in sweep.walk_keys(cache):
                for family_name, names in (await self._known(step, others)).items():
                    given[family_name] += await sweep.give_life(cache, names, parameters.life_s)
                walked += step.walked
                figures = {"given": given.total(), "reported": others.total()}
                context.progress(min(walked, total), max(total, 1), unit="keys", figures=figures)
                await context.breathe()
        figures = {"given": given.total(), "reported": others.total()}  # keys that expired meanwhile are done too
        context.progress(max(total, 1), max(total, 1), unit="keys", figures=figures)
        for kin, count in others.most_common(_SHOWN):
            context.log.info("%d keys of %s never expire and were left as they are", count, kin)
        return {
            "given": dict(given),
            "given_total": given.total(),
            "reported": dict(others.most_common(_SAVED)),
            "reported_total": others.total(),
            "walked": walked,
            "life_s": parameters.life_s,
            "duration_s": round(time.monotonic() - started, 3),
        }

    async def _known(self, step: sweep.Step, others: Counter[str]) -> dict[str, list[bytes]]:
        """Return the keys of a step without expiry, by known family; count the others."""
        known: dict[str, list[bytes]] = {}
        for name in await sweep.without_life(self._services.cache, step.names):
            family = sweep.family_of(name)
            if family is None:
                others[described(name)] += 1
            else:
                known.setdefault(family.name, []).append(name)
        return known


@contextlib.asynccontextmanager
async def _keeping(context: JobContext, counted: Callable[[], Mapping[str, Any]]) -> AsyncIterator[None]:
    """Keep what was counted where an attempt ends early: the result tells of all of them."""
    try:
        yield
    except Exception:
        await context.save(counted())
        raise


def _selection(parameters: InvalidateParameters) -> tuple[bytes, Callable[[bytes], bool]]:
    """Return the pattern the server looks for, and what a name must hold besides."""
    value = parameters.value.strip()
    if parameters.by == "pattern":
        return unescape(value), lambda name: True
    if parameters.by == "family":
        family = FAMILIES[value]
        return sweep.glob_of(family.prefix), lambda name: sweep.family_of(name) is family
    subject = value.upper() if parameters.by == "symbol" else value
    asked = subject.encode()
    if parameters.by == "user":
        return sweep.glob_of(subject), lambda name: sweep.is_of_user(name, asked)
    return sweep.glob_of(subject), lambda name: sweep.speaks_of(name, asked) and not _is_users(name)


def _sure(parameters: InvalidateParameters) -> list[bytes]:
    """Return the keys that the platform's own families would have."""
    if parameters.by not in ("symbol", "user"):
        return []
    value = parameters.value.strip()
    subject = value.upper() if parameters.by == "symbol" else value
    return [family.key(subject).encode() for family in FAMILIES.values() if family.subject == parameters.by]


def _is_users(name: bytes) -> bool:
    family = sweep.family_of(name)
    return family is not None and family.subject == "user"


def _is_symbol(value: str) -> bool:
    return value.isascii() and all(one.isalnum() or one in "./-" for one in value)


def _part(tally: _Tally, brokers: sweep.Brokers, names: list[bytes], walked: int) -> list[bytes]:
    """Count what a step found and return what of it may go."""
    free = [name for name in names if not brokers.own(name)]
    tally.spared += len(names) - len(free)
    _look(tally, free, walked)
    return free


def _look(tally: _Tally, names: list[bytes], walked: int) -> None:
    tally.walked += walked
    tally.matched += len(names)
    room = 20 - len(tally.names)
    tally.names += [clean(escape(name), 120) for name in names[: max(0, room)]]
