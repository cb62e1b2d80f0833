"""The name of a production target, typed before anything changes it. The gate decides; here it is only asked for."""

from __future__ import annotations

import sys

import click

from qsuite_console.cli import output
from qsuite_console.cli.invocation import Invocation
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.text import clean


def can_ask() -> bool:
    """Return whether a person sits at the terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def typed_name(invocation: Invocation, given: str, what: str, *, instead: str = "") -> str:
    """Return the target's name as given, or typed at a terminal where production wants it; "" where it does not.

    ``what`` follows "Type NAME", as "to run vacuum"; ``instead``: what else to do where nobody can be asked, for then
    UsageProblem is raised.
    """
    from qsuite_console.runtime import view_target

    target = view_target(invocation.loaded.settings)
    if given or not target.is_production or target.is_read_only:
        return given
    name = clean(target.name, 60)
    if not can_ask():
        raise UsageProblem(
            f"{name} is production and nobody can be asked: this is no terminal",
            hint=f"add --confirm {name}{instead}",
        )
    output.note(f"{name} is production: {clean(target.database or 'its database', 100)}")
    answer: str = click.prompt(f"Type {name} {what}", default="", err=True)
    return answer.strip()
