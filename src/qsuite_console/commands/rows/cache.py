"""Keys of the cache screen and its panes: a pane with keys of its own has a scope here, named like its SCOPE."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command
from qsuite_console.commands.rows import panes

SCOPES: Final = {
    "cache": "Cache",
    "memory": "Cache memory",
    "families": "Key families",
    "keys": "Cache keys",
    "slowlog": "Slow log",
    "clients": "Cache clients",
    "usage": "Cache commands",
    "redis-advice": "Cache advice",
    "answers": "Own answers",
}

ROWS: Final[tuple[Command, ...]] = (
    *panes.keys("cache"),
    Command(id="cache.invalidate", keys="I", title="Invalidate", scope="cache", action="invalidate", is_shown=True,
            help="Remove cached keys by symbol, user, family or pattern, as a job; counts them and asks first."),
    Command(id="cache.job", keys="o", title="Job", scope="cache", action="job", when="job",
            help="Open the page of the job that the line at the bottom tells of."),
    Command(id="memory.curve", keys="c", title="Curve", scope="memory", action="curve", is_shown=True,
            help="Show the next curve: memory, hit rate, commands, evictions."),
    Command(id="families.warm", keys="w", title="Warm", scope="families", action="warm", is_shown=True,
            when="warm", help="Write the family's keys from the database now, as a job."),
    Command(id="families.sort", keys="s", title="Sort", scope="families", action="sort", is_shown=True,
            help="Order families by memory, keys, mean size, share without TTL, name."),
    Command(id="families.copy", keys="y", title="Copy", scope="families", action="copy", when="row",
            help="Copy the pattern of the family's keys."),
    Command(id="keys.order", keys="s", title="Order", scope="keys", action="order", is_shown=True, when="list",
            help="Biggest keys of a sample, or all keys page by page."),
    Command(id="keys.delete", keys="D", title="Delete", scope="keys", action="delete", is_shown=True, when="key",
            help="Delete the key under the cursor, or the one that is open; asks first."),
    Command(id="keys.copy", keys="y", title="Copy", scope="keys", action="copy", is_shown=True, when="key",
            help="Copy the key's name; of an open key also what is shown of its value."),
    Command(id="slowlog.sort", keys="s", title="Sort", scope="slowlog", action="sort", is_shown=True,
            help="Newest first, or longest first."),
    Command(id="slowlog.empty", keys="X", title="Empty", scope="slowlog", action="empty", is_shown=True, when="row",
            help="Forget all entries of the slow log; asks first."),
    Command(id="clients.sort", keys="s", title="Sort", scope="clients", action="sort", is_shown=True,
            help="Order clients by memory, idle time, age, name."),
    Command(id="clients.close", keys="K", title="Close", scope="clients", action="close", is_shown=True, when="foreign",
            help="Close the connection of the client under the cursor; asks first."),
    Command(id="clients.copy", keys="y", title="Copy", scope="clients", action="copy", when="row",
            help="Copy the client's number, address and name."),
    Command(id="usage.sort", keys="s", title="Sort", scope="usage", action="sort", is_shown=True,
            help="Order commands by processor time, calls, time of a call, failures."),
    Command(id="redis-advice.apply", keys="a", title="Apply", scope="redis-advice", action="apply", is_shown=True,
            when="fix", help="Change the setting as advised, at once; asks first."),
    Command(id="redis-advice.copy", keys="y", title="Copy", scope="redis-advice", action="copy", is_shown=True,
            when="row", help="Copy the finding with its evidence and its fix."),
    Command(id="answers.sort", keys="s", title="Sort", scope="answers", action="sort", is_shown=True,
            help="Order the console's own answers by how often they are asked for, time of a load, memory, name."),
)  # fmt: skip
