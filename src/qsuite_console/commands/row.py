"""The shapes of the table's rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One row. ``keys`` are Textual's key names; ``action`` is resolved on the node that has the scope."""

    id: str
    keys: str
    title: str  # the word in the footer and the palette
    help: str
    scope: str  # where it works: "app", or the SCOPE of a screen or widget
    action: str
    is_shown: bool = False  # in the footer
    when: str = ""  # a condition the scope's node must hold ("job", "running"); "" is always
    verb: str = ""  # typed after ":"
    usage: str = ""  # what may follow the verb: "ID…", "[FILTER]"; "" takes nothing
    is_fixed: bool = False  # may not be bound to other keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A screen of its own: reached by number, by ``g`` and a letter, by name."""

    name: str
    number: str
    letter: str
    title: str
    target: str  # "module:Class", imported on first use so that the first paint waits for nothing else
    help: str
    panes: tuple[str, ...] = ()  # what may follow its verb: names of its panes, in the order of their tabs
    has_filter: bool = False  # what follows its verb is a filter
    verb: str = ""  # typed after ":"; "" is the name
