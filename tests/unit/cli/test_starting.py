"""Whoever has just taken the history is on its way: a verb waits for it, and gives up on one that has it for long."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qsuite_console.cli import connect
from qsuite_console.cli.invocation import Invocation
from qsuite_console.engine.ports import Claiming
from qsuite_console.history.lock import HistoryLock, lock_path
from qsuite_console.model.errors import HistoryOwned


@pytest.mark.parametrize("is_long_there", [False, True])
def test_an_owner_that_is_starting_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_long_there: bool
) -> None:
    monkeypatch.setattr(connect, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(connect, "STARTING_S", 60.0)
    invocation = Invocation(home=str(tmp_path), environ={})
    paths = invocation.paths.ensure()
    owner = HistoryLock(paths.history, now=datetime.now(UTC))
    if is_long_there:
        os.utime(lock_path(paths.history), (0, 0))
    letting_go = threading.Timer(0.6, owner.release)
    if not is_long_there:
        letting_go.start()
    try:
        with ExitStack() as stack:
            if is_long_there:
                with pytest.raises(HistoryOwned, match="owns this history and doesn't answer"):
                    connect.any_engine(invocation, stack, claim=Claiming.NONE, origin="test")
            else:
                assert not connect.any_engine(invocation, stack, claim=Claiming.NONE, origin="test").state.running
    finally:
        letting_go.cancel()
        owner.release()
