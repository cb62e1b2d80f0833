"""The process that renders: what it makes, what it refuses to fetch, and that it ends at its limits."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from pypdf import PdfReader

from fakes.reporting import NOW, document, render, squeezed, table, text_of
from qsuite_console.reports import render as render_module
from qsuite_console.reports.document import Text
from qsuite_console.reports.orders import Step
from qsuite_console.reports.render import Limits, Renderer, RendererDied, RenderFailed

HOSTILE = '<img src="http://x/y"><script>alert(1)</script>{{ 7*7 }}{% for %}'


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def renderer() -> AsyncIterator[Renderer]:
    made = Renderer()
    yield made
    made.close()


class Canary:
    """Listens on loopback and counts whoever connects."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.visits = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            visitor.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            visitor.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture
def canary() -> Iterator[Canary]:
    made = Canary()
    yield made
    made.close()


def vectors(port: int, file: Path) -> dict[str, str]:
    """Return every way by which a page asks for something outside itself."""
    url, local = f"http://127.0.0.1:{port}", file.as_uri()
    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f'<svg {space}><image xlink:href="{url}/x"/></svg>'
    font = f'@font-face {{ font-family: q; src: url("{url}/f.woff"), url("{local}"); }} p {{ font-family: q; }}'
    use = f'<use href="{url}/u.svg#a"/><style>@import url("{url}/v.css")</style>'
    packed = base64.b64encode(svg.encode()).decode()
    return {
        "image over http": f'<img src="{url}/a.png">',
        "image over https": f'<img src="https://127.0.0.1:{port}/a.png">',
        "image from a file": f'<img src="{local}">',
        "stylesheet": f'<link rel="stylesheet" href="{url}/a.css">',
        "attachment of the page": f'<link rel="attachment" href="{local}">',
        "attachment of a link": f'<a rel="attachment" href="{local}">x</a><a rel="attachment" href="{url}/f">y</a>',
        "attachment as data": '<link rel="attachment" href="data:text/plain,stowaway">',
        "import": f'<style>@import url("{url}/b.css"); @import url("{local}");</style>',
        "svg inside": svg,
        "svg as data": f'<img src="data:image/svg+xml;base64,{packed}">',
        "font": f"<style>{font}</style>",
        "object": f'<object data="{url}/o.svg" type="image/svg+xml"></object>',
        "embed": f'<embed src="{url}/e.svg" type="image/svg+xml"><iframe src="{url}/i"></iframe>',
        "background": f'<p style="background: url({url}/b.png); list-style-image: url({local})">x</p>',
        "content": f'<style>p::before {{ content: url("{url}/c.png"); border-image: url("{url}/d.png"); }}</style>',
        "base": f'<base href="{url}/"><img src="relative.png"><link rel="stylesheet" href="r.css">',
        "picture": f'<picture><source srcset="{url}/s.png"><img src="{url}/t.png" srcset="{url}/u.png 2x"></picture>',
        "use": f"<svg {space}>{use}</svg>",
        "ftp": f'<img src="ftp://127.0.0.1:{port}/a.png"><img src="//127.0.0.1:{port}/b.png">',
        "entity": f'<!DOCTYPE x [<!ENTITY e SYSTEM "{local}">]><p>&e;</p>',
    }


def files_in(pdf: bytes) -> int:
    """Return how many files a PDF carries, in its catalogue or on a page."""
    reader = PdfReader(io.BytesIO(pdf))
    on_pages = sum(
        note.get_object().get("/Subtype") == "/FileAttachment"
        for page in reader.pages
        for note in page.get("/Annots") or ()
    )
    return len(reader.attachments) + int(on_pages) + pdf.count(b"/EmbeddedFile")


async def test_nothing_in_the_data_of_a_report_is_fetched_or_embedded(
    renderer: Renderer, canary: Canary, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the-secret-itself")
    asked = vectors(canary.port, secret)
    assert len(asked) >= 14
    rows = [[name, markup] for name, markup in asked.items()]
    pdf, rendered = await render(renderer, document(Text(paragraphs=tuple(asked.values())), table(rows, 2)))
    assert canary.visits == 0
    assert rendered.refused_total == 0  # it is text: nothing asked
    assert files_in(pdf) == 0
    said = text_of(pdf)
    for markup in asked.values():
        assert squeezed(markup)[:40] in said
    assert "the-secret-itself" not in said


@pytest.mark.parametrize("form", ["pdf", "html"])
async def test_a_template_that_asks_for_everything_gets_nothing(
    renderer: Renderer, canary: Canary, tmp_path: Path, form: str
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the-secret-itself")
    asked = vectors(canary.port, secret)
    pages = []
    for name, markup in asked.items():
        page, rendered = await render(renderer, document(), form, template=f"<p>{name}</p>{markup}")
        pages.append((name, page, rendered.refused_total))
    assert canary.visits == 0
    assert not any(b"the-secret-itself" in page for _, page, _ in pages)
    if form == "pdf":
        assert [name for name, page, _ in pages if files_in(page)] == []
        assert sum(refused > 0 for _, _, refused in pages) >= 10  # it was asked, and refused


async def test_the_canary_would_hear_a_visit(canary: Canary) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", canary.port)
    writer.close()
    until = time.monotonic() + 10
    while not canary.visits and time.monotonic() < until:
        await asyncio.sleep(0.01)
    assert canary.visits == 1


async def test_markup_and_templates_in_the_data_are_shown_not_run(renderer: Renderer) -> None:
    made = document(Text(paragraphs=(HOSTILE,)), table([[HOSTILE]], 1), title=HOSTILE, notes=(HOSTILE,))
    pdf, _ = await render(renderer, made)
    html, _ = await render(renderer, made, "html")
    assert squeezed(HOSTILE) in text_of(pdf)
    assert b"<script" not in html
    assert b"<img" not in html
    assert b"49" not in html.replace(b"#", b"")[html.index(b"<body") :].split(b"</body")[0].replace(b"Made", b"")
    assert b"default-src 'none'" in html
    assert b"http://" not in html.replace(b"http://www.w3.org/", b"").replace(b"http://x/y", b"")


async def test_a_pdf_has_contents_numbers_metadata_and_is_tagged_on_request(renderer: Renderer) -> None:
    steps: list[Step] = []
    made = document(table([[f"row {at}", at] for at in range(150)], 2))
    pdf, rendered = await render(renderer, made, steps=steps)
    reader = PdfReader(io.BytesIO(pdf))
    assert rendered.pages == len(reader.pages) > 2
    assert reader.metadata is not None
    assert reader.metadata.title == "Test report – sandbox"
    assert reader.metadata.author == "qsuite-console"
    assert reader.metadata.creation_date is not None
    assert reader.metadata.creation_date.replace(tzinfo=NOW.tzinfo).date() == NOW.date()
    for number, page in enumerate(reader.pages, 1):
        assert squeezed(f"Page {number} of {rendered.pages}") in squeezed(page.extract_text())
    for page in reader.pages[1:]:
        assert "column0column1" in squeezed(page.extract_text())  # the heading is repeated
    assert [step.step for step in steps] == sorted(step.step for step in steps)
    assert {0, 1, 3, 5, 6, 7} <= {step.step for step in steps}
    tagged, _ = await render(renderer, made, tagged=True)
    assert PdfReader(io.BytesIO(tagged)).trailer["/Root"]["/MarkInfo"]["/Marked"]  # type: ignore[index]
    archive, _ = await render(renderer, made, archive=True)
    assert b"pdfaid" in PdfReader(io.BytesIO(archive)).trailer["/Root"]["/Metadata"].get_data()  # type: ignore[index]
    assert files_in(archive) == 0


async def test_a_table_too_long_ends_in_a_clear_error_at_the_limit(renderer: Renderer) -> None:
    full = bool(os.environ.get("QSUITE_FULL"))
    limit_s = 60.0 if full else 4.0
    made = document(table([[at * column for column in range(8)] for at in range(5000)], 8))
    await render(renderer, document())  # the libraries are loaded
    began = time.monotonic()
    with pytest.raises(RenderFailed, match=f"longer than {limit_s:g} s") as caught:
        await render(renderer, made, limits=Limits(seconds=limit_s, memory=1 << 30))
    assert time.monotonic() - began < limit_s + 20
    assert "fewer rows" in caught.value.hint
    pdf, _ = await render(renderer, document())  # the next one is none the worse
    assert "Testreport" in text_of(pdf)


@pytest.mark.parametrize(
    "template",
    [
        "<table><tr><td colspan=1000000>x</td></tr></table>",
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}",
        "{{ 'x' * 9999999999 }}",
        "{% for at in range(3000) %}<div>{% endfor %}x",
        "<style>p { width: 1e99px; transform: scale(1e30) }</style><p style='margin: -99999999px'>x</p>",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
    ids=["colspan", "loop", "memory", "depth", "sizes", "recursion"],
)
async def test_a_bomb_ends_in_an_error_or_a_page_and_never_hangs(renderer: Renderer, template: str) -> None:
    began, failure = time.monotonic(), None
    try:
        await render(renderer, document(), template=template, limits=Limits(seconds=3.0, memory=128 << 20))
    except RenderFailed as error:
        failure = error
    assert failure is None or (failure.message and failure.hint and "\n" not in failure.message)
    assert (failure is not None) or "1e99px" in template
    assert time.monotonic() - began < 90
    pdf, _ = await render(renderer, document())
    assert "Testreport" in text_of(pdf)


async def test_memory_is_limited(renderer: Renderer) -> None:
    made = document(table([[at * column for column in range(8)] for at in range(1500)], 8))
    renderer.close()  # one that has not had room before
    with pytest.raises(RenderFailed, match="memory"):
        await render(renderer, made, limits=Limits(seconds=300, memory=8 << 20))


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ nothing.at.all }}", "undefined"),
        ("{% if %}", "line 1"),
        ("a\nb\n{{ ''.__class__.__mro__ }}", "unsafe|undefined"),
        ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "unsafe|undefined"),
        ("{% include '/etc/passwd' %}", "passwd"),
        ("{{ document.created_at.__reduce__() }}", "unsafe"),
    ],
)
async def test_a_template_gets_nothing_but_the_document(renderer: Renderer, template: str, said: str) -> None:
    with pytest.raises(RenderFailed, match="template") as caught:
        await render(renderer, document(), "html", template=template)
    assert any(word in caught.value.message for word in said.split("|")), caught.value.message


async def test_a_template_of_ones_own_uses_rows_and_may_extend_the_page(renderer: Renderer) -> None:
    made = document(table([["AAPL", 5], ["<b>", 6]], 2))
    own = "{% for row in rows %}[{{ row['column 0'] }}={{ row['column 1'] }}]{% endfor %}"
    html, _ = await render(renderer, made, "html", template=own)
    assert html.decode() == "[AAPL=5][&lt;b&gt;=6]"
    extended = "{% extends 'report.html' %}{% block body %}<p>only {{ rows | length }} rows</p>{% endblock %}"
    pdf, _ = await render(renderer, made, template=extended)
    assert "only2rows" in text_of(pdf)


async def test_the_process_is_used_again_and_sees_no_environment(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:sesame@h/d")
    renderer.close()
    await render(renderer, document())
    (process,) = renderer._idle["pdf"]
    assert b"sesame" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    assert os.getsid(process.pid) == process.pid
    group = Path(f"/proc/{process.pid}/autogroup")  # where the kernel has them, nice alone counts within a session only
    assert os.getpriority(os.PRIO_PROCESS, process.pid) > 0
    assert not group.exists() or group.read_text().split()[-1] == "10"
    await render(renderer, document())
    assert [each.pid for each in renderer._idle["pdf"]] == [process.pid]
    renderer.close()
    assert not Path(f"/proc/{process.pid}").exists()


async def test_a_cancelled_rendering_leaves_no_process(renderer: Renderer) -> None:
    steps: list[Step] = []
    made = document(table([[at] * 8 for at in range(3000)], 8))
    task = asyncio.create_task(render(renderer, made, steps=steps))
    await begun(steps)
    before = children()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(children()) == len(before) - 1


async def test_a_renderer_that_is_killed_is_said_and_may_be_tried_again(renderer: Renderer) -> None:
    await render(renderer, document())
    process = renderer._idle["pdf"][-1]
    made, steps = document(table([[at] * 8 for at in range(2000)], 8)), list[Step]()
    task = asyncio.create_task(render(renderer, made, steps=steps))
    await begun(steps)
    os.kill(process.pid, 9)
    with pytest.raises(RendererDied, match="SIGKILL") as caught:
        await task
    assert caught.value.is_transient


async def test_without_pango_html_goes_on_and_pdf_says_what_to_install(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_module, "_MODULE", "fakes.no_pango")
    monkeypatch.setattr(render_module, "_FLAGS", ("-B",))
    monkeypatch.setattr(render_module, "_PASSED", ("PYTHONPATH",))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    renderer.close()
    with pytest.raises(RenderFailed, match="no PDF without Pango: cannot load library 'libpango") as caught:
        await render(renderer, document())
    assert "install" in caught.value.hint
    assert not caught.value.is_transient
    html, _ = await render(renderer, document(), "html")
    assert b"Test report" in html


async def begun(steps: list[Step]) -> None:
    """Wait until the renderer is at work."""
    until = time.monotonic() + 120
    while not any(step.step >= 1 for step in steps):
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


def children() -> set[int]:
    """Return the processes that this one has started and not yet buried."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found
