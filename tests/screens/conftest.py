"""Screens are drawn the same everywhere: true colour, no animation, UTC, a cursor that does not blink."""

from __future__ import annotations

import os

os.environ.pop("NO_COLOR", None)
os.environ.update(TEXTUAL_ANIMATIONS="none", TEXTUAL_COLOR_SYSTEM="truecolor", TZ="UTC")

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest
from textual import app as textual_app
from textual import pilot as textual_pilot
from textual.app import App
from textual.css import stylesheet
from textual.pilot import Pilot
from textual.widgets import Input

from screens.attached import ATTACHED
from screens.seeing import FRAMES, until_idle, until_still

_parse = stylesheet.parse
_parsed: dict[Hashable, list[Any]] = {}
_variables: dict[int, tuple[Any, Hashable]] = {}  # by identity; the object is kept, so that its identity stays its own


def parse_once(scope: str, css: str, read_from: Any, variable_tokens: Any = None, **options: Any) -> list[Any]:
    """Every app of these tests has the same style sheets: parsing them again would be a quarter of the time."""
    if id(variable_tokens) not in _variables:
        values = {name: tuple(token.value for token in tokens) for name, tokens in (variable_tokens or {}).items()}
        _variables[id(variable_tokens)] = (variable_tokens, tuple(sorted(values.items())))
    key = (scope, css, read_from, _variables[id(variable_tokens)][1], *sorted(options.items()))
    if key not in _parsed:
        _parsed[key] = list(_parse(scope, css, read_from, variable_tokens=variable_tokens, **options))
    return _parsed[key]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stylesheet, "parse", parse_once)
    display: Callable[..., None] = App._display

    def counted(app: App[object], *arguments: Any) -> None:
        FRAMES[app] = FRAMES.get(app, 0) + 1
        display(app, *arguments)

    monkeypatch.setattr(App, "_display", counted)
    if not ATTACHED.is_wanted:  # over HTTP the answers of another loop are waited for too
        for module in (textual_app, textual_pilot):
            monkeypatch.setattr(module, "wait_for_idle", until_idle)


@pytest.fixture(autouse=True)
def still_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Input, "_toggle_cursor", lambda self: None)


@pytest.fixture
def snap_compare(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """Over HTTP answers come apart from each other: the picture is taken once no more of them changes it."""

    def compare(app: App[Any], **options: Any) -> bool:
        steps = options.pop("run_before", None)

        async def settle(pilot: Pilot[Any]) -> None:
            if steps is not None:
                await steps(pilot)
            await until_still(pilot)

        return snap_compare(app, run_before=settle, **options)

    return compare if ATTACHED.is_wanted else snap_compare


@pytest.fixture(autouse=True)
def hung_up() -> Iterator[None]:
    """End the fake engines that a test has served."""
    yield
    ATTACHED.close()
