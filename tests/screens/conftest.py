"""Screens are drawn the same everywhere: true colour, no animation, UTC, a cursor that does not blink."""

from __future__ import annotations

import os

os.environ.pop("NO_COLOR", None)
os.environ.update(TEXTUAL_ANIMATIONS="none", TEXTUAL_COLOR_SYSTEM="truecolor", TZ="UTC")

import pytest
from textual.widgets import Input


@pytest.fixture(autouse=True)
def still_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Input, "_toggle_cursor", lambda self: None)
