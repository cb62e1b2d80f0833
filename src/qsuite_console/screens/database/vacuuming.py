"""Vacuum from a list: what it means for the table and for others is said before it is a job."""

from __future__ import annotations

from typing import Final

from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.database.submitting import submit

_WORDS: Final = {"vacuum_analyze": "Vacuum", "analyze": "Analyze"}
_MEANS: Final = {
    "vacuum_analyze": (
        "Reads the pages that hold dead rows and all indexes; queries and writes go on, DDL on it waits.",
        "Space is free for new rows afterwards; the file only shrinks where its end became empty.",
    ),
    "analyze": ("Reads a sample of its pages; queries, writes and most DDL go on.",),
}


async def vacuum(screen: ConsoleScreen, table: str, mode: str) -> bool:
    """Plan, ask and submit; tells the job's number. Must run in a worker of the screen: it waits for the answer."""
    return await submit(
        screen,
        "vacuum",
        {"table": table, "mode": mode},
        title=f"{_WORDS[mode]} {table}?",
        means=_MEANS[mode],
        will=f"will {mode.replace('_', ' and ')} {table}",
    )
