"""What an ingest can be told; the form, the flags and the validation are made from it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from qsuite_console.config.settings import TableSettings
from qsuite_console.model.kinds import PATH
from qsuite_console.model.text import clean
from qsuite_console.model.timeframes import Timeframe


class IngestParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which records go where, and what happens to those that can't."""

    path: Annotated[
        str,
        msgspec.Meta(
            title="Path",
            description="a CSV, JSONL or Parquet file, a directory or a pattern",
            examples=["bars.csv"],
            min_length=1,
            max_length=4096,
            extra_json_schema=PATH,
        ),
    ]
    timeframe: Annotated[Timeframe, msgspec.Meta(title="Timeframe", description="length of a bar")] = "1Min"
    table: Annotated[
        str,
        msgspec.Meta(
            title="Table", description="price_ticks, or market_data_marketdata (1Min only)", examples=["price_ticks"]
        ),
    ] = "price_ticks"
    strict: Annotated[
        bool, msgspec.Meta(title="Strict", description="one bad record refuses all: nothing is written")
    ] = False
    create_symbols: Annotated[
        bool,
        msgspec.Meta(title="Create symbols", description="make tickers of unknown symbols instead of rejecting them"),
    ] = False


def destination_kind(table: str, tables: TableSettings) -> Literal["price_ticks", "market_data"] | None:
    """Return which of the two tables ``table`` names, by its usual or its configured name."""
    if table in ("price_ticks", tables.price_ticks):
        return "price_ticks"
    if table in ("market_data_marketdata", "market_data", tables.market_data):
        return "market_data"
    return None


def check(parameters: IngestParameters, tables: TableSettings) -> dict[str, str]:
    """Return field -> problem, without any I/O."""
    problems: dict[str, str] = {}
    if not parameters.path.strip():
        problems["path"] = "name a CSV, JSONL or Parquet file, a directory or a pattern"
    elif "\0" in parameters.path:
        problems["path"] = "holds a NUL character"
    kind = destination_kind(parameters.table, tables)
    if kind is None:
        problems["table"] = f'"{clean(parameters.table, 60)}" is neither price_ticks nor market_data_marketdata'
    elif kind == "market_data" and parameters.timeframe != "1Min":
        problems["table"] = f"{parameters.table} holds 1Min bars only; choose price_ticks for {parameters.timeframe}"
    return problems
