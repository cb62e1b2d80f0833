"""Groups of verbs that import a verb's module only when it is run: a completion or ``--help`` loads none of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from qsuite_console.config.schema import did_you_mean


class LazyGroup(click.Group):
    """``verbs`` maps each name to ("module:attribute", one line of help)."""

    def __init__(self, *args: Any, verbs: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one verb; None for an unknown one."""
        if cmd_name not in self.verbs:
            return None
        module, _, attribute = self.verbs[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is not a command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb, or refuse an unknown one with the nearest known."""
        if args and args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            known = self.list_commands(ctx)
            near = did_you_mean(args[0], known) or f"; known: {', '.join(known)}"
            raise click.UsageError(f"unknown command {args[0]!r}{near}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.verbs.items()])


class NamedGroup(LazyGroup):
    """Verbs of a registry: ``names`` lists them, ``make`` imports and describes the one that is named.

    ``purpose`` is a verb's line in the list under ``heading``.
    """

    def __init__(
        self,
        *args: Any,
        heading: str,
        names: Callable[[], Sequence[str]],
        make: Callable[[str], click.Command],
        purpose: Callable[[str], str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, verbs={}, **kwargs)
        self._heading, self._names, self._make, self._purpose = heading, names, make, purpose

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the registry's order."""
        return list(self._names())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the verb, with a flag for each parameter; None for an unknown one."""
        return self._make(cmd_name) if cmd_name in self._names() else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with what they do."""
        with formatter.section(self._heading):
            formatter.write_dl([(name, self._purpose(name)) for name in self._names()])


class ListedGroup(click.Group):
    """A group whose list of verbs says each one's purpose to its end."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with the first sentence of their help, never cut."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(500)) for name, each in found if each is not None])


def examples(*lines: str) -> str:
    """Return an epilog of examples that click leaves as it is."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
