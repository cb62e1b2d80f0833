"""The targets of the configuration as the console switches between them: one is shown, another may still be draining.

The other one is opened while the present one still runs, so that whatever keeps it from opening leaves the operator
where they are; the one that is left drains in a thread of its own, and is waited for before it is opened again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from qsuite_console import __version__
from qsuite_console.attach import RemoteControl
from qsuite_console.attach.relay import Relay
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.opened import Opened, attached, own_engine
from qsuite_console.config.schema import secrets_of
from qsuite_console.engine.state import TargetView
from qsuite_console.logs import REDACTOR
from qsuite_console.model.errors import Conflict, ConsoleError, EngineGone, HistoryOwned, NotFound
from qsuite_console.model.text import clean
from qsuite_console.runtime import open_observer, view_target
from qsuite_console.screens.dialogs.target import TargetChoice

CLOSING_S: Final = 60.0  # how long an operator who comes back waits for a target that is still being left
PATIENCE_S: Final = 5.0  # an owner of the history that starts or ends gets that long to answer or to let it go
_PAUSE_S: Final = 0.1
_log: Final = logging.getLogger(__name__)


def open_target(invocation: Invocation, *, may_look: bool) -> Opened:
    """Open the invocation's target: with an engine of ours, else attached to the one that runs.

    ``may_look``: where the owner of the history answers nobody, look at it without an engine; else raises HistoryOwned.
    """
    if invocation.engine is not None:
        return attach_target(invocation)
    stack = ExitStack()
    try:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                runtime = own_engine(invocation, stack)
                return Opened(_name(invocation), invocation, Relay(runtime.control), runtime, stack)
            except HistoryOwned as error:
                found = _beside(invocation, stack, error)
                if found is not None:
                    return found
                if time.monotonic() > until:
                    return _only_look(invocation, stack, error, may_look=may_look)
            time.sleep(_PAUSE_S)  # it is just starting, or just ending
    except BaseException:
        stack.close()
        raise


def attach_target(invocation: Invocation) -> Opened:
    """Attach to the engine that runs for the invocation's target, wherever that is; raises EngineGone."""
    name, stack = _name(invocation), ExitStack()
    remote = attached(invocation, stack)
    if remote is None:
        how = f"qsuite-console{f' --target {name}' if invocation.loaded.chosen else ''} --headless"
        raise EngineGone(
            f"no engine runs for {clean(name, 60)}: nothing answers on {invocation.paths.socket}",
            hint=f"start one with {how}, or open a console with its own: qsuite-console",
        )
    note = f"attached to the engine of {remote.state.owner or 'another process'}"
    return Opened(name, invocation, Relay(remote), None, stack, note, warning=_difference(remote))


def _name(invocation: Invocation) -> str:
    return invocation.loaded.settings.target.name


def _beside(invocation: Invocation, stack: ExitStack, error: HistoryOwned) -> Opened | None:
    """Attach to the owner's engine; None while it does not answer."""
    try:
        remote = attached(invocation, stack)
    except EngineGone:
        return None
    if remote is None:
        return None
    note = f"{error.owner or 'another process'} runs the engine of this history; attached to it"
    return Opened(_name(invocation), invocation, Relay(remote), None, stack, note, warning=_difference(remote))


def _difference(remote: RemoteControl) -> str:
    """Return what the operator of an engine of another version should know, "" for one of ours."""
    version = remote.state.version
    if version in ("", __version__):
        return ""
    return f"The engine runs version {clean(version, 40)}, this console {__version__}: restart the older one"


def _only_look(invocation: Invocation, stack: ExitStack, error: HistoryOwned, *, may_look: bool) -> Opened:
    """Show the history of an owner that answers nobody; without ``may_look`` raises HistoryOwned."""
    name, owner = _name(invocation), error.owner or "another process"
    if not may_look:
        raise HistoryOwned(
            f"{owner} owns the history of {name} and doesn't answer",
            owner=error.owner,
            hint="end that process, or let it go on",
        ) from error
    note = f"{owner} owns this history and doesn't answer; looking only"
    observer = stack.enter_context(open_observer(invocation.loaded.settings, invocation.paths, owner=error.owner))
    return Opened(name, invocation, Relay(observer), None, stack, note, is_looking=True)


class Switchboard:
    """Implements ``Targets`` of the screen. ``current`` is what is shown; ``take`` hands over what was prepared."""

    def __init__(self, current: Opened) -> None:
        self.current = current
        self._first = current.invocation
        self._next: Opened | None = None
        self._closing: dict[str, tuple[threading.Thread, Opened]] = {}

    async def choices(self) -> Sequence[TargetChoice]:
        """Return every target with what the header will show; one whose settings are wrong says why."""
        return await asyncio.to_thread(self._choices)

    async def prepare(self, name: str) -> None:
        """Open another target beside the present one; raises ConsoleError when it can't be."""
        await asyncio.to_thread(self._prepare, name)

    def take(self) -> Opened | None:
        """Return the target to show next, if one was prepared, and make it the current one."""
        found, self._next = self._next, None
        if found is not None:
            self.current = found
        return found

    def retire(self, left: Opened) -> None:
        """Close a target in the background: its jobs get their grace to save what they have."""
        thread = threading.Thread(target=_close, args=(left,), name=f"leaving-{clean(left.name, 40)}", daemon=True)
        self._closing[left.name] = thread, left
        thread.start()

    def finish(self, *, is_hurried: bool = False) -> None:
        """Wait until every target that was left is closed; ``is_hurried``: their jobs are interrupted at once."""
        if self._next is not None:
            self._next.close()
        for thread, left in self._closing.values():
            if is_hurried and thread.is_alive():
                left.request_stop()  # the second request cuts the patience short
            thread.join()

    @property
    def is_closing(self) -> bool:
        """Return whether a target that was left still saves its work."""
        return any(thread.is_alive() for thread, _ in self._closing.values())

    def _invocation(self, name: str) -> Invocation:
        """Return the invocation of a target; the first one as it was asked for, the others as by --target."""
        is_first = name == self._first.loaded.settings.target.name
        return dataclasses.replace(self._first, target=self._first.target if is_first else name, warns=False)

    def _choices(self) -> Sequence[TargetChoice]:
        first = self._first.loaded
        names = [] if self._first.fixed else list(first.targets)  # from the sandbox no way leads to another platform
        if first.settings.target.name not in names:
            names.insert(0, first.settings.target.name)
        return tuple(self._choice(name) for name in names)

    def _choice(self, name: str) -> TargetChoice:
        is_current = name == self.current.name
        if is_current:
            return TargetChoice(view=view_target(self.current.invocation.loaded.settings), is_current=True)
        try:
            return TargetChoice(view=view_target(self._invocation(name).loaded.settings))
        except ConsoleError as error:
            return TargetChoice(view=TargetView(name=name), problem=error.message)

    def _prepare(self, name: str) -> None:
        if name == self.current.name:
            raise Conflict(f"this is {name} already")
        known = [choice.view.name for choice in self._choices()]
        if name not in known:
            raise NotFound(f"there is no target {clean(name, 60)}", hint=f"known are {', '.join(known)}")
        if name in self._closing:
            closing, _ = self._closing[name]
            closing.join(CLOSING_S)
            if closing.is_alive():
                raise Conflict(f"{name} is still saving the work of its jobs", hint="try again in a moment")
        invocation = self._invocation(name)
        settings = invocation.loaded.settings
        REDACTOR.register(secrets_of(settings))
        if self._next is not None:
            self._next.close()
            self._next = None
        self._next = open_target(invocation, may_look=False)


def _close(left: Opened) -> None:
    try:
        left.close()
    except Exception:  # what is left must be closed as far as it goes, whatever one part of it does
        _log.exception("leaving the target %s failed", left.name)
