"""What the coverage map shows and what one of its cells asks for: windows of months, live states, filling a cell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.model.calendar import last_completed
from qsuite_console.model.jobs import Job, JobState, Receipt, Submission
from qsuite_console.model.kinds import Plan
from qsuite_console.model.market import CellState, CoverageCell
from qsuite_console.screens import acting
from qsuite_console.screens.dialogs.confirm import ConfirmDialog

if TYPE_CHECKING:
    from qsuite_console.screens.base import ConsoleScreen

MONTHS_LIMIT: Final = 60  # that the probe answers at once
PAGE_LIMIT: Final = 200  # symbols read at once
SMALL_REQUESTS: Final = 20  # up to here a cell is fetched without a question
TABLES: Final = ("price_ticks", "market_data_marketdata")
TIMEFRAMES: Final = ("1Min", "5Min", "15Min", "30Min", "1Hour", "1Day", "1Week", "1Month")
_ONLY: Final = {"market_data_marketdata": ("1Min",)}  # tables that hold bars of some lengths only
UNITS: Final = {"1Week": "week", "1Month": "month"}  # what a cell counts; sessions otherwise
DAILY: Final = "1Day"
Place = tuple[str, str]  # symbol and month


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of which table's coverage is shown."""

    table: str = ""
    timeframe: str = ""
    text: str = ""  # the symbols begin with it
    end: str = ""  # the last month; "" is the present one

    def of(self, table: str, timeframe: str) -> Window:
        """Return the window on another table or timeframe; what is empty stays, or is the default.

        A timeframe that the table can't hold gives way to one that it can.
        """
        table = table or self.table or TABLES[0]
        wanted = timeframe or self.timeframe or DAILY
        left_behind = not timeframe and table != self.table and timeframes(self.table) != TIMEFRAMES
        wanted = DAILY if left_behind else wanted
        return replace(self, table=table, timeframe=wanted if wanted in timeframes(table) else timeframes(table)[0])

    def moved(self, months: int, present: str) -> Window:
        """Return the window ``months`` later, not beyond the present one."""
        end = min(month_back(self.end or present, -months), present)
        return replace(self, end="" if end == present else end)

    def question(self, present: str, *, months: int, symbols: int, after: str | None) -> dict[str, Any]:
        """Return the probe's parameters for so many months and at least so many symbols."""
        end = self.end or present
        asked: dict[str, Any] = {
            "table": self.table, "timeframe": self.timeframe, "start": month_back(end, min(months, MONTHS_LIMIT) - 1),
            "end": end, "limit": min(PAGE_LIMIT, max(20, symbols)), "text": self.text,
        }  # fmt: skip
        return asked if after is None else {**asked, "after": after}


def timeframes(table: str) -> tuple[str, ...]:
    """Return the timeframes that a table can hold."""
    return _ONLY.get(table, TIMEFRAMES)


def following(choices: tuple[str, ...], current: str) -> str:
    """Return the choice after the current one."""
    return choices[(choices.index(current) + 1) % len(choices)] if current in choices else choices[0]


def month_back(month: str, months: int) -> str:
    """Return the month that lies ``months`` before "2025-03"."""
    number = int(month[:4]) * 12 + int(month[5:7]) - 1 - months
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def month_days(month: str, last: date) -> tuple[date, date]:
    """Return the first and last day of a month, not beyond ``last``."""
    first = date(int(month[:4]), int(month[5:7]), 1)
    after = (first + timedelta(days=32)).replace(day=1)
    return first, min(after - timedelta(days=1), last)


def live_states(
    jobs: Iterable[Job], asked: Iterable[Place], symbols: set[str], months: tuple[str, ...], window: Window
) -> Mapping[Place, CellState]:
    """Return the states that jobs (newest first) give to shown cells; what was just asked for counts as running."""
    states: dict[Place, CellState] = dict.fromkeys(asked, CellState.RUNNING)
    for job in jobs:
        if job.state is JobState.RUNNING:
            state = CellState.RUNNING
        elif job.state is JobState.FAILED:
            state = CellState.FAILED
        else:
            continue
        for place in places_of(job, symbols, months, window):
            states.setdefault(place, state)
    return states


def places_of(job: Job, symbols: set[str], months: tuple[str, ...], window: Window) -> Iterable[Place]:
    """Return the shown cells that a backfill works on; of a running one, only the symbols it says it is fetching."""
    wanted = job.parameters
    if (str(wanted.get("table", TABLES[0])), str(wanted.get("timeframe", "1Day"))) != (window.table, window.timeframe):
        return
    start, end = str(wanted.get("start", ""))[:7], str(wanted.get("end") or "9999-99")[:7]
    asked = str(wanted.get("symbols", "")).upper().strip()
    fetching = job.progress.figures.get("months_running", "") if job.state is JobState.RUNNING else ""
    low, _, high = str(fetching).partition("..")
    is_wide = asked in {"ALL", "ACTIVE"} or (not asked and bool(low))  # a file of symbols is known by its range only
    named = symbols if is_wide else {part.strip() for part in re.split("[,;\n]", asked)} & symbols
    for month in months:
        if start <= month <= end:
            for symbol in named:
                if not low or low <= symbol <= (high or low):
                    yield symbol, month


async def fill(screen: ConsoleScreen, symbol: str, cell: CoverageCell, window: Window) -> Receipt | None:
    """Submit a backfill of one symbol and month and return its receipt; asks first where it would be large.

    Must run in a worker of the screen: it may wait for an answer.
    """
    first, last = month_days(cell.month, last_completed(screen.now).day)
    parameters = {
        "symbols": symbol, "timeframe": window.timeframe, "start": first.isoformat(), "end": last.isoformat(),
        "table": window.table,
    }  # fmt: skip
    plan = await screen.attempt(screen.control.plan("backfill", parameters))
    if plan is None:
        return None
    if plan.is_noop:
        screen.tell(f"{symbol} {cell.month}: the provider has nothing more to give")
        return None
    if not await _agrees(screen, f"Backfill {symbol} {cell.month}?", plan):
        return None
    submission = Submission(
        kind="backfill", parameters=parameters, origin=acting.ORIGIN, confirmation=acting.name_to_type(screen)
    )
    receipt = await screen.attempt(screen.control.submit(submission))
    if receipt is not None:
        screen.tell(f"Job {receipt.job_id} {'fetches' if receipt.joined else 'will fetch'} {symbol} {cell.month}")
    return receipt


async def _agrees(screen: ConsoleScreen, title: str, plan: Plan) -> bool:
    typed = acting.name_to_type(screen)
    requests = plan.figures.get("requests", 0)
    if isinstance(requests, int | float) and requests <= SMALL_REQUESTS and not typed:
        return True
    lines = [f"{line.label}: {line.value} {line.note}".strip() for line in plan.lines] + list(plan.warnings)
    dialog = ConfirmDialog(title, lines, do="start it", typed=typed)
    return await screen.agrees(dialog)
