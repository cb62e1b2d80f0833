"""One attempt at a backfill, from the plan to the verified result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any, Final

from qsuite_console.db.bar_writer import Target
from qsuite_console.db.ledger import Deficit, create_console_tables
from qsuite_console.db.partitions import prepare_months
from qsuite_console.engine.ports import JobContext, Retryable
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean
from qsuite_console.workers.backfill import describe as words
from qsuite_console.workers.backfill.chain import from_batch, from_state
from qsuite_console.workers.backfill.fetch import Fetcher
from qsuite_console.workers.backfill.mend import disown
from qsuite_console.workers.backfill.parameters import BackfillParameters, profile_of
from qsuite_console.workers.backfill.pipeline import Pipeline, Totals
from qsuite_console.workers.backfill.scout import Scout
from qsuite_console.workers.backfill.survey import Survey
from qsuite_console.workers.backfill.verify import Verification, verify

_SAVE_S: Final = 2.0


class Run:
    """One attempt at a job."""

    def __init__(self, scout: Scout, context: JobContext, parameters: BackfillParameters) -> None:
        self._scout, self._services = scout, scout.services
        self._context, self._parameters = context, parameters
        self._totals = Totals()
        self._refresh_since: datetime | None = None
        self._report: Callable[..., None] = lambda note, phase="plan": None
        self._started = time.monotonic()
        self._verify_s = 0.0
        self._fetched: set[str] = set()
        self._invalid: list[str] = []
        self._tenth = 0  # of the rows, as last said in the log

    async def run(self) -> Mapping[str, Any]:
        """Plan, fetch, store, verify; return the result. Raises ConsoleError."""
        self._restore()
        self._context.progress(0, message="planning", figures={"phase": "plan"})
        database = self._services.database
        coverage = self._services.settings.tables.coverage
        async with database.session("backfill tables") as connection:
            await create_console_tables(connection, coverage)
        universe, made, _ = await self._scout.survey(self._parameters, self._refresh_since)
        for warning in [*universe.warnings, *made.warnings]:
            self._context.log.warning("%s", warning)
        plan_s = time.monotonic() - self._started
        self._context.log.info("%s", words.plan_line(made))
        await self._save()
        await self._fill(made)
        checked = await self._verify(made)
        if checked.deficits:
            checked = await self._mend(made, checked.deficits)
        self._context.log.info("%s", words.verdict(checked))
        durations = {"plan_s": plan_s, "fetch_s": self._totals.fetch_s, "verify_s": self._verify_s}
        await self._save()
        return words.describe_result(
            totals=self._totals,
            universe=universe,
            survey=made,
            fetched=len(self._fetched),
            invalid=self._invalid,
            checked=checked,
            durations=durations,
            is_shared=self._scout.limiter.is_shared,
        )

    async def _verify(self, made: Survey) -> Verification:
        self._report("verifying", phase="verify")
        started = time.monotonic()
        services, names = self._services, (self._parameters.timeframe, made.ledger_name)
        coverage, period = services.settings.tables.coverage, (made.low, made.high)
        checked = await verify(services.database, made.destination, coverage, names, made.symbols, period)
        self._verify_s += time.monotonic() - started
        return checked

    async def _mend(self, made: Survey, lost: tuple[Deficit, ...]) -> Verification:
        """Ask once more for rows that were fetched and are gone; what is missing even then is reported."""
        self._context.log.warning("%s", words.lost_line(lost))
        async with self._services.database.session("backfill mend") as connection:
            await disown(connection, self._services.settings.tables, made, self._parameters.timeframe, lost)
        _, again, _ = await self._scout.survey(self._parameters, self._refresh_since)
        await self._fill(again)
        return replace(await self._verify(again), restored=lost)

    async def _fill(self, made: Survey) -> None:
        """Fetch and store what a survey found missing; raises the first failure when all the rest is stored."""
        self._fetched |= made.symbols_to_fetch
        chains = [from_state(state, made.covered) for state in made.chains]
        resumed = len(chains)
        chains += [from_batch(batch) for batch in made.batches]
        if resumed:
            self._context.log.info("continuing %d interrupted requests", resumed)
        fetcher, pipeline = self._assemble(made)
        if not chains:
            return
        async with self._services.database.session("backfill partitions") as connection:
            created, warnings = await prepare_months(connection, made.destination, made.months)
        if created:
            self._context.log.info("created %d monthly partitions", len(created))
        for warning in warnings:
            self._context.log.warning("%s", warning)
        fetcher.start(chains)
        saver = asyncio.create_task(self._save_steadily())
        try:
            await pipeline.run(len(chains))
        finally:
            saver.cancel()
            await fetcher.stop()
            pipeline.take_counts()
            await asyncio.gather(saver, return_exceptions=True)
            await self._save()
        self._invalid += pipeline.invalid_symbols
        if pipeline.failures.errors:
            first = pipeline.failures.errors[0]
            raise first if isinstance(first, ConsoleError) else Retryable(clean(first, 300))

    def _assemble(self, made: Survey) -> tuple[Fetcher, Pipeline]:
        limiter = self._scout.limiter
        settings = self._services.settings
        fetcher = Fetcher(
            self._services.provider(),
            limiter,
            self._parameters,
            profile_of(self._parameters.profile, settings.backfill),
            made,
        )
        target = Target(
            destination=made.destination,
            coverage=settings.tables.coverage,
            timeframe=self._parameters.timeframe,
            ledger_name=made.ledger_name,
            rivals=made.rivals,
            plan=made.plan_id,
            job_id=self._context.job_id,
            owners=made.owners,
        )
        total, requests = self._totals.rows_fetched + made.bars, self._totals.requests + made.requests
        complete = len(made.symbols) - len(made.symbols_to_fetch)

        def report(note: str, phase: str = "fetch") -> None:
            gauge = words.Gauge(self._totals, limiter, fetcher, requests, len(made.symbols))
            done = self._totals.rows_fetched  # of all attempts: a resumed job goes on where its bar stood
            figures = gauge.figures(complete + len(pipeline.symbols_done), self._services.clock.monotonic())
            expected = done if phase == "verify" else max(total, done)
            figures["phase"] = phase
            self._log_share(done, expected)
            self._context.progress(done, expected, unit="rows", message=note, figures=figures)

        self._report = report
        pipeline = Pipeline(self._services, fetcher, target, self._context, self._totals, report)
        return fetcher, pipeline

    async def _save_steadily(self) -> None:
        """Keep the running totals: the checkpoint only informs, the database holds where to go on."""
        while True:
            await asyncio.sleep(_SAVE_S)
            await self._save()

    async def _save(self) -> None:
        since = self._refresh_since.isoformat() if self._refresh_since else None
        await self._context.save({"totals": asdict(self._totals), "refresh_since": since})

    def _restore(self) -> None:
        kept = self._context.checkpoint or {}
        known = {item.name for item in fields(Totals)}
        self._totals = Totals(**{k: v for k, v in dict(kept.get("totals") or {}).items() if k in known})
        if self._parameters.refresh:
            since = kept.get("refresh_since")
            self._refresh_since = datetime.fromisoformat(since) if since else self._services.clock.now()

    def _log_share(self, done: float, expected: float) -> None:
        """Say in the log how far it is, once every tenth of the way."""
        tenth = int(10 * done / expected) if expected else 0
        if tenth > self._tenth:
            self._tenth = tenth
            self._context.log.info("%s", words.share_line(self._totals, int(done), int(expected)))
