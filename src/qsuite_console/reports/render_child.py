"""Renders: python -I -m qsuite_console.reports.render_child pdf PARENT; orders on stdin, frames on stdout.

A process of its own, because rendering can't be stopped from within, eats memory and prints from C. It gets no
environment, no path and no secret, opens no socket and starts no program: an audit hook refuses that for good once the
libraries are loaded, whatever a page asks for. It ends with its parent, when it is idle and at its limits.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import resource
import select
import signal
import sys
import time
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from qsuite_console.reports.document import (
    Advice,
    Cell,
    Column,
    Cover,
    Curve,
    Document,
    LineChart,
    Section,
    Table,
)
from qsuite_console.reports.orders import (
    DATA,
    END,
    FAILED,
    HEADER,
    LENGTH,
    READY,
    STEP,
    Failure,
    Order,
    Rendered,
    Step,
    Why,
)
from qsuite_console.reports.pages import TemplateProblem, make_page

IDLE_S: Final = 120.0
_CHUNK: Final = 65_536
_NICE: Final = 10
_PDEATHSIG: Final = 1
_NAMED: Final = 20  # refused references that are named
_DENIED: Final = ("socket.", "subprocess.", "urllib.", "http.", "ftplib.", "smtplib.", "ssl.", "shutil.", "tempfile.")
_DENIED_OS: Final = frozenset(
    f"os.{name}"
    for name in (
        *("system", "exec", "fork", "forkpty", "posix_spawn", "spawn", "startfile", "remove", "rename", "rmdir"),
        *("mkdir", "link", "symlink", "truncate", "chmod", "chown", "putenv"),
    )
)


class Refused(Exception):
    """The page asked for something outside itself."""


class Missing(Exception):
    """Something of the system that rendering needs is not there."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why


_NO_ROOM: Final = Failure(why=Why.MEMORY, message="the memory for rendering did not suffice")


class Child:
    """Loads its libraries, then takes orders until there are none for a while."""

    def __init__(self, orders: int, frames: int, *, prints: bool) -> None:
        self._orders = orders
        self._frames = frames
        self._prints = prints
        self._weasyprint: Any = None
        self._fonts: Any = None
        self._refused: list[str] = []
        self._refused_total = 0
        self._memory: int | None = None  # address space taken once all is loaded

    def run(self) -> None:
        """Serve until the parent is gone or has had nothing for two minutes, or an order went wrong."""
        failure = self._attempt(self._prepare)
        if failure is None:
            self._say(READY, b"")
        while failure is None and (order := self._next()) is not None:
            failure = self._attempt(partial(self._render, order))
            gc.collect()
        if failure is not None:  # what is left after a failure is not worth keeping
            self._say(FAILED, msgspec.json.encode(failure))

    def _attempt(self, work: Callable[[], None]) -> Failure | None:
        try:
            work()
        except MemoryError:
            return _NO_ROOM
        except RecursionError:
            return Failure(why=Why.DEPTH, message="elements are nested too deeply")
        except TemplateProblem as error:
            return Failure(why=Why.TEMPLATE, message=str(error)[:500])
        except Missing as error:
            return Failure(why=error.why, message=str(error)[:500])
        except Exception as error:  # whatever a library makes of a page it can't render
            if isinstance(error, SystemError) and "without setting an exception" in str(error):
                return _NO_ROOM  # there was no room for a MemoryError either
            return Failure(why=Why.OTHER, message=f"{type(error).__name__}: {error}"[:500])
        return None

    def _prepare(self) -> None:
        """Load all that is loaded late, a second nobody shall wait for twice, then shut the door."""
        page = make_page(_SAMPLE)
        if self._prints:
            try:
                import weasyprint
            except OSError as error:
                raise Missing(Why.LIBRARY, str(error).splitlines()[0]) from error
            except ImportError as error:
                raise Missing(Why.LIBRARY, str(error)) from error
            self._weasyprint = weasyprint
            self._fonts = _fonts(weasyprint, self._refuse)  # looked for once: later that is no longer allowed
            self._print(page, Order(format="pdf", document=_SAMPLE))
        self._memory = _address_space()
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        sys.addaudithook(_audit)

    def _limit(self, order: Order) -> None:
        """Limit memory and processor time of what is rendered next; the parent watches the clock besides."""
        if order.memory and self._memory:
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (self._memory + order.memory, hard))
        if order.cpu_s:
            used = resource.getrusage(resource.RUSAGE_SELF)
            hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
            resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + order.cpu_s) + 1, hard))

    def _render(self, order: Order) -> None:
        started = time.monotonic()
        self._refused, self._refused_total = [], 0
        self._limit(order)
        self._step(0, "page")
        page = make_page(order.document, order.template)
        pages, data = 0, page.encode("utf-8")
        if order.format == "pdf":
            pages, data = self._print(page, order)
        for at in range(0, len(data), _CHUNK):
            self._say(DATA, data[at : at + _CHUNK])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        ended = Rendered(
            pages=pages,
            bytes=len(data),
            refused=tuple(self._refused),
            refused_total=self._refused_total,
            seconds=time.monotonic() - started,
            peak=peak,
        )
        self._say(END, msgspec.json.encode(ended))

    def _print(self, page: str, order: Order) -> tuple[int, bytes]:
        """Return the number of pages and the PDF."""
        with self._steps():
            fetcher = _fetcher(self._weasyprint, self._refuse)
            html = self._weasyprint.HTML(string=page, base_url=None, url_fetcher=fetcher)
            _detach(html.etree_element)
            document = html.render(font_config=self._fonts, optimize_images=True)
            variant = "pdf/a-3a" if order.is_archive and order.is_tagged else "pdf/a-3u" if order.is_archive else None
            data = document.write_pdf(
                pdf_variant=variant, pdf_tags=order.is_tagged, custom_metadata=True, full_fonts=False
            )
        if not document.fonts:
            raise Missing(Why.FONTS, "no font is installed")
        assert isinstance(data, bytes)
        return len(document.pages), data

    def _refuse(self, url: str) -> None:
        self._refused_total += 1
        if len(self._refused) < _NAMED:
            self._refused.append(url[:200])

    @contextlib.contextmanager
    def _steps(self) -> Iterator[None]:
        """Pass WeasyPrint's own steps on: "Step 5 - Creating layout - Page 3"."""
        logger = logging.getLogger("weasyprint.progress")
        handler = _Steps(self._step)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    def _step(self, step: int, message: str) -> None:
        if self._memory is not None:  # else it is still getting ready
            self._say(STEP, msgspec.json.encode(Step(step=step, message=message)))

    def _say(self, kind: bytes, body: bytes) -> None:
        view = memoryview(HEADER.pack(kind, len(body)) + body)
        while view:
            view = view[os.write(self._frames, view) :]

    def _next(self) -> Order | None:
        ready, _, _ = select.select([self._orders], [], [], IDLE_S)
        if not ready:
            return None
        header = self._read(LENGTH.size)
        body = None if header is None else self._read(LENGTH.unpack(header)[0])
        return None if body is None else msgspec.json.decode(body, type=Order)

    def _read(self, size: int) -> bytes | None:
        found = bytearray()
        while len(found) < size:
            piece = os.read(self._orders, min(size - len(found), 1 << 20))
            if not piece:
                return None
            found += piece
        return bytes(found)


class _Steps(logging.Handler):
    """Makes steps of log lines, at most ten a second."""

    def __init__(self, tell: Callable[[int, str], None]) -> None:
        super().__init__()
        self._tell = tell
        self._last = (0, 0.0)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a line on that names a step."""
        text = record.getMessage()
        parts = text.split(" - ", 1)
        if len(parts) != 2 or not parts[0].startswith("Step "):
            return
        step, now = int(parts[0].removeprefix("Step ")), time.monotonic()
        if step != self._last[0] or now - self._last[1] > 0.1:
            self._last = (step, now)
            self._tell(step, parts[1])


def _fetcher(weasyprint: Any, refuse: Callable[[str], None]) -> Any:
    """Return a fetcher that gives what the page itself carries, an image as data, and refuses all else."""

    class Fetcher(weasyprint.urls.URLFetcher):  # type: ignore[misc]  # the library has no types
        def __init__(self) -> None:
            super().__init__(allowed_protocols=["data"], allow_redirects=False)

        def fetch(self, url: str, headers: Any = None) -> Any:
            if not url.lower().startswith(("data:image/png", "data:image/jpeg", "data:image/gif")):
                refuse(url)
                raise Refused(f"refused: {url[:100]}")
            return super().fetch(url, headers)

    return Fetcher()


def _fonts(weasyprint: Any, refuse: Callable[[str], None]) -> Any:
    """Return the system's fonts; a page brings none of its own."""

    class Fonts(weasyprint.text.fonts.FontConfiguration):  # type: ignore[misc]  # the library has no types
        def add_font_face(self, rule_descriptors: Any, url_fetcher: Any) -> None:
            for _, url in rule_descriptors["src"]:
                refuse(str(url))

    return Fonts()


def _detach(root: Any) -> None:
    """Take the wish to be attached to the PDF from every element: a report carries no files."""
    for element in root.iter():
        names = element.get("rel", "") if hasattr(element, "get") and isinstance(element.tag, str) else ""
        if "attachment" in names.lower():
            del element.attrib["rel"]


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what rendering has no business with: sockets, programs, and files but for reading its own code."""
    if event.startswith(_DENIED) or event in _DENIED_OS:
        raise PermissionError(f"a renderer may not {event}")
    if event == "open":
        path, mode, flags = arguments
        is_writing = (isinstance(mode, str) and set(mode) & set("wax+")) or (
            isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if is_writing or not (isinstance(path, int) or str(os.fsdecode(path)).startswith(_OWN)):
            raise PermissionError("a renderer may not open files")


def _own_directories() -> tuple[str, ...]:
    package = str(Path(__file__).parents[1])
    found = {*(path for path in sys.path if path), *zoneinfo.TZPATH, sys.prefix, sys.base_prefix, package}
    return tuple(f"{path}{os.sep}" for path in found)


_OWN: Final = _own_directories()


def _address_space() -> int:
    """Return the bytes of address space taken; 0 where that can't be told (the limit is then not set)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


_SAMPLE: Final = Document(
    name="sample",
    created_at=datetime(2000, 1, 1, tzinfo=UTC),
    cover=Cover(title="Sample"),
    sections=(
        Section(
            id="one",
            title="One",
            blocks=(
                Table(title="T", columns=(Column(title="C", is_number=True),), rows=((Cell("1", 1),),)),
                LineChart(title="L", unit="%", curves=(Curve(label="c", points=((0, 1), (9, 2))),), start=0, end=9),
                Advice(title="A", severity="info", code="code"),
            ),
        ),
        Section(id="two", title="Two"),
    ),
)


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _stand_back() -> None:
    """Let everybody else go first. Where the kernel groups processes by session, nice alone counts within ours only."""
    os.nice(_NICE)
    with contextlib.suppress(OSError):  # no such kernel, or it has no such groups
        Path("/proc/self/autogroup").write_text(str(_NICE), encoding="ascii")


def main() -> None:
    """Give up the terminal and the parent's streams, then serve."""
    form, parent = sys.argv[1:]
    _die_with_parent(int(parent))
    frames = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)  # Pango prints warnings from C
    _stand_back()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    Child(0, frames, prints=form == "pdf").run()


if __name__ == "__main__":
    main()
