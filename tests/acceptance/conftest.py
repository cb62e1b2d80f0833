"""One detached sandbox for the acceptance tests of a test process; each test works on a copy of its database."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from acceptance.product import Console, Exchange, Platform, parse_environment

_numbers = itertools.count(1)


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory with a short path, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="qsuite-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def start_sandbox() -> Iterator[Callable[..., Console]]:
    """Start detached sandboxes with extra flags; all are stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="qsuite-sb-") as root:
        Path(root).chmod(0o711)
        running: list[tuple[Console, Path]] = []

        def start(*flags: str) -> Console:
            directory = Path(root) / f"s{next(_numbers)}"
            console = Console(directory / "home", {})
            done = console.run("sandbox", "start", "--dir", str(directory), "--no-traffic", *flags, timeout=180)
            assert done.returncode == 0, done.stderr
            running.append((console, directory))
            lines = console.run("sandbox", "env", "--dir", str(directory))
            assert lines.returncode == 0, lines.stderr
            return Console(console.home, parse_environment(lines.stdout))

        yield start
        for console, directory in running:
            done = console.run("sandbox", "stop", "--dir", str(directory))
            assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def sandbox(start_sandbox: Callable[..., Console]) -> Console:
    """The sandbox of the acceptance lines: 200 symbols; a limit that many runs within one minute don't exhaust."""
    return start_sandbox("--symbols", "200", "--sessions", "1", "--rate-limit", "2000", "--latency-ms", "80")


@pytest.fixture
def console(sandbox: Console, short_directory: Path) -> Iterator[Console]:
    """A console of its own on a copy of the sandbox's database."""
    url = urlsplit(sandbox.environment["DATABASE_URL"])
    name = f"copy_{next(_numbers)}"
    admin = Platform(urlunsplit(url._replace(path="/postgres")))
    admin.execute(f'CREATE DATABASE {name} TEMPLATE "{url.path.lstrip("/")}"')
    yield sandbox.with_environment(short_directory, DATABASE_URL=urlunsplit(url._replace(path=f"/{name}")))
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def platform(console: Console) -> Platform:
    return Platform(console.environment["DATABASE_URL"])


@pytest.fixture
def exchange(console: Console) -> Exchange:
    return Exchange(console.environment)
