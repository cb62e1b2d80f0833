"""What ctrl+p finds: screens and commands from the table, jobs by number or title, themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from qsuite_console import commands, themes
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.jobs import Job, JobQuery
from qsuite_console.model.kinds import KindInfo
from qsuite_console.model.operations import OperationInfo
from qsuite_console.model.text import clean
from qsuite_console.screens.dialogs.target import TargetChoice
from qsuite_console.widgets import job_rows

if TYPE_CHECKING:
    from qsuite_console.app import ConsoleApp

JOBS = 100


class TableProvider(Provider):
    """Every command that has a title and an action, and the themes by name."""

    async def discover(self) -> Hits:
        """Show all before anything is typed."""
        for title, run, text in self._entries():
            yield DiscoveryHit(title, run, help=text)

    async def search(self, query: str) -> Hits:
        """Match titles and helps."""
        matcher = self.matcher(query)
        for title, run, text in self._entries():
            score = max(matcher.match(title), 0.6 * matcher.match(text))
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=text)

    def _entries(self) -> Iterator[tuple[str, Callable[[], object], str]]:
        console = cast("ConsoleApp", self.app)
        here = {getattr(node, "SCOPE", "") for node in (self.focused or self.screen).ancestors_with_self} | {"app"}
        for command in commands.COMMANDS:
            if not command.action or command.scope not in here or command.id in ("app.palette", "app.back", "app.go"):
                continue
            if command.scope in ("table", "log", "text") and not command.is_shown:
                continue  # moving about is for keys
            keys = f"  ({commands.spoken(command.keys)})" if command.keys else ""
            place = next((p for p in commands.PLACES if command.id == f"go.{p.name}"), None)
            title = f"Go to {place.title}" if place else command.title
            yield f"{title}{keys}", partial(console.run_command, command, ""), command.help
        theme = commands.BY_ID["app.theme"]
        for name in themes.short_names():
            yield f"Theme {name}", partial(console.run_command, theme, name), f"Use the {name} theme."


class JobProvider(Provider):
    """The newest jobs by number and title."""

    async def startup(self) -> None:
        """Read the newest jobs once for each opening of the palette."""
        console = cast("ConsoleApp", self.app)
        try:
            page = await console.control.jobs(JobQuery(limit=JOBS))
        except ConsoleError:
            page = None  # the list of jobs says what is wrong; the palette just has none
        self._newest: tuple[Job, ...] = page.jobs if page else ()

    async def search(self, query: str) -> Hits:
        """Match number and title."""
        matcher = self.matcher(query.removeprefix("#"))
        console = cast("ConsoleApp", self.app)
        for job in self._newest:
            title = f"Job {job.id}  {clean(job.title, 100)}"
            score, offsets = matcher.fuzzy_search.match(matcher.query, title)
            if score > 0:
                content = Content(title)  # the matcher's own highlighting would parse the title as markup
                for offset in offsets:
                    content = content.stylize("underline", offset, offset + 1)
                look = job_rows.look_of(job)
                yield Hit(score, content, partial(console.open_page, "job", job.id), help=f"{look.glyph} {look.word}")


class ChangeProvider(Provider):
    """What can be run and changed on the platform, and the other platforms."""

    async def startup(self) -> None:
        """Read both once for each opening of the palette."""
        console = cast("ConsoleApp", self.app)
        self._operations: tuple[OperationInfo, ...] = ()
        self._kinds: tuple[KindInfo, ...] = ()
        self._targets: tuple[TargetChoice, ...] = ()
        try:
            self._operations = await console.control.operations()
            self._kinds = await console.control.kinds()
            self._targets = () if console.targets is None else tuple(await console.targets.choices())
        except ConsoleError:
            return  # an engine that does not answer says so on the screen; the palette just has none

    async def discover(self) -> Hits:
        """Show the other targets before anything is typed: there are few, and they matter."""
        for title, run, text in self._entries():
            if title.startswith("Target"):
                yield DiscoveryHit(title, run, help=text)

    async def search(self, query: str) -> Hits:
        """Match names, titles and helps."""
        matcher = self.matcher(query)
        for title, run, text in self._entries():
            score = max(matcher.match(title), 0.6 * matcher.match(text))
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=text)

    def _entries(self) -> Iterator[tuple[str, Callable[[], object], str]]:
        console = cast("ConsoleApp", self.app)
        target = commands.BY_ID["app.target"]
        for choice in self._targets:
            if not choice.is_current:
                name = clean(choice.view.name, 60)
                word = f"{clean(choice.view.word, 24)}, " if choice.view.word else ""
                look = "read-only, " if choice.view.is_read_only else ""
                where = clean(choice.problem or choice.view.database, 80) or "no address"
                yield (
                    f"Target {_plain(name)}",
                    partial(console.run_command, target, choice.view.name),
                    f"{word}{look}{where}",
                )
        for kind in self._kinds:
            yield (
                f"Run {_plain(clean(kind.title, 60))} ({_plain(clean(kind.name, 60))})",
                partial(console.start_kind, kind),
                clean(kind.description, 200),
            )
        for operation in self._operations:
            yield (
                f"{_plain(clean(operation.title, 60))} ({operation.name})",
                partial(console.start_operation, operation),
                clean(operation.help, 200),
            )


def _plain(text: str) -> str:
    """Return a text that the matcher's highlighting takes for no markup."""
    return text.replace("[", "(").replace("]", ")")
