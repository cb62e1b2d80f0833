"""Places name the panes that their screens have: what completion, help and the key page offer is all there is."""

from __future__ import annotations

import importlib

import pytest

from qsuite_console.commands.row import Place
from qsuite_console.commands.rows.places import PLACES

PANED = [place for place in PLACES if place.panes]


@pytest.mark.parametrize("place", PANED, ids=[place.name for place in PANED])
def test_a_places_panes_are_those_of_its_screen_in_their_order(place: Place) -> None:
    module, _, attribute = place.target.partition(":")
    screen = getattr(importlib.import_module(module), attribute)
    assert place.panes == tuple(pane.NAME for pane in screen.PANES)
