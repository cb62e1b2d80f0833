"""What is typed after ``:``: understood, completed, or refused with one line that says why."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Final, NamedTuple

from qsuite_console.commands.row import Command
from qsuite_console.commands.table import COMMANDS, PLACES
from qsuite_console.model.errors import UsageProblem

SHORT_VERBS: Final = {
    **{place.letter: place.verb or place.name for place in PLACES},
    "q": "quit",
    "h": "help",
}


def verbs() -> dict[str, Command]:
    """Return verb -> command for the ``:`` line."""
    return {command.verb: command for command in COMMANDS if command.verb}


class Invocation(NamedTuple):
    """A command with what was typed after its verb."""

    command: Command
    argument: str = ""


def parse(line: str) -> Invocation:
    """Return what a typed line asks for; raises UsageProblem with a line that can be shown."""
    verb, _, argument = line.strip().removeprefix(":").strip().partition(" ")
    argument = argument.strip()
    known = verbs()
    command = known.get(SHORT_VERBS.get(verb, verb))
    if command is None:
        near = difflib.get_close_matches(verb, known, 1)
        raise UsageProblem(f"no command {verb!r}" + (f"; did you mean {near[0]}?" if near else "; Tab lists them"))
    if argument and not command.usage:
        raise UsageProblem(f"{command.verb} takes nothing after it")
    if not argument and command.usage.startswith("ID") and not command.action:
        raise UsageProblem(f"{command.verb} needs a job: {command.verb} {command.usage}")
    if argument and command.usage.startswith("ID"):
        bad = next((word for word in argument.replace(",", " ").split() if not word.lstrip("#").isdigit()), None)
        if bad is not None:
            raise UsageProblem(f"{bad!r} is not a job's number")
    return Invocation(command, argument)


def job_ids(argument: str) -> list[int]:
    """Return the job numbers in "42, #43 44", each once, in order."""
    return list(dict.fromkeys(int(word.lstrip("#")) for word in argument.replace(",", " ").split()))


def complete(line: str) -> list[Command]:
    """Return the verbs that begin like ``line``, or contain it, in table order; after a screen's verb, its panes."""
    typed = line.lstrip().removeprefix(":")
    verb, space, rest = typed.partition(" ")
    if space:
        command = verbs().get(SHORT_VERBS.get(verb, verb))
        if command is None:
            return []
        place = next((place for place in PLACES if command.id == f"go.{place.name}"), None)
        panes = [pane for pane in place.panes if pane.startswith(rest.strip())] if place is not None else []
        return [_pane(command, verb, pane) for pane in panes] or [command]
    typed = typed.strip()
    found = list(verbs().values())
    return [c for c in found if c.verb.startswith(typed)] + [
        c for c in found if typed in c.verb and not c.verb.startswith(typed)
    ]


def _pane(command: Command, verb: str, pane: str) -> Command:
    """Return what leads to a pane as if it were a command of its own, for the hints above the line."""
    return replace(command, verb=f"{verb} {pane}", usage="[FILTER]", help=f"Show {command.title}: {pane}.")
