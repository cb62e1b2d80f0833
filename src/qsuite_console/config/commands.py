"""``[commands.NAME]``: external programs the operator allows to be run as jobs, as they are declared.

An argument list, never a shell. A value fills a placeholder inside one argument and stays in it; it can't become an
option unless the declaration says that it may. What is wrong with a declaration is refused when it is loaded; what is
merely missing today (the program, a directory, a variable) is told by ``obstacle`` and stands in nobody's way.
"""

from __future__ import annotations

import keyword
import math
import os
import re
import shutil
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from qsuite_console.config.secrets import Secret

KIND_PREFIX: Final = "command."  # of the job's kind: command.NAME
REFERENCE: Final = "env:"
LONGEST_VALUE: Final = 1000
NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_SECRET_NAME: Final = re.compile(r"(?i)pass|secret|token|credential|private|api_?key")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_WRITE: Final = "[commands.NAME]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A value that may be given. Without a default it must be."""

    name: str
    title: str = ""
    description: str = ""
    pattern: str = ""  # of the whole value
    choices: tuple[str, ...] = ()
    default: str | None = None
    may_be_option: bool = False  # the value may begin with "-" where it begins an argument

    def problem(self, value: str) -> str:
        """Return why a value is refused, "" for a good one."""
        if _CONTROL.search(value):
            return "holds a control character"
        if len(value) > LONGEST_VALUE:
            return f"is longer than {LONGEST_VALUE} characters"
        if self.choices and value not in self.choices:
            return f"is none of {', '.join(self.choices)}"
        if self.pattern and re.fullmatch(self.pattern, value) is None:
            return f"is not of the form {self.pattern}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One declared program with its limits."""

    name: str
    program: tuple[str, ...]
    title: str = ""
    description: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)  # variable -> text, or env:NAME for a secret
    inherit: tuple[str, ...] = ()  # variables of the console's own environment that it gets as they are
    directory: str = ""  # where it runs; "" is a new empty one
    timeout_s: float = 1800.0
    memory_mb: int = 0  # of the program and all it starts; 0 is no limit
    output_kb: int = 1024  # kept of what it prints
    changes_data: bool = True
    success: tuple[int, ...] = (0,)
    retry: tuple[int, ...] = ()  # exit codes after which it is tried again
    attempts: int = 4  # of these tries at most
    repeatable: bool = False  # may be run again by itself after the engine died under it
    queue: str = "general"
    secrets: Mapping[str, Secret] = field(default_factory=dict)  # what the env: references stand for, where set

    @property
    def kind(self) -> str:
        """Return the name of its jobs' kind."""
        return f"{KIND_PREFIX}{self.name}"


class BadCommand(ValueError):
    """Why a declaration is refused: the path of the key within it, and the reason in words that follow it."""

    def __init__(self, key: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.key = key


def placeholders(argument: str) -> tuple[tuple[str, str | None], ...]:
    """Return an argument as (text, name of the value that follows it or None); raises ValueError in plain words."""
    try:
        parts = tuple(string.Formatter().parse(argument))
    except ValueError:
        raise ValueError("has a single brace; write {{ or }} for one that is meant") from None
    for _, name, form, conversion in parts:
        if form or conversion or name == "":
            raise ValueError("has a placeholder that is more than {name}")
    return tuple((text, name) for text, name, _, _ in parts)


def obstacle(command: Command, environ: Mapping[str, str]) -> str:
    """Return why the command could not be run now, "" where nothing stands in its way."""
    program = command.program[0]
    if "/" not in program:
        if shutil.which(program, path=environ.get("PATH", os.defpath)) is None:
            return f"there is no program {program} on the PATH"
    elif not Path(program).is_file():
        return f"there is no program {program}"
    elif not os.access(program, os.X_OK):
        return f"{program} may not be executed by this user"
    if command.directory and not os.access(command.directory, os.X_OK):
        return f"the directory {command.directory} is not there, or may not be entered"
    for variable, text in command.environment.items():
        if text.startswith(REFERENCE) and text.removeprefix(REFERENCE) not in command.secrets:
            return f"{variable} wants the variable {text.removeprefix(REFERENCE)}, which is not set"
    return ""


def declare(name: str, body: Any, environ: Mapping[str, str], queues: tuple[str, ...]) -> Command:
    """Return a declaration as it was written; raises BadCommand for the first thing that is wrong in it."""
    if not NAME.fullmatch(name):
        raise BadCommand((), "its name must be small letters, digits, _ and -, at most 40")
    if not isinstance(body, Mapping):
        raise BadCommand((), f"write each as a table {_WRITE}")
    values: dict[str, Any] = {"name": name}
    for key, raw in body.items():
        if key not in READERS:
            raise BadCommand((key,), "unknown key")
        read, wanted = READERS[key]
        try:
            values[key] = read(raw)
        except (TypeError, ValueError):
            raise BadCommand((key,), f"expected {wanted}") from None
    if "program" not in values:
        raise BadCommand((), 'has no program = ["/path/of/it", "argument"]')
    values["parameters"] = {each: _parameter(each, raw) for each, raw in values.get("parameters", {}).items()}
    values["secrets"] = {
        source: Secret(environ[source])
        for text in values.get("environment", {}).values()
        if text.startswith(REFERENCE) and environ.get(source := text.removeprefix(REFERENCE))
    }
    command = Command(**values)
    _check_program(command)
    _check_environment(command)
    if command.queue not in queues:
        raise BadCommand(("queue",), f"no such queue; known: {', '.join(queues)}")
    return command


def _parameter(name: str, body: Mapping[str, Any]) -> Parameter:
    base = ("parameters", name)
    if not _FIELD.fullmatch(name) or keyword.iskeyword(name):
        raise BadCommand(base, "its name must be small letters, digits and _, at most 40")
    values: dict[str, Any] = {"name": name}
    for key, raw in body.items():
        if key not in PARAMETER_READERS:
            raise BadCommand((*base, key), "unknown key")
        read, wanted = PARAMETER_READERS[key]
        try:
            values[key] = read(raw)
        except (TypeError, ValueError):
            raise BadCommand((*base, key), f"expected {wanted}") from None
    parameter = Parameter(**values)
    if bool(parameter.pattern) == bool(parameter.choices):
        raise BadCommand(base, "wants either choices or the pattern of a whole value, as '[a-z0-9_-]{1,40}'")
    for value in (*parameter.choices, *([parameter.default] if parameter.default is not None else [])):
        if problem := parameter.problem(value):
            raise BadCommand(base, f"{value!r} {problem}")
    return parameter


def _check_program(command: Command) -> None:
    used: set[str] = set()
    for number, argument in enumerate(command.program):
        try:
            parts = placeholders(argument)
        except ValueError as error:
            raise BadCommand(("program",), f"{argument!r} {error}") from None
        names = [name for _, name in parts if name is not None]
        for name in names:
            if name not in command.parameters:
                known = ", ".join(command.parameters) or "none"
                raise BadCommand(("program",), f"{argument!r} wants {{{name}}}, which is no parameter; known: {known}")
        if names and number == 0:
            raise BadCommand(("program",), "the program itself can't be a parameter")
        first = command.parameters[names[0]] if names else None
        if first and re.fullmatch("-+", parts[0][0]) and not (first.choices or first.may_be_option):
            raise BadCommand(
                ("program",), f"in {argument!r} the value of {first.name} names the option: give it choices"
            )
        used.update(names)
    if "/" in command.program[0] and not command.program[0].startswith("/"):
        raise BadCommand(("program",), f"{command.program[0]} must be an absolute path, or a name on the PATH")
    if unused := [name for name in command.parameters if name not in used]:
        raise BadCommand(("parameters", unused[0]), f"is used nowhere: write {{{unused[0]}}} into an argument")


def _check_environment(command: Command) -> None:
    for variable, text in command.environment.items():
        key = ("environment", variable)
        if not _VARIABLE.fullmatch(variable):
            raise BadCommand(key, "is no name of a variable")
        if text.startswith(REFERENCE):
            if not _VARIABLE.fullmatch(text.removeprefix(REFERENCE)):
                raise BadCommand(key, "must be env: and the name of a variable of the console's")
        elif _SECRET_NAME.search(variable):
            raise BadCommand(key, 'looks like a secret, which does not belong here: write "env:NAME"')
    for variable in command.inherit:
        if not _VARIABLE.fullmatch(variable):
            raise BadCommand(("inherit",), f"{variable!r} is no name of a variable")
        if _SECRET_NAME.search(variable):
            message = f'{variable} looks like a secret: write environment = {{ {variable} = "env:{variable}" }}'
            raise BadCommand(("inherit",), message)


def _text(raw: Any) -> str:
    if not isinstance(raw, str) or _CONTROL.search(raw):
        raise ValueError
    return raw


def _texts(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise ValueError
    return tuple(_text(each) for each in raw)


def _argv(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list) or not all(isinstance(each, str) and "\0" not in each for each in raw):
        raise ValueError
    if not raw or not _text(raw[0]):
        raise ValueError
    return tuple(raw)


def _codes(raw: Any) -> tuple[int, ...]:
    if not isinstance(raw, list):
        raise ValueError
    return tuple(_whole(0, 255)(each) for each in raw)


def _pattern(raw: Any) -> str:
    text = _text(raw)
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError from error
    return text


def _flag(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise ValueError
    return raw


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(raw: Any) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool) or not least <= raw <= most:
            raise ValueError
        return raw

    return read


def _seconds(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw) or not 1 <= raw <= 604_800:
        raise ValueError
    return float(raw)


def _table(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, Mapping) or not all(isinstance(each, Mapping) for each in raw.values()):
        raise ValueError
    return dict(raw)


def _named_texts(raw: Any) -> dict[str, str]:
    if not isinstance(raw, Mapping):
        raise ValueError
    return {str(name): _text(each) for name, each in raw.items()}


def _directory(raw: Any) -> str:
    text = _text(raw)
    if not text.startswith("/"):
        raise ValueError
    return text


Reader = tuple[Callable[[Any], Any], str]
_YES_NO: Final = "true or false"
_LINE: Final = "text in quotes"
_CODES: Final = "a list of exit codes, each 0 to 255"
READERS: Final[Mapping[str, Reader]] = {
    "program": (_argv, 'a list of texts, ["/path/of/the/program", "argument", …]'),
    "title": (_text, _LINE),
    "description": (_text, _LINE),
    "parameters": (_table, "a table for each parameter, [commands.NAME.parameters.OTHER]"),
    "environment": (_named_texts, 'a table of texts, { LANG = "C.UTF-8", PGPASSWORD = "env:BACKUP_PASSWORD" }'),
    "inherit": (_texts, "a list of names of variables"),
    "directory": (_directory, "an absolute path"),
    "timeout_s": (_seconds, "seconds, 1 to 604800"),
    "memory_mb": (_whole(0, 10_000_000), "whole megabytes, 0 for no limit"),
    "output_kb": (_whole(1, 1_000_000), "whole kilobytes, 1 to 1000000"),
    "changes_data": (_flag, _YES_NO),
    "success": (_codes, _CODES),
    "retry": (_codes, _CODES),
    "attempts": (_whole(1, 100), "a whole number, 1 to 100"),
    "repeatable": (_flag, _YES_NO),
    "queue": (_text, "the name of a queue"),
}
PARAMETER_READERS: Final[Mapping[str, Reader]] = {
    "title": (_text, _LINE),
    "description": (_text, _LINE),
    "pattern": (_pattern, "a regular expression"),
    "choices": (_texts, "a list of texts"),
    "default": (_text, _LINE),
    "may_be_option": (_flag, _YES_NO),
}


def shown(command: Command) -> Iterator[tuple[str, Any]]:
    """Yield what a command's table states beyond the defaults; secrets as the references they are."""
    defaults = Command(name="", program=())
    for key in READERS:
        value = getattr(command, key)
        if key == "parameters":
            value = {name: each.pattern or list(each.choices) for name, each in value.items()}
        if value != getattr(defaults, key):
            yield key, list(value) if isinstance(value, tuple) else value
