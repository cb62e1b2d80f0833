"""For how long an alert shall be quiet, and why: a number for the usual lengths, Enter for the rest."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from typing import ClassVar, Final, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from qsuite_console.model.text import clean
from qsuite_console.screens.leaving import Dialog

MORNING_H: Final = 8  # when tomorrow begins
LONGEST_MINUTES: Final = 30 * 24 * 60
_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(min|minutes?|m|h|hours?|d|days?)?")
_MINUTES: Final = {"m": 1.0, "h": 60.0, "d": 1440.0}


class Choice(NamedTuple):
    """What was answered. ``subject`` is the alert, or its source for everything of it."""

    subject: str
    minutes: float
    reason: str


def minutes_of(text: str) -> float | None:
    """Return the minutes of "90", "90 min", "6 h" or "2 d"; None for anything else or more than 30 days."""
    match = _LENGTH.fullmatch(text.strip().lower())
    if match is None:
        return None
    minutes = float(match[1]) * _MINUTES[(match[2] or "m")[0]]
    return minutes if 0 < minutes <= LONGEST_MINUTES else None


def till_tomorrow(now: datetime, zone: tzinfo | None) -> float:
    """Return the minutes until tomorrow morning, local time."""
    local = now.astimezone(zone)
    morning = (local + timedelta(days=1)).replace(hour=MORNING_H, minute=0, second=0, microsecond=0)
    return (morning - local).total_seconds() / 60


class Lengths(Static, can_focus=True):
    """The lengths to choose from, on one line each."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j,right", "move(1)", "Next", show=False),
        Binding("up,k,left", "move(-1)", "Previous", show=False),
        Binding("enter", "take", "Choose", show=False),
        *(Binding(str(number), f"choose({number - 1})", show=False) for number in range(1, 6)),
    ]

    class Chosen(Message):
        """A length was chosen."""

    def __init__(self, choices: tuple[str, ...]) -> None:
        super().__init__(id="lengths", markup=False)
        self._choices = choices
        self.index = 1

    def on_mount(self) -> None:
        """Show them."""
        self._draw()

    def on_focus(self) -> None:
        """Show which is chosen."""
        self._draw()

    def on_blur(self) -> None:
        """Show which was chosen."""
        self._draw()

    def _draw(self) -> None:
        key = "bold $footer-key-foreground"
        lines = [
            Content.assemble(
                ("› " if index == self.index else "  ", "$accent"),
                (f"{index + 1} ", key),
                (name, "bold" if index == self.index else ""),
            )
            for index, name in enumerate(self._choices)
        ]
        self.update(Content("\n").join(lines))

    def action_move(self, by: int) -> None:
        """Go to the next one."""
        self.index = (self.index + by) % len(self._choices)
        self._draw()

    def action_choose(self, index: int) -> None:
        """Choose by number."""
        self.index = index
        self._draw()
        self.action_take()

    def action_take(self) -> None:
        """Go on with the one that is marked."""
        self.post_message(self.Chosen())


class SilenceDialog(Dialog[Choice | None]):
    """Returns what to silence, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back"),
        Binding("ctrl+t", "widen", "This alert, or all of its source", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    SilenceDialog { align: center middle; }
    SilenceDialog Input { background: $panel; margin-top: 1; }
    SilenceDialog #own { display: none; }
    SilenceDialog #lengths { height: auto; margin-top: 1; }
    SilenceDialog #keys { margin-top: 1; }
    """

    def __init__(self, alert_id: str, now: datetime, zone: tzinfo | None) -> None:
        super().__init__()
        self._alert = alert_id
        self._source = alert_id.partition(".")[0]
        self._is_wide = self._alert == self._source
        minutes = till_tomorrow(now, zone)
        self._minutes = (15.0, 60.0, 240.0, minutes, 0.0)
        names = ("15 min", "1 h", "4 h", f"till tomorrow {MORNING_H:02}:00", "another length")
        self._lengths = Lengths(names)

    def compose(self) -> ComposeResult:
        """What, how long, why."""
        with Vertical(classes="dialog") as box:
            box.border_title = "Silence"
            yield Static(self._what(), id="what")
            yield self._lengths
            yield Input(placeholder="90 min, 6 h, 2 d", id="own")
            yield Input(placeholder="why? the others will read it (may be empty)", id="reason", max_length=200)
            key = "bold $footer-key-foreground"
            yield Static(
                Content.assemble(
                    ("1–5 ", key),
                    "how long  ",
                    ("Enter ", key),
                    "silence it  ",
                    ("Ctrl+T ", key),
                    "this, or all of the source  ",
                    ("Esc ", key),
                    "leave",
                ),
                id="keys",
            )

    def on_mount(self) -> None:
        """Ask for the length first."""
        self._lengths.focus()

    def _what(self) -> Content:
        what = f"everything of {self._source}" if self._is_wide else self._alert
        return Content.assemble(
            (clean(what, 80), "bold"), ("  stays visible and is recorded, but calls nobody", "$dim")
        )

    def action_widen(self) -> None:
        """Silence this alert, or everything of its source."""
        self._is_wide = not self._is_wide
        self.query_one("#what", Static).update(self._what())

    def on_lengths_chosen(self) -> None:
        """Go on: to the own length, or to the reason."""
        own = self.query_one("#own", Input)
        own.display = self._lengths.index == len(self._minutes) - 1
        (own if own.display else self.query_one("#reason", Input)).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the length, then the reason."""
        own = self.query_one("#own", Input)
        minutes = minutes_of(own.value) if own.display else self._minutes[self._lengths.index]
        if minutes is None:
            told = f"“{clean(own.value, 20)}” is no length: 90 min, 6 h, 2 d" if own.value else "90 min, 6 h, 2 d"
            own.value, own.placeholder = "", told
            own.focus()
        elif event.input is own:
            self.query_one("#reason", Input).focus()
        else:
            subject = self._source if self._is_wide else self._alert
            self.dismiss(Choice(subject, minutes, self.query_one("#reason", Input).value.strip()))

    def action_leave(self) -> None:
        """Leave everything as it is."""
        self.dismiss(None)
