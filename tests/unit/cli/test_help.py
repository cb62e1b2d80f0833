"""What ``--help`` prints is true: lists are not cut, and every example is taken by the verb it is an example of."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest

from qsuite_console.cli import flags
from qsuite_console.cli.kinds import find_kind, known_kinds
from qsuite_console.cli.main import cli as main
from qsuite_console.cli.operations import find_operation, known_operations
from qsuite_console.engine.parameters import decode
from qsuite_console.model.kinds import ParameterSpec
from qsuite_console.operations import REGISTRY as OPERATIONS
from qsuite_console.workers import REGISTRY as WORKERS


def verbs(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield a command and all below it."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from verbs(child, click.Context(child, info_name=name, parent=context))


ROOT = click.Context(main, info_name="qsuite-console")
VERBS = {context.command_path: (command, context) for command, context in verbs(main, ROOT)}


@pytest.mark.parametrize("path", VERBS)
def test_no_help_is_cut_and_every_verb_has_an_example(path: str) -> None:
    command, context = VERBS[path]
    text = command.get_help(context)
    assert "..." not in text.replace("[ARGS]...", "").replace("[OPTIONS]...", "").replace("]...", "").replace(
        "ID...", ""
    )
    assert "Examples:" in text


WITHOUT_JSON = {"", "attach", "celery-worker", "completion", "man", "sandbox"}  # screens, services, texts for shells


def test_every_verb_that_answers_does_so_as_json_too() -> None:
    answering = {
        path.removeprefix("qsuite-console").strip(): command
        for path, (command, _) in VERBS.items()
        if not isinstance(command, click.Group) or command.invoke_without_command
    }
    bare = {path for path, command in answering.items() if not any("--json" in p.opts for p in command.params)}
    assert bare == WITHOUT_JSON


def examples_of(path: str) -> list[list[str]]:
    """Return the arguments behind ``path`` of each of its own examples."""
    command, context = VERBS[path]
    lines = [line.strip() for line in command.get_help(context).partition("Examples:")[2].splitlines()]
    return [shlex.split(line.removeprefix(path)) for line in lines if line.startswith(f"{path} ") or line == path]


LEAVES = [f"qsuite-console run {name}" for name in WORKERS] + [f"qsuite-console act {name}" for name in OPERATIONS]


@pytest.mark.parametrize("path", LEAVES)
def test_examples_of_jobs_and_operations_are_taken(path: str) -> None:
    found = examples_of(path)
    assert len(found) >= 2
    for arguments in found:
        check(path, arguments)


@pytest.mark.parametrize("path", ["qsuite-console run", "qsuite-console act"])
def test_examples_of_their_groups_are_taken(path: str) -> None:
    found = [arguments for arguments in examples_of(path) if arguments and arguments[0] in {*WORKERS, *OPERATIONS}]
    assert found
    for name, *arguments in found:
        if arguments != ["--help"]:
            check(f"{path} {name}", arguments)


def check(path: str, arguments: list[str]) -> None:
    """Parse and decode as the verb would; raises click.UsageError and InvalidParameters."""
    command, context = VERBS[path]
    assert "…" not in " ".join(arguments), "an example names something"
    taken = command.make_context(command.name, arguments, parent=context.parent)
    name = path.rpartition(" ")[2]
    specs: tuple[ParameterSpec, ...]
    specs = find_kind(name).parameters if name in known_kinds() else find_operation(name).parameters
    decode(struct_of(name), flags.given(specs, taken.params))


def struct_of(name: str) -> type:
    """Return the parameters that a job or operation is made from."""
    import importlib

    module, _, attribute = (WORKERS.get(name) or OPERATIONS[name]).partition(":")
    made: type = getattr(importlib.import_module(module), attribute).kind.parameters
    return made


def test_every_operation_and_kind_is_listed_with_what_it_does() -> None:
    for path, infos in (
        ("qsuite-console run", [find_kind(name).description for name in WORKERS]),
        ("qsuite-console act", [find_operation(name).help for name in known_operations()]),
    ):
        command, context = VERBS[path]
        words = " ".join(command.get_help(context).split())
        assert all(text in words for text in infos)
