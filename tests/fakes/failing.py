"""What a worker's failure means to the engine: tried again, or not; whichever exception says so."""

from __future__ import annotations

import re
from typing import Any

import pytest

from qsuite_console.engine.ports import Permanent, Retryable
from qsuite_console.engine.retry import describe, is_permanent
from qsuite_console.model.errors import ConsoleError


def fails_for_good(match: str = "") -> Any:
    """Expect an error that is not tried again, whose line in the job's history has ``match`` in it."""
    return pytest.raises((Permanent, ConsoleError), check=lambda error: is_permanent(error) and _says(error, match))


def fails_for_now(match: str = "") -> Any:
    """Expect an error that is tried again, whose line in the job's history has ``match`` in it."""
    return pytest.raises((Retryable, ConsoleError), check=lambda error: not is_permanent(error) and _says(error, match))


def _says(error: BaseException, match: str) -> bool:
    line = describe(error)
    assert re.search(match, line), f"{match!r} is not in {line!r}"
    return True
