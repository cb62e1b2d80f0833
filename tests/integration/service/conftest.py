"""Servers of their own for tests that stop, kill or limit them: the shared ones must stay well."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.service.watching import resume
from qsuite_console.sandbox import servers


@pytest.fixture(scope="module")
def own_directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="qsuite-own-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def own_postgres(own_directory: Path) -> Iterator[servers.Server]:
    server = servers.start_postgres(own_directory, password=servers.make_password(), settings=["max_connections=20"])
    yield server
    resume(server)
    server.stop()


@pytest.fixture(scope="module")
def own_valkey(own_directory: Path) -> Iterator[servers.Server]:
    server = servers.start_valkey(own_directory, password=servers.make_password())
    yield server
    resume(server)
    server.stop()
