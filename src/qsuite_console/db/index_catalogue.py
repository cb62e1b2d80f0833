"""The indexes the platform's questions need, each once, in a form that PostgreSQL takes and the planner uses.

What is not here is left out on purpose: a predicate with now() is refused, one with a fixed day is never used for a
window that moves, (ticker_id, "timestamp" DESC) repeats the key of the bars, and a hash beside a unique b-tree serves
nothing. Whether one is there is judged by what an index is made of: another name or a wider one serves as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from qsuite_console.config.settings import TableSettings
from qsuite_console.db.schema import quote_table

State = Literal["present", "building", "invalid", "different", "missing", "no table"]
_LIMIT: Final = 63  # bytes PostgreSQL keeps of a name
_TABLE: Final = re.compile(r"\{(\w+)\}")
_SIMPLE: Final = re.compile(r"price|side|status|quantity|exchange|[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
_CAST: Final = re.compile(r"::(?:character varying|timestamp with(?:out)? time zone|[a-z_]+)(?:\(\d+\))?(?:\[\])?")
_LIST: Final = re.compile(r"ARRAY\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Shape:
    """What an index is made of; ``keys`` are columns, with " DESC" where it runs backwards, in order."""

    keys: tuple[str, ...]
    method: str = "btree"
    include: tuple[str, ...] = ()
    predicate: str = ""
    options: str = ""

    @property
    def sql(self) -> str:
        """Return it as what follows the table in CREATE INDEX."""
        parts = [] if self.method == "btree" else [f"USING {self.method}"]
        parts += [f"({', '.join(map(_column_sql, self.keys))})"]
        if self.include:
            parts.append(f"INCLUDE ({', '.join(map(_column_sql, self.include))})")
        if self.options:
            parts.append(f"WITH ({self.options})")
        if self.predicate:
            parts.append(f"WHERE {self.predicate}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    """One row. ``table`` may be ``{field}`` of TableSettings; ``serves`` names the query that is asked with it."""

    table: str
    suffix: str
    shape: Shape
    why: str
    serves: str

    def table_of(self, tables: TableSettings) -> str:
        """Return the table, schema-qualified or not, unquoted."""
        return _TABLE.sub(lambda found: str(getattr(tables, found[1])), self.table)

    def name(self, tables: TableSettings) -> str:
        """Return the name it is built with, unquoted, without schema."""
        return index_name(self.table_of(tables).rpartition(".")[2], self.suffix)

    def statement(self, tables: TableSettings) -> str:
        """Return the statement that a person would type."""
        name = _plain(self.name(tables))
        return f"CREATE INDEX CONCURRENTLY {name} ON {quote_table(self.table_of(tables))} {self.shape.sql}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """An index of a table as pg_index has it. ``name`` has no schema; ``is_building``: another session may be at it."""

    oid: int
    name: str
    schema: str
    table_oid: int
    table: str  # qualified and quoted
    kind: str  # relkind: i, I partitioned
    shape: Shape
    definition: str
    bytes: int
    is_valid: bool
    is_live: bool
    is_unique: bool
    is_attached: bool  # belongs to a partitioned index
    is_replica_identity: bool
    is_building: bool
    constraint: str  # the constraint it stands behind, or that refers to it
    may: bool  # the role owns the table

    @property
    def quoted(self) -> str:
        """Return the name as SQL."""
        return f"{_quote(self.schema)}.{_quote(self.name)}"

    @property
    def is_sound(self) -> bool:
        """Return whether queries may use it."""
        return self.is_valid and self.is_live


_OPEN: Final = "status IN ('PENDING', 'PARTIALLY_FILLED') AND order_type = 'LIMIT'"
_ORDERS, _FILLS, _RUNS = "execution_engine_order", "execution_engine_execution", "pipeline_runs"

CATALOGUE: Final[tuple[Recommended, ...]] = (
    Recommended(
        table="{market_data}", suffix="_ts_brin", serves="volume_by_hour",
        shape=Shape(("timestamp",), "brin", options="pages_per_range = 32, autosummarize = on"),
        why="a window of time over all symbols reads its pages only; a few hundred kB, as long as rows arrive in order",
    ),
    Recommended(
        table="{calendar}", suffix="_open_idx", serves="serves_calendar", shape=Shape(("exchange", "open_at")),
        why="the session of an instant, asked for every window",
    ),
    Recommended(
        table=_ORDERS, suffix="_book_idx", serves="warm_order_books",
        shape=Shape(("ticker_id", "side", "price"), include=("quantity", "filled_quantity"), predicate=_OPEN),
        why="the book of a symbol in price order, only what rests in it: stops after the levels wanted",
    ),
    Recommended(
        table=_ORDERS, suffix="_user_idx", serves="serves_orders_of_user",
        shape=Shape(("created_by_id", "created_at DESC")), why="the newest orders of a user, and who traded lately",
    ),
    Recommended(
        table=_ORDERS, suffix="_ticker_idx", serves="serves_orders_of_ticker",
        shape=Shape(("ticker_id", "created_at DESC")), why="the newest orders of an instrument; its foreign key",
    ),
    Recommended(
        table=_ORDERS, suffix="_created_idx", serves="serves_orders_of_window", shape=Shape(("created_at",)),
        why="what was ordered in a window, whoever did",
    ),
    Recommended(
        table=_FILLS, suffix="_order_idx", serves="serves_fills_of_orders", shape=Shape(("order_id",)),
        why="the fills of an order: positions and gains; its foreign key",
    ),
    Recommended(
        table=_FILLS, suffix="_time_idx", serves="serves_fills_of_window", shape=Shape(("executed_at",)),
        why="what was traded in a window",
    ),
    Recommended(
        table=_RUNS, suffix="_last_idx", serves="serves_last_runs",
        shape=Shape(("pipeline_id", "created_at DESC"), include=("status",)),
        why="the last run of every pipeline, one probe each; by creation, since a pending run has no start",
    ),
    Recommended(
        table=_RUNS, suffix="_time_idx", serves="serves_runs_of_window", shape=Shape(("created_at",)),
        why="statistics of a window of runs instead of all history",
    ),
    Recommended(
        table=_RUNS, suffix="_active_idx", serves="serves_active_runs",
        shape=Shape(("created_at",), predicate="status IN ('pending', 'running')"),
        why="what is pending or running now, a handful among all that ever ran",
    ),
    Recommended(
        table=_RUNS, suffix="_user_idx", serves="serves_runs_of_user", shape=Shape(("triggered_by_id",)),
        why="runs somebody started; its foreign key",
    ),
    Recommended(
        table="task_runs", suffix="_run_idx", serves="serves_tasks_of_run", shape=Shape(("pipeline_run_id",)),
        why="the tasks of a run; its foreign key, followed when runs are deleted",
    ),
    Recommended(
        table="task_runs_partitioned", suffix="_run_idx", serves="serves_parted_tasks_of_run",
        shape=Shape(("pipeline_run_id",)), why="the tasks of a run; its foreign key, followed when runs are deleted",
    ),
)  # fmt: skip


def judge(one: Recommended, tables: TableSettings, indexes: Sequence[Existing]) -> tuple[State, Existing | None]:
    """Return how it stands, and with which index, given all indexes of its table."""
    serving = [index for index in indexes if serves(index.shape, one.shape)]
    sound = next((index for index in serving if index.is_sound), None)
    if sound is not None:
        return "present", sound
    same = [index for index in serving if not index.is_attached]
    if same:
        return ("building" if same[0].is_building else "invalid"), same[0]
    name = one.name(tables)
    namesake = next((index for index in indexes if index.name == name), None)
    return ("missing", None) if namesake is None else ("different", namesake)


def serves(shape: Shape, wanted: Shape) -> bool:
    """Return whether an index of this shape does all that is wanted: it may be wider, or run the other way."""
    if normalised(shape.predicate) != normalised(wanted.predicate):
        return False
    if wanted.method == "brin":
        return shape.method in ("brin", "btree") and shape.keys[:1] in (wanted.keys, _turned(wanted.keys))
    if shape.method != wanted.method:
        return False
    first = shape.keys[: len(wanted.keys)]
    covered = {key.removesuffix(" DESC") for key in (*shape.keys, *shape.include)}
    return first in (wanted.keys, _turned(wanted.keys)) and set(wanted.include) <= covered


def is_equal(shape: Shape, other: Shape) -> bool:
    """Return whether two indexes are made alike, storage options apart."""
    return (shape.method, shape.keys, set(shape.include)) == (other.method, other.keys, set(other.include)) and (
        normalised(shape.predicate) == normalised(other.predicate)
    )


def normalised(predicate: str) -> frozenset[str]:
    """Return a predicate as its conditions, however the server or a person has written it."""
    text = _CAST.sub("", predicate).replace("(", " ").replace(")", " ").replace('"', "")
    conditions = []
    for part in re.split(r"\s+AND\s+", text):
        values = _LIST.search(part)
        plain = " ".join(part.split())
        listed = re.fullmatch(r"(\w+) IN (.+)", plain)
        if values is not None and re.match(r"\w+ = ANY\b", plain):
            conditions.append(_in(plain.split(" ", 1)[0], values[1]))
        elif listed is not None:
            conditions.append(_in(listed[1], listed[2]))
        elif plain:
            conditions.append(plain)
    return frozenset(conditions)


def index_name(table: str, suffix: str) -> str:
    """Return a table's name with a suffix, cut to what PostgreSQL keeps."""
    return table.encode()[: _LIMIT - len(suffix)].decode(errors="ignore") + suffix


def _in(column: str, values: str) -> str:
    return f"{column} IN {sorted(value.strip() for value in values.split(','))}"


def _turned(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys as they come when the index is read backwards."""
    return tuple(key.removesuffix(" DESC") if key.endswith(" DESC") else f"{key} DESC" for key in keys)


def _column_sql(key: str) -> str:
    column, space, order = key.partition(" ")
    return f"{_plain(column)}{space}{order}"


def _plain(identifier: str) -> str:
    """Return an identifier as a person would write it: names with an underscore are no words of SQL."""
    return identifier if _SIMPLE.fullmatch(identifier) else _quote(identifier)


def _quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
