"""The renderer on a machine without Pango: importing WeasyPrint fails the way it does there."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any

from qsuite_console.reports import render_child


class WithoutPango(MetaPathFinder):
    """Answers for WeasyPrint."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0': libpango-1.0-0: cannot open shared object file")


if __name__ == "__main__":
    sys.meta_path.insert(0, WithoutPango())
    render_child.main()
