"""Documents and limits for tests of reports; what a PDF says, read back."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from pypdf import PdfReader

from qsuite_console.reports.document import Block, Column, Cover, Document, Section, Table, cell
from qsuite_console.reports.orders import Order, Rendered, Step
from qsuite_console.reports.render import Limits, Renderer

NOW = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
AMPLE = Limits(seconds=120.0, memory=1 << 30)


def document(*blocks: Block, title: str = "Test report", notes: tuple[str, ...] = ()) -> Document:
    cover = Cover(title=title, target="sandbox", window="today", zone="UTC", made="now", notes=notes)
    return Document(
        name="test", created_at=NOW, cover=cover, sections=(Section(id="one", title="First part", blocks=blocks),)
    )


def table(rows: Sequence[Sequence[object]], columns: int) -> Table:
    return Table(
        title="Rows",
        columns=tuple(Column(title=f"column {at}") for at in range(columns)),
        rows=tuple(tuple(cell(value) for value in row) for row in rows),
        total=len(rows),
    )


async def render(
    renderer: Renderer,
    made: Document,
    form: str = "pdf",
    *,
    limits: Limits = AMPLE,
    template: str | None = None,
    tagged: bool = False,
    archive: bool = False,
    steps: list[Step] | None = None,
) -> tuple[bytes, Rendered]:
    pieces: list[bytes] = []
    order = Order(format=form, document=made, template=template, is_tagged=tagged, is_archive=archive)
    heard = steps if steps is not None else []
    rendered = await renderer.render(order, limits, write=pieces.append, tell=heard.append)
    return b"".join(pieces), rendered


def text_of(pdf: bytes) -> str:
    return squeezed("\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages))


def squeezed(text: str) -> str:
    """Without white space: how a PDF's text is spaced says nothing about what it says."""
    return re.sub(r"\s+", "", text)
