"""An engine that stays when the terminal goes: the same program without a screen, in a session of its own.

It leads where this process leads: the same directories, target and environment. What it says before it answers is kept
in a file, so that a start that fails can be explained.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from qsuite_console.attach import find_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.model.errors import Conflict, ConsoleError
from qsuite_console.model.text import clean
from qsuite_console.model.wire import EngineInfo

ORIGIN: Final = "background"
START_S: Final = 30.0
_LOOK_S: Final = 0.05
_TAIL: Final = 4000


def start(invocation: Invocation) -> EngineInfo:
    """Start it and return who answers then; raises ConsoleError with its own words when it ends or stays silent."""
    said = invocation.base.log / "background.log"
    child = _spawn(invocation, said)
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        found = find_engine(invocation.paths)
        if found is not None and found.pid == child.pid:
            return found
        if child.poll() is not None:
            break
        time.sleep(_LOOK_S)
    else:
        child.terminate()
    raise ConsoleError(f"the engine did not start in the background: {_last_words(said)}", hint=f"see {said}")


def stop(info: EngineInfo, *, wait_s: float) -> None:
    """Let the engine that answers here drain and end; raises Conflict when it is not ours, or not over in time."""
    if info.host != socket.gethostname():
        raise Conflict(f"the engine runs on {clean(info.host, 60)}", hint="end it there")
    try:
        os.kill(info.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise Conflict(f"pid {info.pid} belongs to another user", hint="end it as that user") from error
    until = time.monotonic() + wait_s
    while _is_alive(info.pid):
        if time.monotonic() > until:
            raise Conflict(
                f"pid {info.pid} still saves the work of its jobs",
                hint="ask again in a moment, or kill it: jobs resume",
            )
        time.sleep(_LOOK_S)


def command(invocation: Invocation) -> list[str]:
    """Return the argument list of the same engine without a screen."""
    given = [sys.executable, "-P", "-m", "qsuite_console", "--background"]
    if invocation.home:
        given += ["--home", str(Path(invocation.home).expanduser().absolute())]
    if invocation.target:
        given += ["--target", invocation.target]
    if invocation.is_read_only:
        given.append("--read-only")
    if invocation.log_level:
        given += ["--log-level", invocation.log_level]
    return given


def _spawn(invocation: Invocation, said: Path) -> subprocess.Popen[bytes]:
    try:
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise ConsoleError(f"{said}: can't be written: {error.strerror}", hint="check the log directory") from error
    with os.fdopen(descriptor, "wb") as output:
        return subprocess.Popen(
            command(invocation),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(invocation.environ),
            start_new_session=True,  # the terminal that goes away is not its own
        )


def _last_words(said: Path) -> str:
    with suppress(OSError):
        lines = said.read_text(encoding="utf-8", errors="replace")[-_TAIL:].splitlines()
        spoken = [line for line in lines if line.strip()]
        if spoken:
            return clean(next((line for line in reversed(spoken) if "error" in line.lower()), spoken[-1]), 300)
    return "it said nothing"


def _is_alive(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # our own child stays a shadow until it is asked
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
