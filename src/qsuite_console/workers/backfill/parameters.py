"""What may be asked of a backfill, and the named profiles of how hard it may pull (adaptive by default)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec

from qsuite_console.config.settings import BackfillSettings, TableSettings
from qsuite_console.model.calendar import FIRST_YEAR
from qsuite_console.model.clock import Clock
from qsuite_console.model.kinds import PATH
from qsuite_console.model.markets import CRYPTO, MARKETS, STOCKS, Market
from qsuite_console.model.text import clean
from qsuite_console.model.timeframes import Timeframe, align

ProfileName = Literal[
    "adaptive", "baseline", "conservative", "aggressive", "maximum", "development", "production", "high"
]
SourceName = Literal["stocks", "crypto", "file"]
ALL: Final = "all"
ACTIVE: Final = "active"
_SEPARATORS: Final = re.compile(r"[,;\n]")
_LISTED: Final = 5  # how many bad symbols a message names


@dataclass(frozen=True, slots=True)
class Profile:
    """Symbols a request (None: as many as fit), requests at once (None: by latency), seconds between requests."""

    batch_size: int | None
    concurrent: int | None
    delay_s: float


PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        "adaptive": Profile(None, None, 0.0),
        "baseline": Profile(10, 3, 0.5),
        "conservative": Profile(20, 6, 0.3),
        "aggressive": Profile(30, 10, 0.2),
        "maximum": Profile(50, 15, 0.1),
        "development": Profile(15, 5, 0.4),
        "production": Profile(25, 8, 0.25),
        "high": Profile(40, 12, 0.15),
    }
)


class BackfillParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a backfill can be told; the form, the flags and the HTTP schema are made from it."""

    symbols: Annotated[
        str,
        msgspec.Meta(
            title="Symbols",
            description="comma-separated symbols (crypto: BTC/USD), or all, or active; a file needs none",
            examples=["AAPL,MSFT or all or active"],
        ),
    ] = ""
    symbols_file: Annotated[
        str,
        msgspec.Meta(
            title="Symbols file",
            description="file with one symbol a line",
            examples=["symbols.txt"],
            extra_json_schema=PATH,
        ),
    ] = ""
    timeframe: Annotated[Timeframe, msgspec.Meta(title="Timeframe", description="length of a bar")] = "1Day"
    start: Annotated[date, msgspec.Meta(title="Start", description="first day, New York time", examples=["2025-01-02"])]
    end: Annotated[
        date | None,
        msgspec.Meta(title="End", description="last day; empty is the last session", examples=["last session"]),
    ] = None
    table: Annotated[
        str,
        msgspec.Meta(
            title="Table",
            description="price_ticks, or market_data_marketdata (1Min only)",
            examples=["price_ticks"],
        ),
    ] = "price_ticks"
    profile: Annotated[ProfileName, msgspec.Meta(title="Profile", description="how hard to pull")] = "adaptive"
    feed: Annotated[
        Literal["", "sip", "iex", "otc", "boats"],
        msgspec.Meta(title="Feed", description="empty lets the provider choose"),
    ] = ""
    adjustment: Annotated[
        Literal["raw", "split", "dividend", "all"],
        msgspec.Meta(title="Adjustment", description="of prices for splits and dividends"),
    ] = "raw"
    refresh: Annotated[
        bool, msgspec.Meta(title="Refresh", description="fetch again what is there and update what changed")
    ] = False
    source: Annotated[
        SourceName,
        msgspec.Meta(title="Source", description="stocks or crypto of the provider, or a local file of bars"),
    ] = "stocks"
    path: Annotated[
        str,
        msgspec.Meta(
            title="Path",
            description="with source file: a CSV, JSONL or Parquet file, a directory or a pattern",
            examples=["bars/2025-*.csv"],
            extra_json_schema=PATH,
        ),
    ] = ""


def profile_of(name: str, settings: BackfillSettings) -> Profile:
    """Return the profile with what the settings (BACKFILL_BATCH_SIZE and so on) override."""
    chosen = PROFILES[name]
    return Profile(
        chosen.batch_size if settings.batch_size is None else settings.batch_size,
        chosen.concurrent if settings.concurrent_requests is None else settings.concurrent_requests,
        chosen.delay_s if settings.delay_s is None else settings.delay_s,
    )


def market_for(parameters: BackfillParameters) -> Market:
    """Return the market whose provider is asked; stocks' rules for a file, which may hold several."""
    return MARKETS.get(parameters.source, STOCKS)


def split_symbols(text: str, market: Market = STOCKS) -> tuple[list[str], list[str]]:
    """Return (symbols, entries that can't be symbols) of a comma-separated text, upper case, without repetition."""
    good: dict[str, None] = {}
    bad: dict[str, None] = {}
    for part in _SEPARATORS.split(text):
        entry = part.strip()
        symbol = entry.upper()
        if market.symbol.fullmatch(symbol):
            good[symbol] = None
        elif entry:
            bad[entry] = None
    return list(good), list(bad)


def is_keyword(text: str) -> bool:
    """Return whether ``text`` names a universe instead of symbols."""
    return text.strip().lower() in (ALL, ACTIVE)


def describe_bad(entries: list[str], market: Market = STOCKS) -> str:
    """Return one line that names the entries that are not symbols."""
    named = ", ".join(f'"{clean(entry, 40)}"' for entry in entries[:_LISTED])
    more = f" and {len(entries) - _LISTED} more" if len(entries) > _LISTED else ""
    verb = "is not a symbol" if len(entries) == 1 else "are not symbols"
    if market is CRYPTO:
        return f"{named}{more} {verb} of crypto (pairs like {market.example})"
    return f"{named}{more} {verb} (letters and digits, parts joined by . - /)"


def resolve_range(parameters: BackfillParameters, clock: Clock) -> tuple[date, date]:
    """Return the first and last day to fetch: clipped to the last session, and to whole weeks or months."""
    last = market_for(parameters).last_day(clock.now())
    end = min(parameters.end or last, last)
    return align(parameters.timeframe, parameters.start, end)


def check(parameters: BackfillParameters, tables: TableSettings, clock: Clock) -> dict[str, str]:
    """Return field -> problem for all that is wrong with the parameters, without any I/O."""
    if parameters.source == "file":
        problems = _check_file(parameters, clock)
    else:
        problems = _check_symbols(parameters) | _check_range(parameters, clock) | _check_market(parameters)
    kind = destination_kind(parameters.table, tables)
    if kind is None:
        problems["table"] = f'"{clean(parameters.table, 60)}" is neither price_ticks nor market_data_marketdata'
    elif kind == "market_data" and parameters.timeframe != "1Min":
        problems["table"] = f"{parameters.table} holds 1Min bars only; choose price_ticks for {parameters.timeframe}"
    return problems


def destination_kind(table: str, tables: TableSettings) -> Literal["price_ticks", "market_data"] | None:
    """Return which of the two tables ``table`` names, by its usual or its configured name."""
    if table in ("price_ticks", tables.price_ticks):
        return "price_ticks"
    if table in ("market_data_marketdata", "market_data", tables.market_data):
        return "market_data"
    return None


def _check_symbols(parameters: BackfillParameters) -> dict[str, str]:
    if is_keyword(parameters.symbols):
        return {}
    market = market_for(parameters)
    good, bad = split_symbols(parameters.symbols, market)
    if bad:
        return {"symbols": describe_bad(bad, market)}
    if not good and not parameters.symbols_file.strip() and parameters.source != "file":
        return {"symbols": "name symbols, all or active"}
    return {}


def _check_market(parameters: BackfillParameters) -> dict[str, str]:
    problems: dict[str, str] = {}
    if parameters.path.strip():
        problems["path"] = "is for source file only; choose --source file, or leave the path empty"
    if not market_for(parameters).has_adjustments:
        problems |= _check_provider_words(parameters)
    return problems


def _check_provider_words(parameters: BackfillParameters) -> dict[str, str]:
    """Refuse what only stocks of the provider have, rather than ignore it."""
    problems: dict[str, str] = {}
    if parameters.feed:
        problems["feed"] = f"is for stocks only; source {parameters.source} has none"
    if parameters.adjustment != "raw":
        problems["adjustment"] = f"is for stocks only; prices of source {parameters.source} are taken as they are"
    return problems


def _check_file(parameters: BackfillParameters, clock: Clock) -> dict[str, str]:
    problems = _check_symbols(parameters) | _check_provider_words(parameters)
    if not parameters.path.strip():
        problems["path"] = "name a CSV, JSONL or Parquet file, a directory or a pattern"
    elif "\0" in parameters.path:
        problems["path"] = "holds a NUL character"
    if parameters.symbols.strip().lower() == ACTIVE:
        problems["symbols"] = "name symbols, or leave it empty for all that the file holds"
    if parameters.start > clock.now().date():
        problems["start"] = f"{parameters.start} is in the future"
    elif parameters.end is not None and parameters.end < parameters.start:
        problems["end"] = f"{parameters.end} is before the start {parameters.start}"
    return problems


def _check_range(parameters: BackfillParameters, clock: Clock) -> dict[str, str]:
    last = market_for(parameters).last_day(clock.now())
    today = clock.now().date()
    start, end = parameters.start, parameters.end
    if start.year < FIRST_YEAR:
        return {"start": f"{start} is before {FIRST_YEAR}, where the calendar begins"}
    if start > today:
        return {"start": f"{start} is in the future; the last session is {last}"}
    if start > last:
        return {"start": f"no session is complete since {start}; the last one is {last}"}
    if end is not None and end < start:
        return {"end": f"{end} is before the start {start}"}
    first, until = resolve_range(parameters, clock)
    if until < first:
        unit = {"1Week": "week", "1Month": "month"}.get(parameters.timeframe, "session")
        return {"end": f"no whole {unit} lies between {start} and {end or last}"}
    return {}
