"""Files of the engine brought to whoever looks at it, also from another machine; and opened by the desktop's program.

Nothing here draws, so that verbs use it too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from qsuite_console.engine.control import Control
from qsuite_console.model.errors import ConsoleError, UsageProblem
from qsuite_console.model.reports import ReportInfo, ReportPart
from qsuite_console.paths import write_whole

_OPENERS: Final = ("xdg-open", "open", "wslview")
NO_DESKTOP: Final = "there is no desktop here"


async def fetch(control: Control, report: ReportInfo) -> bytes:
    """Return a report's file, part by part; raises NotFound when it is removed meanwhile."""
    pieces, size = list[bytes](), 0
    while True:
        part = await control.ask("reports.content", {"file": report.file, "offset": size})
        if not isinstance(part, ReportPart):
            raise ConsoleError("the engine answered something else", hint="is it of the same version?")
        if not part.data:
            return b"".join(pieces)
        pieces.append(part.data)
        size += len(part.data)


def is_here(report: ReportInfo) -> bool:
    """Return whether the file is on this machine and ours, as it was made."""
    try:
        found = Path(report.path).lstat()
    except OSError:
        return False
    return found.st_size == report.bytes and found.st_uid == os.getuid()


def write(path: Path, content: bytes, *, is_forced: bool) -> None:
    """Write a file of mode 0600; raises ConsoleError where that can't be done or it exists and is not forced."""
    if path.is_dir() or not path.name:
        raise UsageProblem(f"{path} is a directory: name a file")
    try:
        write_whole(path, content, is_forced=is_forced)
    except FileExistsError as error:
        raise ConsoleError(f"{path} exists") from error
    except OSError as error:
        raise ConsoleError(f"{path} can't be written: {error.strerror}") from error


def open_file(path: str) -> str:
    """Open a file with the desktop's program; returns why that can't be, "" when it was handed over."""
    opener = next((found for name in _OPENERS if (found := shutil.which(name))), None)
    has_desktop = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if opener is None or not has_desktop:
        return NO_DESKTOP
    try:
        subprocess.Popen(
            [opener, path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return f"{opener} can't be started: {error.strerror}"
    return ""
