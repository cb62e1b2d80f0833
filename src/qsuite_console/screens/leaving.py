"""Screens that are left once: Textual's ``dismiss`` pops whatever is on top, so a key pressed twice on a slow machine
would take the screen below with it, or the last one, and end the console.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette
from textual.screen import ModalScreen, Screen

ResultT = TypeVar("ResultT")


def once(screen: Screen[Any], leave: Callable[[], AwaitComplete]) -> AwaitComplete:
    """Leave a screen that is in front; one that is left already, or under another, stays as it is."""
    return leave() if screen.app.screen is screen else AwaitComplete()


class Page(Screen[ResultT]):
    """A whole screen."""

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Leave with a result."""
        return once(self, lambda: super(Page, self).dismiss(result))


class Dialog(ModalScreen[ResultT]):
    """A question or a view over a screen."""

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Leave with an answer."""
        return once(self, lambda: super(Dialog, self).dismiss(result))


class Palette(CommandPalette):
    """Textual's palette."""

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Leave, whatever was chosen."""
        return once(self, lambda: super(Palette, self).dismiss(result))
