"""The operation ``bars.store``: a batch of records that a program sends, stored at once, each bad one named.

It is an ingest without files: the same judgement, merge and invalidation, bounded so that it ends while its caller
waits. Sent twice it changes nothing the second time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.cache.errors import CacheError
from qsuite_console.engine.ports import OperationKind, Permanent
from qsuite_console.model import units
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.text import clean
from qsuite_console.model.timeframes import Timeframe
from qsuite_console.providers.judging import Rejected
from qsuite_console.workers.ingest.counts import Counts
from qsuite_console.workers.ingest.given import NAME, GivenRecords, Unwatched
from qsuite_console.workers.ingest.intake import Intake, Table, identity_of, look
from qsuite_console.workers.ingest.parameters import IngestParameters, check
from qsuite_console.workers.ingest.rejects import RejectsFile

if TYPE_CHECKING:
    from qsuite_console.workers import Services

MOST: Final = 10_000
_NAMED: Final = 20  # bad records that a refusal names
_SHOWN: Final = 5  # symbols that a proposal names
_records: Final = msgspec.json.Decoder(list[Any], float_hook=Decimal)  # prices stay as they were written


class StoreParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which records go where, and what happens to those that can't."""

    records: Annotated[
        str | tuple[Any, ...],
        msgspec.Meta(
            title="Records",
            description=f"at most {MOST:,}, as JSON: symbol, timestamp, open, high, low, close, volume",
            examples=[
                '[{"symbol": "AAPL", "timestamp": "2025-03-03T15:00:00Z", '
                '"open": 100, "high": 101, "low": 99, "close": 100.5, "volume": 10}]'
            ],
        ),
    ]
    timeframe: Annotated[Timeframe, msgspec.Meta(title="Timeframe", description="length of a bar")] = "1Min"
    table: Annotated[
        str,
        msgspec.Meta(
            title="Table",
            max_length=130,
            description="empty: market_data_marketdata for 1Min, price_ticks for others",
            examples=["price_ticks"],
        ),
    ] = ""
    strict: Annotated[
        bool, msgspec.Meta(title="Strict", description="one bad record refuses all: nothing is written")
    ] = False
    create_symbols: Annotated[
        bool,
        msgspec.Meta(title="Create symbols", description="make tickers of unknown symbols instead of rejecting them"),
    ] = False


class _Collected(RejectsFile):
    """Bad records in memory: a batch is bounded."""

    def __init__(self) -> None:
        super().__init__(None)
        self.found: list[Rejected] = []

    def cut(self, size: int) -> None:
        """Begin anew."""
        self.found.clear()

    def append(self, name: str, found: Sequence[Rejected]) -> int:
        """Take them."""
        self.found.extend(found)
        return 0


class StoreBars:
    """Stores a batch."""

    kind = OperationKind(
        name="bars.store",
        title="Store bars",
        help="Store a batch of bars that a program sends: new ones made, changed ones updated, each bad one named.",
        parameters=StoreParameters,
        timeout_s=60.0,
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    async def propose(self, parameters: StoreParameters) -> Proposal:
        """Say what would go where; raises InvalidParameters, DatabaseError."""
        records, wanted = self._read(parameters)
        table = await look(self._services, wanted)
        named = sorted({_symbol(record) for record in records} - {""})
        more = f" and {len(named) - _SHOWN:,} more" if len(named) > _SHOWN else ""
        bad = "one bad record refuses all of them" if wanted.strict else "bad ones are named and left out"
        return Proposal(
            operation=self.kind.name,
            title=f"Store {units.count(len(records))} bar{'s' * (len(records) != 1)} in {table.destination.table}?",
            lines=(
                f"{wanted.timeframe} bars of {', '.join(named[:_SHOWN]) or 'no symbol'}{more}",
                f"Bars of the same symbol and time are replaced; {bad}.",
                "Cached prices of these symbols are removed.",
            ),
            do="store them",
            parameters=msgspec.to_builtins(parameters),
        )

    async def perform(self, parameters: StoreParameters) -> Outcome:
        """Store them; raises InvalidParameters for bad records of a strict batch, DatabaseError."""
        records, wanted = self._read(parameters)
        began = time.monotonic()
        table = await look(self._services, wanted)
        source, rejects = GivenRecords(records), _Collected()
        counts = Counts(identity=identity_of([source], wanted))
        intake = Intake(self._services, wanted, Unwatched(), table, [source], counts, rejects)
        warning = ""
        try:
            await intake.run()
        except CacheError as error:
            if not intake.counts.is_stored:
                raise
            warning = f"cached prices of {len(intake.counts.stale):,} symbols stay until they expire: {error.message}"
        except Permanent as error:
            raise _refusal(rejects.found, len(records)) from error
        return self._outcome(intake.counts, table, wanted, rejects.found, warning, time.monotonic() - began)

    def _outcome(
        self,
        counts: Counts,
        table: Table,
        wanted: IngestParameters,
        rejected: Sequence[Rejected],
        warning: str,
        duration_s: float,
    ) -> Outcome:
        found = counts.result(table.destination.table, wanted.timeframe, 1, "")
        figures = {
            name: value for name, value in found.items() if not name.startswith(("rejected_", "rejects", "files"))
        }
        figures["errors"] = [
            {"record": bad.number, "symbol": clean(bad.symbol, 40), "reason": bad.reason} for bad in rejected
        ]
        figures["duration_s"] = round(duration_s, 4)
        figures["records_per_s"] = round(counts.records / duration_s) if duration_s else 0
        figures["warnings"] = [warning] if warning else []
        told = f"{counts.created:,} new, {counts.updated:,} changed, {counts.unchanged:,} as they were"
        bad = f", {counts.rejected:,} bad" if counts.rejected else ""
        return Outcome(
            operation=self.kind.name,
            is_done=bool(counts.records - counts.rejected),
            message=f"{table.destination.table}: {told}{bad}",
            lines=(*counts.named, *filter(None, [warning])),
            figures=figures,
        )

    def _read(self, given: StoreParameters) -> tuple[list[Any], IngestParameters]:
        """Return the records and how they are taken; raises InvalidParameters."""
        records = list(given.records) if isinstance(given.records, tuple) else _decoded(given.records)
        problems: dict[str, str] = {}
        if not records:
            problems["records"] = "there are none"
        elif len(records) > MOST:
            problems["records"] = f"at most {MOST:,} at a time, {len(records):,} were sent"
        tables = self._services.settings.tables
        usual = tables.market_data if given.timeframe == "1Min" else tables.price_ticks
        wanted = IngestParameters(
            path=NAME,
            timeframe=given.timeframe,
            table=given.table.strip() or usual,
            strict=given.strict,
            create_symbols=given.create_symbols,
        )
        problems |= check(wanted, tables)
        if problems:
            raise InvalidParameters(problems)
        return records, wanted


def _decoded(text: str) -> list[Any]:
    try:
        return _records.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParameters({"records": f"are no JSON list: {clean(error, 100)}"}) from error


def _symbol(record: Any) -> str:
    symbol = (record.get("symbol") or record.get("S") or record.get("s")) if isinstance(record, Mapping) else ""
    return clean(symbol, 20).strip().upper() if isinstance(symbol, str) else ""


def _refusal(found: Sequence[Rejected], total: int) -> InvalidParameters:
    problems = {f"record {bad.number}": bad.reason for bad in found[:_NAMED]}
    more = f"; the first {_NAMED} are named" if len(found) > _NAMED else ""
    return InvalidParameters(
        {"records": f"{len(found):,} of {total:,} are bad, nothing was written{more}", **problems},
        hint="correct them, or leave strict out to keep the good ones",
    )
