"""What each report is made of: asked of the probes that screens ask, so no figure is computed twice in two ways.

What can't be read becomes a note on the cover; only a report without anything to say fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from qsuite_console.db.reporting import select
from qsuite_console.model.advice import Analysis
from qsuite_console.model.alerts import RuleList
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.jobs import Job, JobQuery, Statistics
from qsuite_console.model.market import Bars, CoverageMap, Quote, Volatility, Watch
from qsuite_console.model.series import Series
from qsuite_console.model.text import clean
from qsuite_console.model.verification import Verified
from qsuite_console.reports.contents import custom, jobs, market, performance, verification
from qsuite_console.reports.document import Document
from qsuite_console.reports.frame import Frame
from qsuite_console.workers.report.parameters import ReportParameters, order_of, symbols_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsuite_console.workers import Services

QUERY_S: Final = 60.0
_DAYS: Final = 120  # daily bars a symbol
_JOBS: Final = 5000  # looked at one by one
_RUNS: Final = 200
_MAPPED: Final = 108  # symbols on the map of a verification
_AT_ONCE: Final = 3  # questions of one report under way
S = TypeVar("S", bound=msgspec.Struct)


@dataclass(slots=True, kw_only=True)
class Gathering:
    """One report's questions: ``tell`` hears what is asked next, ``problems`` keeps what could not be read."""

    services: Services
    parameters: ReportParameters
    frame: Frame
    tell: Callable[[str], None]
    problems: list[str] = field(default_factory=list)

    async def document(self) -> Document:
        """Return the document; raises ConsoleError where there is nothing to make one of."""
        made = {
            "performance": self._performance,
            "jobs": self._jobs,
            "market": self._market,
            "backfill": self._backfill,
            "custom": self._custom,
        }[self.parameters.name]
        return await made()

    async def _performance(self) -> Document:
        names = tuple(name for _, _, group in performance.TRENDS for name in group)
        analysis, series, rules = await asyncio.gather(
            self._must("analyze", Analysis, {"detailed": True}, "scores and findings"),
            self._ask(
                "metrics.series",
                Series,
                {"names": names, "window_s": min(3600 * self.parameters.hours, 90 * 86_400), "points": 240},
                "trends",
            ),
            self._ask("alerts.rules", RuleList, {}, "thresholds"),
        )
        found = performance.Found(analysis=analysis, series=series, rules=rules, problems=tuple(self.problems))
        return performance.build(self.frame, found, most_rows=self.parameters.rows)

    async def _jobs(self) -> Document:
        books = self.services.books
        if books is None:
            raise ConsoleError("there is no history of jobs here", hint="an engine that runs jobs has one")
        self.tell("statistics of jobs")
        window_s = (self.frame.end - self.frame.start).total_seconds()
        statistics: Statistics = await books.statistics(window_s=window_s, now=self.frame.end)
        self.tell("jobs")
        found, is_cut = await self._window_jobs(JobQuery(limit=1000), _JOBS)
        answer = jobs.Found(statistics=statistics, jobs=tuple(found), is_cut=is_cut, problems=tuple(self.problems))
        return await asyncio.to_thread(jobs.build, self.frame, answer, most_rows=self.parameters.rows)

    async def _window_jobs(self, query: JobQuery, most: int) -> tuple[list[Job], bool]:
        """Return the jobs made in the window, newest first, and whether there were more than ``most``."""
        assert self.services.books is not None
        found: list[Job] = []
        while True:
            page = await self.services.books.jobs(query)
            found += [job for job in page.jobs if self.frame.start <= job.created_at <= self.frame.end]
            is_over = any(job.created_at < self.frame.start for job in page.jobs)
            if is_over or page.next_before is None:
                return found[:most], len(found) > most
            if len(found) >= most:
                return found[:most], True
            query = msgspec.structs.replace(query, before=page.next_before)

    async def _market(self) -> Document:
        watch = await self._watched()
        symbols = [quote.symbol for quote in watch.quotes]
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str, kind: type[S], given: Mapping[str, Any], words: str) -> S | None:
            async with turns:
                return await self._ask(name, kind, given, words)

        volatilities = await asyncio.gather(
            *(one("market.volatility", Volatility, {"symbol": symbol}, f"volatility of {symbol}") for symbol in symbols)
        )
        days = await asyncio.gather(
            *(
                one("market.bars", Bars, {"symbol": symbol, "timeframe": "1Day", "limit": _DAYS}, f"days of {symbol}")
                for symbol in symbols
            )
        )
        coverage = await self._coverage(symbols)
        found = market.Found(
            watch=watch,
            volatilities=tuple(each for each in volatilities if each is not None),
            days=tuple(each for each in days if each is not None),
            coverage=coverage,
            problems=tuple(self.problems),
        )
        return await asyncio.to_thread(market.build, self.frame, found, most_rows=self.parameters.rows)

    async def _watched(self) -> Watch:
        named = symbols_of(self.parameters)
        if not named:
            asked = {"order": order_of(self.parameters), "limit": self.parameters.most}
            return await self._must("market.watch", Watch, asked, "prices")
        quotes: list[Quote] = []
        watch: Watch | None = None
        for symbol in named:
            watch = await self._must("market.watch", Watch, {"text": symbol, "limit": 50}, f"price of {symbol}")
            fitting = [quote for quote in watch.quotes if quote.symbol == symbol]
            if not fitting:
                self.problems.append(f"{symbol} is no active symbol of the platform")
            quotes += fitting
        assert watch is not None
        return msgspec.structs.replace(watch, quotes=tuple(quotes), symbols_total=len(named))

    async def _coverage(self, symbols: list[str]) -> CoverageMap | None:
        """Return the map's rows of just these symbols."""
        maps = []
        for symbol in symbols:
            found = await self._ask(
                "backfill.coverage",
                CoverageMap,
                {**self._months(), "text": symbol, "limit": 50},
                f"coverage of {symbol}",
            )
            if found is not None:
                maps.append(
                    msgspec.structs.replace(found, rows=tuple(row for row in found.rows if row.symbol == symbol))
                )
        if not maps:
            return None
        return msgspec.structs.replace(maps[0], rows=tuple(row for each in maps for row in each.rows))

    def _months(self) -> dict[str, Any]:
        last = self.frame.end.year * 12 + self.frame.end.month - 1
        first = last - self.parameters.months + 1
        start, end = (f"{number // 12:04d}-{number % 12 + 1:02d}" for number in (first, last))
        return {
            "table": self.parameters.table,
            "timeframe": self.parameters.timeframe,
            "start": start,
            "end": end,
        }

    async def _backfill(self) -> Document:
        coverage = await self._must(
            "backfill.coverage", CoverageMap, {**self._months(), "limit": _MAPPED}, "what is stored"
        )
        verified = await self._ask("backfill.verification", Verified, self._months(), "rows")
        runs: list[tuple[Job, Mapping[str, Any] | None]] = []
        if self.services.books is not None:
            self.tell("runs")
            found, _ = await self._window_jobs(JobQuery(kinds=("backfill",), limit=_RUNS), _RUNS)
            for job in found:
                runs.append((job, (await self.services.books.detail(job.id)).result))
        answer = verification.Found(
            verified=verified, coverage=coverage, runs=tuple(runs), problems=tuple(self.problems)
        )
        return await asyncio.to_thread(verification.build, self.frame, answer, most_rows=self.parameters.rows)

    async def _custom(self) -> Document:
        self.tell("query")
        wanted = self.parameters
        label = "report query"
        found = await select(self.services.database, wanted.query, label, budget_s=QUERY_S, most_rows=wanted.rows)
        return await asyncio.to_thread(
            custom.build,
            self.frame,
            found.columns,
            found.are_numbers,
            found.rows,
            query=clean(wanted.query, 4000, one_line=False),
            has_more=found.has_more,
            asked_at=self.services.clock.now(),
        )

    async def _ask(self, name: str, kind: type[S], given: Mapping[str, Any], words: str) -> S | None:
        """Return a probe's answer; what keeps it from answering is a note, not a failure."""
        try:
            return await self._must(name, kind, given, words)
        except ConsoleError as error:
            self.problems.append(f"{words}: {error.message}")
            return None

    async def _must(self, name: str, kind: type[S], given: Mapping[str, Any], words: str) -> S:
        self.tell(words)
        asked = self.services.probe(name)
        try:
            async with asyncio.timeout(asked.timeout_s):
                answer = await asked.ask(given)
        except TimeoutError as error:
            raise ConsoleError(
                f"no answer within {asked.timeout_s:g} s", hint="try again when it is quieter"
            ) from error
        assert isinstance(answer, kind)
        return answer


def frame_of(services: Services, parameters: ReportParameters, *, zone: str, origin: str) -> Frame:
    """Return the surroundings of a report that is made now."""
    now, target = services.clock.now(), services.settings.target
    return Frame(
        name=parameters.name,
        target=target.name,
        word=target.word,
        start=now - timedelta(hours=parameters.hours),
        end=now,
        made_at=now,
        zone=zone,
        origin=origin,
        title=parameters.title.strip(),
    )
