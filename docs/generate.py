"""Prints the generated pages anew: settings, keys, example configuration. ``--check`` only says what is stale."""

from __future__ import annotations

import sys
from pathlib import Path

from qsuite_console import commands
from qsuite_console.config import document
from qsuite_console.headless import openapi
from qsuite_console.headless.routes import ROUTES

ROOT = Path(__file__).parents[1]


def pages() -> dict[Path, str]:
    """Return path -> text of every generated page."""
    return {
        ROOT / "docs" / "configuration.md": document.markdown(),
        ROOT / "docs" / "keys.md": commands.markdown(),
        ROOT / "docs" / "routes.md": openapi.markdown(ROUTES),
        ROOT / "packaging" / "config.example.toml": document.example(),
    }


def stale() -> list[Path]:
    """Return the pages whose file differs from what would be printed."""
    return [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def main(arguments: list[str]) -> int:
    """Write the stale pages, or with ``--check`` name them and return 1."""
    for path in stale():
        sys.stderr.write(f"{path.relative_to(ROOT)} is stale\n")
        if "--check" not in arguments:
            path.write_text(pages()[path], encoding="utf-8")
    return int("--check" in arguments and bool(stale()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
