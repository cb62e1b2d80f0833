"""An operation changes the platform at once, at an operator's wish: cancel a query, apply a setting, delete a key.

It is proposed first (what exactly would happen, to what, with what consequence) and performed with the parameters of
the proposal, which carry what must still be true then (the backend's start, the setting's old value).
"""

from __future__ import annotations

from typing import Any

import msgspec

from qsuite_console.model.kinds import ParameterSpec


class OperationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An operation as front ends see it; one that does not change the target is allowed on a read-only one."""

    name: str  # "database.cancel"
    title: str  # "Cancel query"
    help: str
    parameters: tuple[ParameterSpec, ...] = ()
    changes_target: bool = True
    timeout_s: float = 10.0


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation would do now. ``parameters`` are to be handed to ``perform`` as they are."""

    operation: str
    title: str  # a question that names the subject: "Terminate backend 4711?"
    lines: tuple[str, ...] = ()  # subject, age, query; then the consequence, in numbers where there are any
    do: str = "do it"  # what y does, in two or three words: "terminate it"
    parameters: dict[str, Any] = {}
    asks: bool = True  # False: harmless and easily undone, so that it is done without a question
    named: str = ""  # what is lost for good: a screen lets its name be typed where nothing else must be
    typed: str = ""  # what must be typed to confirm (the target's name on production); filled in by the gate


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an operation. ``is_done`` False: nothing was changed, and ``message`` says why."""

    operation: str
    is_done: bool
    message: str
    lines: tuple[str, ...] = ()
    figures: dict[str, Any] = {}  # the machine-readable form
