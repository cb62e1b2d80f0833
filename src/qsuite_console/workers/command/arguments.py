"""The argument list and environment of a command, made of its declaration and the values that were given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qsuite_console.config.commands import REFERENCE, Command, placeholders

# what nearly every program wants; anything else of the console's environment must be named
PLAIN: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ")


def problems(command: Command, values: Mapping[str, str]) -> dict[str, str]:
    """Return parameter -> why its value is refused."""
    found = {
        name: f"“{value}” {why}" for name, value in values.items() if (why := command.parameters[name].problem(value))
    }
    for template in command.program:
        parts = placeholders(template)
        names = [name for _, name in parts if name is not None]
        if not names or not filled(template, values).startswith("-") or template.startswith("-"):
            continue
        leading = next(name for name in names if values[name])
        if not command.parameters[leading].may_be_option:
            found.setdefault(leading, f"“{values[leading]}” would be taken for an option")
    return found


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return one argument with its values; always one, whatever they hold."""
    return "".join(text + (values[name] if name is not None else "") for text, name in placeholders(template))


def argv(command: Command, values: Mapping[str, str]) -> list[str]:
    """Return the argument list."""
    return [filled(template, values) for template in command.program]


def environment(command: Command, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables the program gets, and no others."""
    own = {name: environ[name] for name in (*PLAIN, *command.inherit) if name in environ}
    for name, text in command.environment.items():
        is_secret = text.startswith(REFERENCE)
        own[name] = command.secrets[text.removeprefix(REFERENCE)].reveal() if is_secret else text
    return own
