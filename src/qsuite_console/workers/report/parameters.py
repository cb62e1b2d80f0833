"""What may be asked of a report, and what is wrong with what was asked; pure."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from qsuite_console.config.settings import Settings
from qsuite_console.db.reporting import problem_of
from qsuite_console.model.kinds import PATH
from qsuite_console.model.text import clean
from qsuite_console.model.timeframes import Timeframe

Name = Literal["performance", "jobs", "market", "backfill", "custom"]
Format = Literal["pdf", "html", "json", "csv"]
MOST_SYMBOLS: Final = 50
_OTHER_NAMES: Final = frozenset(
    {"Etc/UTC", "Etc/UCT", "Etc/Zulu", "Zulu", "UCT", "Universal", "Etc/Universal"}
)  # of UTC
_LOCALTIME: Final = Path("/etc/localtime")


class ReportParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which report, over which window, as what."""

    name: Annotated[
        Name, msgspec.Meta(title="Report", description="what it is about; custom is a query of your own")
    ] = "performance"
    format: Annotated[Format, msgspec.Meta(title="Format", description="what kind of file")] = "pdf"
    hours: Annotated[float, msgspec.Meta(title="Window", description="hours back from now", ge=0.1, le=8760)] = 24.0
    months: Annotated[
        int, msgspec.Meta(title="Months", description="of stored history that are looked at", ge=1, le=60)
    ] = 12
    symbols: Annotated[
        str,
        msgspec.Meta(
            title="Symbols", description="of market: AAPL,MSFT, or gainers or losers; empty: the first", max_length=1000
        ),
    ] = ""
    most: Annotated[int, msgspec.Meta(title="Symbols at most", ge=1, le=MOST_SYMBOLS)] = 12
    table: Annotated[str, msgspec.Meta(title="Table", description="of bars that is verified")] = "price_ticks"
    timeframe: Annotated[Timeframe, msgspec.Meta(title="Timeframe", description="of the stored bars")] = "1Day"
    rows: Annotated[
        int,
        msgspec.Meta(title="Rows", description="of one table at most; pdf takes a second for 150", ge=1, le=100_000),
    ] = 200
    query: Annotated[
        str, msgspec.Meta(title="Query", description="of custom: one SELECT, run read only", max_length=20_000)
    ] = ""
    template: Annotated[
        str,
        msgspec.Meta(
            title="Template",
            description="file of a Jinja template instead of the built-in page",
            max_length=1000,
            extra_json_schema=PATH,
        ),
    ] = ""
    title: Annotated[str, msgspec.Meta(title="Title", description="instead of the usual one", max_length=200)] = ""
    zone: Annotated[
        str, msgspec.Meta(title="Time zone", description="of all times in it, as Europe/Berlin", max_length=60)
    ] = ""
    send: Annotated[
        str,
        msgspec.Meta(
            title="Send to",
            description="webhooks and others of the configuration that get its file: desk, board",
            max_length=400,
        ),
    ] = ""
    tagged: Annotated[bool, msgspec.Meta(title="Tagged PDF", description="for screen readers")] = False
    archive: Annotated[bool, msgspec.Meta(title="PDF/A", description="for archives")] = False


def check(parameters: ReportParameters, known: Collection[str] = ()) -> dict[str, str]:
    """Return field name -> problem; empty when all is well. ``known``: to whom reports can be sent."""
    return dict(_problems(parameters, known))


def _problems(given: ReportParameters, known: Collection[str]) -> Iterator[tuple[str, str]]:
    if given.name == "custom":
        if problem := problem_of(given.query):
            yield "query", problem
    elif given.query.strip():
        yield "query", "is for custom only"
    if given.template.strip() and given.format not in ("pdf", "html"):
        yield "template", f"{given.format} has no page; choose pdf or html"
    if given.zone.strip() and given.zone.strip() not in available_timezones():
        yield "zone", f"“{clean(given.zone, 60)}” is no time zone; write it as Europe/Berlin or UTC"
    for name in ("tagged", "archive"):
        if getattr(given, name) and given.format != "pdf":
            yield name, "is for pdf only"
    if given.symbols.strip() and given.name != "market":
        yield "symbols", "is for market only"
    if len(symbols_of(given)) > MOST_SYMBOLS:
        yield "symbols", f"names more than {MOST_SYMBOLS}"
    if strangers := [name for name in recipients_of(given) if name not in known]:
        there = f"known: {', '.join(sorted(known))}" if known else "declare [webhooks.NAME] or [notify.NAME]"
        yield "send", f"nobody is told under the name {clean(strangers[0], 40)}; {there}"


def symbols_of(given: ReportParameters) -> list[str]:
    """Return the symbols that are named, in capitals, without repetition; none for gainers and losers."""
    if order_of(given) != "symbol":
        return []
    return list(dict.fromkeys(part.strip().upper() for part in given.symbols.split(",") if part.strip()))


def recipients_of(given: ReportParameters) -> tuple[str, ...]:
    """Return the names of those it is sent to, without repetition."""
    return tuple(dict.fromkeys(part.strip() for part in given.send.split(",") if part.strip()))


def order_of(given: ReportParameters) -> str:
    """Return by what unnamed symbols are chosen."""
    word = given.symbols.strip().lower()
    return word if word in ("gainers", "losers") else "symbol"


def zone_of(given: ReportParameters, settings: Settings) -> str:
    """Return the zone of the report: as asked, as configured, else the machine's own; UTC where that can't be told."""
    wanted = given.zone.strip() or settings.reports.time_zone.strip() or machine_zone()
    is_known = wanted in available_timezones() and wanted not in _OTHER_NAMES
    return wanted if is_known else "UTC"


def is_zone(name: str) -> bool:
    """Return whether there is a zone of that name."""
    return name in available_timezones()


def machine_zone() -> str:
    """Return the name of the machine's own zone, "" where it has none."""
    named = os.environ.get("TZ", "").lstrip(":")
    if named:
        return named
    try:
        target = os.fspath(_LOCALTIME.resolve())
    except OSError:
        return ""
    _, found, name = target.partition("zoneinfo/")
    return name if found and ZoneInfo(name) else ""


def title_of(given: ReportParameters) -> str:
    """Return the line by which people recognise the job."""
    what = clean(given.title.strip(), 100) or given.name
    if given.name == "backfill":
        window = f"{given.timeframe}, {given.months} months"
    elif given.name == "custom":
        window = clean(given.query, 60)
    else:
        window = f"last {given.hours:g} h"
    return f"report {what} as {given.format}, {window}"
