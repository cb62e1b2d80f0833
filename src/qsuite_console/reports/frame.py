"""What every report shares: the window it looks at, its zone and target, and how instants and ages are told in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from qsuite_console.model import units
from qsuite_console.model.advice import Unread
from qsuite_console.model.text import clean
from qsuite_console.reports.document import Cover, Document, Fact, Section

NO_DATA: Final = "no data"
_EMPTY_PART: Final = re.compile(r"(?<=[dhm]) 0 [hms]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One report's surroundings. ``zone`` is a name of the IANA database; instants come in aware."""

    name: str
    target: str
    start: datetime
    end: datetime
    made_at: datetime
    zone: str = "UTC"
    word: str = ""
    origin: str = ""
    title: str = ""

    def local(self, at: datetime) -> datetime:
        """Return an instant in the report's zone."""
        return at.astimezone(ZoneInfo(self.zone))

    def moment(self, at: datetime | None, *, seconds: bool = True) -> str:
        """Return an instant as the report writes it; a dash for none."""
        if at is None:
            return "–"
        return f"{self.local(at):%Y-%m-%d %H:%M:%S}" if seconds else f"{self.local(at):%Y-%m-%d %H:%M}"

    @property
    def window(self) -> str:
        """Return the window in words."""
        start, end = self.local(self.start), self.local(self.end)
        first = f"{start:%Y-%m-%d %H:%M}"
        last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
        return f"{first} to {last} ({span((self.end - self.start).total_seconds())})"

    def age(self, newest: datetime | None) -> str:
        """Return how old the newest data is, in words."""
        if newest is None:
            return NO_DATA
        seconds = max(0.0, (self.made_at - newest).total_seconds())
        return f"{'under a second' if seconds < 1 else span(seconds)}: newest of {self.moment(newest)}"

    def document(
        self,
        title: str,
        sections: Sequence[Section],
        *,
        subtitle: str = "",
        newest: datetime | None = None,
        coverage: str = "",
        notes: Sequence[str] = (),
        highlights: Sequence[Fact] = (),
        window: str = "",
    ) -> Document:
        """Return the report, its cover filled in."""
        offset = f"{self.local(self.made_at):%z}"
        cover = Cover(
            title=clean(self.title or title, 200),
            subtitle=clean(subtitle, 300),
            target=clean(self.target, 100),
            word=clean(self.word, 40),
            window=window or self.window,
            zone=f"{self.zone} (UTC{offset[:3]}:{offset[3:]})",
            made=f"{self.moment(self.made_at)} {self.zone}",
            age=self.age(newest),
            coverage=coverage or NO_DATA,
            origin=clean(self.origin, 100),
            notes=tuple(clean(note, 400) for note in notes),
            highlights=tuple(highlights),
        )
        return Document(
            name=self.name,
            created_at=self.made_at.astimezone(UTC),
            cover=cover,
            sections=tuple(sections),
            is_partial=bool(notes),
        )


def span(seconds: float) -> str:
    """Return a duration without an empty part: "1 d", "30 m", "2 h 5 m"."""
    return _EMPTY_PART.sub("", units.span(seconds))


def unread_lines(unread: Sequence[Unread]) -> list[str]:
    """Return what could not be read, a line each, with what to do about it."""
    return [f"{one.what}: {one.why}{f' ({one.hint})' if one.hint else ''}" for one in unread]
