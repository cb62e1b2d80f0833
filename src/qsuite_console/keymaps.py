"""The operator's own keys, checked before they are used: Textual would silently drop a binding whose key is taken."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from textual.keys import _character_to_key

from qsuite_console import commands

# They get a person out of anything, or the terminal keeps them for itself.
RESERVED: Final = frozenset({"escape", "ctrl+q", "ctrl+c", "ctrl+p", "ctrl+z", "ctrl+s"})
_NAMES: Final = {"?": "question_mark", ":": "colon", "/": "slash", "+": "plus", "-": "minus", "@": "at", " ": "space",
                 "[": "left_square_bracket", "]": "right_square_bracket"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keymap:
    """What may be used, and one line for each entry that may not."""

    keys: Mapping[str, str]
    problems: tuple[str, ...]


def validate(overrides: Mapping[str, str]) -> Keymap:
    """Return the good overrides (command id -> comma-separated keys) and why the others were left out."""
    problems: list[str] = []
    keys: dict[str, str] = {}
    for command_id, wanted in overrides.items():
        problem = _problem_of(command_id, wanted)
        if problem:
            problems.append(f"interface.keymap.{command_id}: {problem}")
        else:
            keys[command_id] = ",".join(_split(wanted))
    for command_id, key, other in _conflicts(keys):
        if command_id in keys:
            problems.append(f"interface.keymap.{command_id}: {key} already belongs to {other}; the old keys stay")
            del keys[command_id]
    return Keymap(keys, tuple(problems))


def _problem_of(command_id: str, wanted: str) -> str:
    command = commands.BY_ID.get(command_id)
    if command is None:
        near = difflib.get_close_matches(command_id, commands.BY_ID, 1)
        return "no such command" + (
            f"; did you mean {near[0]}?" if near else "; see the keys page of the documentation"
        )
    if command.is_fixed or not command.keys:
        return "this command has fixed keys"
    keys = _split(wanted)
    if not keys:
        return "no key given"
    taken = [key for key in keys if key in RESERVED]
    return f"{taken[0]} is reserved" if taken else ""


def _split(keys: str) -> list[str]:
    if keys.strip() == ",":
        return ["comma"]
    return [normalise(key.strip()) for key in keys.split(",") if key.strip()]


def normalise(key: str) -> str:
    """Return Textual's name of a key as a person may write it: "?" is question_mark."""
    if key in _NAMES:
        return _NAMES[key]
    return _character_to_key(key) if len(key) == 1 and not key.isalnum() else key


def _conflicts(overrides: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    bound = {c.id: set(_split(overrides.get(c.id, c.keys))) for c in commands.COMMANDS if c.keys}
    for scope in commands.SCOPES:
        for command in commands.of(scope):
            for other in (o for near in (scope, *commands.TOGETHER.get(scope, ())) for o in commands.of(near)):
                if other.id == command.id or not (command.id in overrides or other.id in overrides):
                    continue
                shared = bound.get(command.id, set()) & bound.get(other.id, set())
                if not shared or _is_layered(command, other):
                    continue
                first, second = (command, other) if command.id in overrides else (other, command)
                yield first.id, min(shared), second.id


def _is_layered(command: commands.Command, other: commands.Command) -> bool:
    """A key that already has two owners in the table does so on purpose: the inner one wins."""
    before = set(_split(command.keys)) & set(_split(other.keys))
    return bool(before) and command.scope != other.scope
