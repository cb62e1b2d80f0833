"""The system library that PDF needs and Python can't bring along, and the exact line that installs it here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Final

PANGO: Final[Mapping[str, str]] = {
    "apt-get": "apt-get install -y libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0",
    "dnf": "dnf install -y pango harfbuzz",
    "brew": "brew install pango",
}


def pango_line() -> str:
    """Return the exact line that installs what PDF needs on this machine."""
    prefix = "" if os.getuid() == 0 else "sudo "
    for tool, line in PANGO.items():
        if shutil.which(tool):
            return line if tool == "brew" else prefix + line
    return "; or ".join(PANGO.values())
