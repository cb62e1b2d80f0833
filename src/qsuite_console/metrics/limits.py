"""What runs out, and how far it is: transaction ids, multixacts and sequences, with what holds freezing back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from qsuite_console.engine.parameters import decode
from qsuite_console.model.objects import Age, Holder, Limits, Sequence
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services


class LimitsParameters(msgspec.Struct, frozen=True, kw_only=True):
    """How many tables and sequences, those nearest to their limit first."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50


class LimitsProbe:
    """Answers ``database.limits``."""

    name = "database.limits"
    timeout_s = 5.0

    def __init__(self, services: Services) -> None:
        self._panels = services.panels

    async def ask(self, parameters: Mapping[str, Any]) -> Limits:
        """Return what runs out; raises DatabaseError, InvalidParameters."""
        wanted: LimitsParameters = decode(LimitsParameters, parameters)
        look = self._panels.begin(self.timeout_s - 0.5)
        databases = await look.try_rows("ages of databases", "limits_databases") or ()
        here = next((row for row in databases if row["is_here"]), {"xid_forced": 0, "mxid_forced": 0})
        tables = await look.try_rows("ages of tables", "limits_tables", wanted.limit) or ()
        holders = await look.try_rows("what holds freezing back", "limits_holders") or ()
        sequences = await look.try_rows("sequences", "limits_sequences", wanted.limit) or ()
        if sequences and sequences[0]["hidden"]:
            why = f"the role may not read {sequences[0]['hidden']} of {sequences[0]['sequences']} sequences"
            look.note("where some sequences stand", why, "GRANT SELECT ON them to the console's role")
        return Limits(
            at=look.at,
            databases=tuple(
                Age(
                    name=clean(row["name"], 63),
                    **{name: row[name] for name in ("is_here", "xid_age", "mxid_age", "xid_forced", "mxid_forced")},
                )
                for row in databases
            ),
            tables=tuple(
                Age(
                    is_here=True,
                    xid_forced=here["xid_forced"],
                    mxid_forced=here["mxid_forced"],
                    **{name: row[name] for name in ("oid", "name", "xid_age", "mxid_age", "vacuumed_at", "bytes")},
                )
                for row in tables
            ),
            holders=tuple(
                Holder(
                    kind=row["kind"],
                    id=clean(row["id"], 200),
                    who=clean(row["who"] or "", 80),
                    age=row["age"],
                    held_s=row["held_s"],
                )
                for row in holders
            ),
            sequences=tuple(
                Sequence(
                    name=row["name"],
                    feeds=row["feeds"] or "",
                    last=row["last_value"],
                    limit=row["limit_value"],
                    share=row["share"],
                    increment=row["increment"],
                    is_cycled=row["is_cycled"],
                )
                for row in sequences
            ),
            sequences_total=sequences[0]["sequences"] if sequences else 0,
            cost_ms=look.cost_ms,
            unread=look.unread,
        )
