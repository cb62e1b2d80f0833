"""What the benchmarks print is shown as it comes and, with ``--page FILE``, kept as a page: docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

HEAD = """# Benchmarks

Printed by `make bench` on {day}: {cores} cores, Python {python}. Figures of one machine mean little elsewhere; what is
compared (a peer, the raw limit) ran in the same run on the same machine, so read the ratios.
"""
_told: dict[str, tuple[str, list[str]]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--page", type=Path, default=None, help="write what the benchmarks print to this page")


@pytest.fixture(autouse=True)
def _shown(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    with capsys.disabled():
        print("", *lines, sep="\n")
    subject = " ".join((request.module.__doc__ or "").split("\n\n")[0].split())
    _told.setdefault(request.module.__name__, (subject, []))[1].extend(lines)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    page: Path | None = session.config.getoption("--page")
    if page is None or exitstatus != 0 or not _told:
        return
    parts = [HEAD.format(day=datetime.now(UTC).date(), cores=os.cpu_count(), python=platform.python_version())]
    for name, (subject, lines) in sorted(_told.items()):
        title = name.rpartition(".")[2].removeprefix("test_").removesuffix("_bench").capitalize()
        parts.append("\n".join((f"## {title}", "", subject, "", "```text", *lines, "```", "")))
    page.write_text("\n".join(parts), encoding="utf-8")
