"""Words and figures of a backfill for people and machines: title, plan, gauge, result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean
from qsuite_console.workers.backfill.parameters import BackfillParameters
from qsuite_console.workers.backfill.planner import estimate_s
from qsuite_console.workers.backfill.verify import Verification, listed

if TYPE_CHECKING:
    from qsuite_console.db.ledger import Deficit
    from qsuite_console.engine.ratelimit import RateLimiter
    from qsuite_console.workers.backfill.fetch import Fetcher
    from qsuite_console.workers.backfill.pipeline import Totals
    from qsuite_console.workers.backfill.survey import Request, Survey
    from qsuite_console.workers.backfill.universe import Universe

_NAMED: Final = 4  # symbols in a title
_LISTED: Final = 100  # symbols in a result
_SECONDS_AN_HOUR: Final = 3600


def title(parameters: BackfillParameters) -> str:
    """Return ``backfill AAPL, MSFT 1Day 2025-01-02..2025-12-31``."""
    names = [part.strip().upper() for part in parameters.symbols.split(",") if part.strip()]
    if parameters.source == "file":
        what = parameters.path + (f" ({', '.join(names[:_NAMED])})" if names else "")
    elif len(names) == 1 and names[0] in ("ALL", "ACTIVE"):
        what = f"{names[0].lower()} symbols"
    elif not names:
        what = f"symbols of {parameters.symbols_file}"
    else:
        what = ", ".join(names[:_NAMED]) + (f" +{len(names) - _NAMED}" if len(names) > _NAMED else "")
    again = " refresh" if parameters.refresh else ""
    kind = "crypto " if parameters.source == "crypto" else ""
    end = "last session" if parameters.end is None else parameters.end.isoformat()
    return clean(f"backfill {kind}{what} {parameters.timeframe} {parameters.start}..{end}{again}", 160)


def describe_plan(request: Request, universe: Universe, survey: Survey, *, limit: int) -> Plan:
    """Return the plan as lines for people and figures for machines."""
    requests, rows = survey.requests, survey.bars
    seconds = estimate_s(requests, rows, limit=limit) if requests else 0.0
    waiting = survey.symbols_to_fetch
    figures: dict[str, Any] = {
        "table": survey.destination.table,
        "timeframe": request.parameters.timeframe,
        "start": request.start.isoformat(),
        "end": request.end.isoformat(),
        "sessions": len(request.sessions),
        "symbols": len(survey.symbols),
        "symbols_to_fetch": len(waiting),
        "requests": requests,
        "rows_expected": rows,
        "estimated_s": round(seconds, 1),
        "rate_limit": limit,
        "resumed_requests": len(survey.chains),
        "unknown_symbols": universe.unknown[:_LISTED],
        "skipped_symbols": survey.skipped[:_LISTED],
    }
    done = len(survey.symbols) - len(waiting)
    packed = f"up to {max(len(b.symbols) for b in survey.batches)} symbols a request" if survey.batches else ""
    lines = (
        PlanLine(label="symbols", value=f"{len(survey.symbols):,}", note=f"{done:,} complete already" if done else ""),
        PlanLine(label="sessions", value=f"{len(request.sessions):,}", note=f"{request.start} to {request.end}"),
        PlanLine(label="requests", value=f"{requests:,}", note=packed),
        PlanLine(label="rows", value=f"{rows:,}", note="expected by the calendar"),
        PlanLine(label="time", value=duration(seconds), note=f"at {limit:,} requests a minute"),
        PlanLine(label="table", value=survey.destination.table, note=_manner(survey)),
    )
    return Plan(
        kind="backfill",
        title=title(request.parameters),
        lines=lines,
        warnings=tuple(_warnings(request, universe, survey)),
        figures=figures,
        is_noop=requests == 0,
    )


def plan_line(survey: Survey) -> str:
    """Return the plan as the log's first line: ``500 symbols, 63 requests, 617,867 rows expected into price_ticks``."""
    waiting = len(survey.symbols_to_fetch)
    if not waiting:
        return f"nothing to fetch: {len(survey.symbols):,} symbols are complete in {survey.destination.table}"
    return (
        f"fetching {waiting:,} of {len(survey.symbols):,} symbols: {survey.requests:,} requests, "
        f"{survey.bars:,} rows expected into {survey.destination.table}"
    )


def share_line(totals: Totals, done: int, expected: int) -> str:
    """Return how far a run is: ``40 %: 247,000 of 617,867 rows, 26 requests, 124,613 rows/s``."""
    requests = "1 request" if totals.requests == 1 else f"{totals.requests:,} requests"
    speed = f", {round(totals.rows_fetched / totals.fetch_s):,} rows/s" if totals.fetch_s > 0 else ""
    return f"{100 * done // max(1, expected)} %: {done:,} of {expected:,} rows, {requests}{speed}"


def lost_line(lost: Sequence[Deficit]) -> str:
    """Return what the table has lost: which symbols, the first of them with its figures."""
    symbols, first = len({item.symbol for item in lost}), lost[0]
    hold = "1 symbol holds" if symbols == 1 else f"{symbols:,} symbols hold"
    return (
        f"{hold} fewer rows than were fetched, first {clean(first.symbol, 40)} {first.low:%Y-%m-%d} to "
        f"{first.high:%Y-%m-%d}: {first.present:,} of {first.fetched:,}; what is missing is fetched again"
    )


def verdict(checked: Verification) -> str:
    """Return the verification as the log's last line."""
    rows = f"{checked.rows_present:,} rows"
    if checked.deficits:
        return f"not verified: {rows} are there, {checked.rows_missing:,} that were fetched are missing"
    return f"verified: {rows} are there, none that was fetched is missing"


def duration(seconds: float) -> str:
    """Return ``40 s``, ``4 min``, ``1 h 20 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s" if seconds else "none"
    if seconds < _SECONDS_AN_HOUR:
        return f"{round(seconds / 60)} min"
    return f"{int(seconds // _SECONDS_AN_HOUR)} h {round(seconds % _SECONDS_AN_HOUR / 60)} min"


def _manner(survey: Survey) -> str:
    straight = sum(batch.is_straight for batch in survey.batches)
    if not survey.batches:
        return ""
    if straight == len(survey.batches):
        return "the range is empty: straight COPY"
    return f"{len(survey.batches) - straight} of {len(survey.batches)} requests merge with rows that are there"


def _warnings(request: Request, universe: Universe, survey: Survey) -> list[str]:
    found = [*universe.warnings, *survey.warnings]
    if universe.unknown:
        found.append(f"unknown to the provider: {_some(universe.unknown)}")
    if survey.skipped:
        found.append(f"not in the tickers table: {_some(survey.skipped)}")
    wanted = request.parameters.end
    if wanted is not None and wanted > request.end:
        found.append(f"the end is {request.end}: nothing later is complete")
    if survey.chains:
        found.append(f"{len(survey.chains)} interrupted requests are continued")
    return found


def _some(symbols: Sequence[str]) -> str:
    more = f" and {len(symbols) - 8} more" if len(symbols) > 8 else ""
    return clean(", ".join(symbols[:8]), 200) + more


@dataclass(frozen=True, slots=True)
class Gauge:
    """What the live view shows beside the bar."""

    totals: Totals
    limiter: RateLimiter
    fetcher: Fetcher
    requests_total: int
    symbols_total: int

    def figures(self, symbols_done: int, now: float) -> dict[str, float | str]:
        """Return the figures of a running backfill; ``now`` is monotonic."""
        totals, window = self.totals, self.limiter.window
        running = sorted({symbol for chain in self.fetcher.active.values() for symbol in chain.symbols})
        return {
            "phase": "fetch",
            "requests": totals.requests,
            "requests_total": max(self.requests_total, totals.requests),
            "rows": totals.rows_fetched,
            "rows_per_s": round(totals.rows_fetched / totals.fetch_s) if totals.fetch_s > 0 else 0,
            "symbols_done": symbols_done,
            "symbols_total": self.symbols_total,
            "http_429": totals.http_429,
            "rate_limit": window.limit,
            "rate_remaining": window.limit if window.available is None else window.available,
            "rate_reset_s": round(max(0.0, window.reset_at - now), 1),
            "retries": totals.retries,
            "quarantined": totals.quarantined,
            "bytes": totals.bytes,
            "concurrent": self.fetcher.target,
            "months_running": f"{running[0]}..{running[-1]}" if running else "",
        }


def describe_result(
    *,
    totals: Totals,
    universe: Universe,
    survey: Survey,
    fetched: int,
    invalid: Sequence[str],
    checked: Verification,
    durations: Mapping[str, float],
    is_shared: bool,
) -> dict[str, Any]:
    """Return the job's result; ``fetched`` symbols were asked for, in one round or two."""
    fetch_s = durations["fetch_s"]
    return {
        "table": survey.destination.table,
        "symbols": len(survey.symbols),
        "symbols_fetched": fetched,
        "requests": totals.requests,
        "rows_expected": checked.rows_present + checked.rows_missing,
        "rows_written": totals.rows_written,
        "rows_present": checked.rows_present,
        "quarantined": totals.quarantined,
        "http_429": totals.http_429,
        "http_429_share": round(totals.http_429 / totals.requests, 4) if totals.requests else 0.0,
        "retries": totals.retries,
        "bytes": totals.bytes,
        "waited_s": round(totals.waited_s, 3),
        "rows_per_s": round(totals.rows_fetched / fetch_s) if fetch_s > 0 and totals.rows_fetched else 0,
        "symbols_per_s": round(fetched / fetch_s, 1) if fetch_s > 0 and fetched else 0.0,
        "verified": not checked.deficits,
        "missing": listed(checked.deficits),
        "restored": listed(checked.restored),
        "unknown_symbols": universe.unknown[:_LISTED],
        "invalid_symbols": list(invalid)[:_LISTED],
        "skipped_symbols": survey.skipped[:_LISTED],
        "symbols_without_bars": list(checked.empty_symbols[:_LISTED]),
        "rate_limit_shared": is_shared,
        "warnings": [*universe.warnings, *survey.warnings],
        **{name: round(seconds, 3) for name, seconds in durations.items()},
    }
