"""The table of everything a person may do from the screen: one row makes the key, the footer, the palette entry,
the ``:`` verb, the help page and docs/keys.md. Screens take their bindings from here and hold only the action itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import Binding, BindingType

from qsuite_console.commands.page import markdown, spoken
from qsuite_console.commands.row import Command, Place
from qsuite_console.commands.table import BY_ID, COMMANDS, ORDER, PAGES, PLACES, SCOPES, TOGETHER, WHEN, of
from qsuite_console.commands.typed import SHORT_VERBS, Invocation, complete, job_ids, parse, verbs

__all__ = [
    "BY_ID",
    "COMMANDS",
    "ORDER",
    "PAGES",
    "PLACES",
    "SCOPES",
    "SHORT_VERBS",
    "TOGETHER",
    "Command",
    "Invocation",
    "Place",
    "bindings",
    "complete",
    "condition",
    "job_ids",
    "markdown",
    "of",
    "parse",
    "spoken",
    "verbs",
]


def bindings(scope: str) -> list[BindingType]:
    """Return Textual's bindings for a screen, widget or app of that scope."""
    return [
        Binding(
            command.keys,
            command.action,
            command.title,
            show=command.is_shown,
            tooltip=command.help,
            id=command.id,
        )
        for command in of(scope)
        if command.keys
    ]


def condition(scope: str, action: str, parameters: Iterable[object] = ()) -> str:
    """Return the condition under which an action of the scope is possible; "" is always."""
    wanted = f"{action}({', '.join(repr(p) for p in parameters)})" if (parameters := tuple(parameters)) else action
    return WHEN.get((scope, wanted), "")
