"""What is measured: the newest figures with levels and scores, and how they went."""

from __future__ import annotations

from typing import Any, Final

from qsuite_console.headless.table import Api, Call, Query, Route
from qsuite_console.model.health import Snapshot
from qsuite_console.model.series import Series

LONGEST_S: Final = 90 * 86_400.0


async def _snapshot(api: Api, _call: Call) -> Snapshot:
    return api.control.state.snapshot


def _snapshot_tag(api: Api, _call: Call) -> str | None:
    at = api.control.state.snapshot.at
    return None if at is None else f"{api.control.state.started_at}-{at.isoformat()}"


async def _series(api: Api, call: Call) -> Any:
    query = call.query
    asked = {name: query[name] for name in ("names", "window_s", "points", "marks")}
    return await api.control.ask("metrics.series", {**asked, "end": query["end"] or None})


ROUTES: Final = (
    Route(
        "GET",
        "/metrics/snapshot",
        _snapshot,
        "the newest figures of every source, with their levels, alerts and scores",
        answers=Snapshot,
        tag=_snapshot_tag,
    ),
    Route(
        "GET",
        "/metrics/series",
        _series,
        "how some figures went, with alerts and jobs on the same axis",
        answers=Series,
        queries=(
            Query("names", is_list=True, is_required=True, max_items=16, help="host.cpu,postgresql.connections"),
            Query("window_s", float, 3600.0, 10.0, LONGEST_S, "how far back, in seconds"),
            Query("points", int, 240, 2, 2000, "points a line at most"),
            Query("end", default="", max_length=40, help="an instant like 2026-11-30T09:25:00Z; now if left out"),
            Query("marks", bool, True, help="false: without alerts and jobs"),
        ),
    ),
)
