"""Keys of the database screen and its panes: a pane with keys of its own has a scope here, named like its SCOPE."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command
from qsuite_console.commands.rows import panes

SCOPES: Final = {
    "database": "Database",
    "sessions": "Database: sessions",
    "statements": "Database: statements",
    "tables": "Database: tables",
    "indexes": "Database: indexes",
    "settings": "Database: settings",
}

_SESSIONS: Final = (
    Command(id="sessions.cancel", keys="C", title="Cancel", scope="sessions", action="cancel", is_shown=True,
            when="session", help="Cancel the statement of the session; says first what is rolled back, whom it frees."),
    Command(id="sessions.terminate", keys="K", title="Kill", scope="sessions", action="terminate", is_shown=True,
            when="session", help="End the session; says first what is rolled back and whom it frees."),
    Command(id="sessions.explain", keys="x", title="Explain", scope="sessions", action="explain", is_shown=True,
            when="session", help="Show the plan of the session's statement; nothing is run."),
    Command(id="sessions.sort", keys="s", title="Sort", scope="sessions", action="sort", is_shown=True, when="list",
            help="Order by what presses, age of the transaction or statement, user, client, pid."),
    Command(id="sessions.copy", keys="y", title="Copy", scope="sessions", action="copy", when="session",
            help="Copy the session's statement to the clipboard."),
)  # fmt: skip

_OBJECTS: Final = (
    Command(id="statements.sort", keys="s", title="Sort", scope="statements", action="sort", is_shown=True,
            help="Order by time in all, time of a call, calls, rows, pages read, temporary files, WAL."),
    Command(id="statements.window", keys="t", title="Recent", scope="statements", action="window", is_shown=True,
            help="Change between all that was counted and the last half minute."),
    Command(id="statements.explain", keys="x", title="Explain", scope="statements", action="explain", is_shown=True,
            when="row", help="Show the plan the server would choose; the statement is not run."),
    Command(id="statements.reset", keys="Z", title="Reset", scope="statements", action="reset",
            help="Let the server count statements anew; says first what is lost."),
    Command(id="tables.vacuum", keys="v", title="Vacuum", scope="tables", action="vacuum('vacuum_analyze')",
            is_shown=True, when="row", help="Remove dead rows of the table and renew its statistics, as a job."),
    Command(id="tables.analyze", keys="a", title="Analyze", scope="tables", action="vacuum('analyze')", is_shown=True,
            when="row", help="Renew the planner's statistics of the table, as a job."),
    Command(id="tables.expand", keys="e", title="Parts", scope="tables", action="expand", is_shown=True, when="parts",
            help="Open or close the partitions of the table."),
    Command(id="tables.sort", keys="s", title="Sort", scope="tables", action="sort", is_shown=True,
            help="Order by size, need of a vacuum, dead rows, time since a vacuum, rows, full scans, age."),
    Command(id="tables.reset", keys="Z", title="Reset", scope="tables", action="reset", when="row",
            help="Let the server count the table's rows and scans anew; says first what is lost."),
    Command(id="indexes.build", keys="b", title="Build", scope="indexes", action="care('build')", is_shown=True,
            when="recommended", help="Build the recommended index that is missing, as a job; writes go on."),
    Command(id="indexes.rebuild", keys="u", title="Rebuild", scope="indexes", action="care('rebuild')", is_shown=True,
            when="index", help="Rebuild the index, or repair it where a build of it failed, as a job; writes go on."),
    Command(id="indexes.drop", keys="D", title="Drop", scope="indexes", action="care('drop')", is_shown=True,
            when="droppable", help="Drop the index as a job, never one behind a constraint; says first what it frees."),
    Command(id="indexes.sort", keys="s", title="Sort", scope="indexes", action="sort", is_shown=True,
            help="Order by trouble, size, scans, least used, writes."),
    Command(id="indexes.troubled", keys="t", title="Troubled", scope="indexes", action="troubled", is_shown=True,
            help="List only indexes that are invalid, redundant or unused, or all again."),
    Command(id="indexes.reset", keys="Z", title="Reset", scope="indexes", action="reset",
            help="Let the server count rows and scans of the whole database anew; says first what is lost."),
)  # fmt: skip
_SETTINGS: Final = (
    Command(id="settings.apply", keys="a", title="Apply", scope="settings", action="apply", is_shown=True,
            when="advised", help="Set what the setting should be with ALTER SYSTEM; says first when it counts."),
    Command(id="settings.take-back", keys="Z", title="Take back", scope="settings", action="take_back", is_shown=True,
            when="set", help="Remove what ALTER SYSTEM set; says first what counts then."),
    Command(id="settings.level", keys="t", title="Severity", scope="settings", action="level", is_shown=True,
            help="Show all, warnings and worse, only what is critical, or only what was set."),
    Command(id="settings.export", keys="e", title="Export", scope="settings", action="export", is_shown=True,
            help="Write the advice to a file: SQL, lines of postgresql.conf, or JSON."),
    Command(id="settings.workload", keys="o", title="Use", scope="settings", action="workload",
            help="Size for another use: mixed, oltp, warehouse."),
)  # fmt: skip
ROWS: Final[tuple[Command, ...]] = (*panes.keys("database"), *_SESSIONS, *_OBJECTS, *_SETTINGS)
