from __future__ import annotations

import itertools

import pytest
from rich.color import ColorSystem
from textual.color import Color
from textual.theme import Theme

from qsuite_console import themes

SOLID = [theme for theme in themes.THEMES if not theme.ansi]
STATUS = ("success", "warning", "error", "primary")


def luminance(colour: Color) -> float:
    """WCAG 2.1 relative luminance."""

    def channel(value: int) -> float:
        share = value / 255
        return share / 12.92 if share <= 0.03928 else float(((share + 0.055) / 1.055) ** 2.4)

    return 0.2126 * channel(colour.r) + 0.7152 * channel(colour.g) + 0.0722 * channel(colour.b)


def contrast(one: str, other: str) -> float:
    """WCAG 2.1 contrast ratio."""
    low, high = sorted((luminance(Color.parse(one)), luminance(Color.parse(other))))
    return (high + 0.05) / (low + 0.05)


def token(theme: Theme, name: str) -> str:
    value = theme.variables.get(name) or getattr(theme, name)
    assert isinstance(value, str)
    return value


@pytest.mark.parametrize("theme", themes.THEMES, ids=lambda t: t.name)
def test_a_theme_defines_every_token(theme: Theme) -> None:
    assert set(themes.TOKENS) <= set(theme.variables)


@pytest.mark.parametrize("theme", SOLID, ids=lambda t: t.name)
def test_text_can_be_read(theme: Theme) -> None:
    for ground in ("background", "surface", "panel"):
        for text in ("foreground", "dim", "accent", *STATUS):
            assert contrast(token(theme, text), token(theme, ground)) >= 4.5, f"{text} on {ground}"
    for text, ground in (
        ("block-cursor-foreground", "block-cursor-background"),
        ("block-cursor-blurred-foreground", "block-cursor-blurred-background"),
        ("badge-text", "badge"),
        ("footer-key-foreground", "footer-background"),
        ("faint", "background"),
    ):
        assert contrast(token(theme, text), token(theme, ground)) >= 4.5, f"{text} on {ground}"


@pytest.mark.parametrize("theme", SOLID, ids=lambda t: t.name)
def test_borders_and_glyphs_can_be_seen(theme: Theme) -> None:
    for name in ("border", "border-blurred", "track", "scrollbar", *STATUS):
        assert contrast(token(theme, name), token(theme, "background")) >= 3.0, name


@pytest.mark.parametrize("theme", SOLID, ids=lambda t: t.name)
def test_zones_and_states_stay_apart_in_256_colours(theme: Theme) -> None:
    def number(name: str) -> int:
        found = Color.parse(token(theme, name)).rich_color.downgrade(ColorSystem.EIGHT_BIT).number
        assert found is not None
        return found

    zones = ("background", "panel", "block-cursor-background", "block-cursor-blurred-background")
    assert len({number(name) for name in zones}) == len(zones)
    assert number("border") != number("border-blurred")
    if theme.name != "qsuite-mono":
        for one, other in itertools.combinations(STATUS, 2):
            assert number(one) != number(other), f"{one} and {other}"


# Viénot, Brettel and Mollon 1999: what is seen without red, and without green, in linear light.
BLINDNESS = {
    "protanopia": ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0)),
    "deuteranopia": ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0)),
}


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_the_safe_theme_tells_states_apart_for_the_colour_blind(blindness: str) -> None:
    def seen(name: str) -> list[float]:
        colour = Color.parse(token(themes.SAFE, name))
        light = [(value / 255) ** 2.2 for value in (colour.r, colour.g, colour.b)]
        mixed = [sum(f * x for f, x in zip(row, light, strict=True)) for row in BLINDNESS[blindness]]
        return [255 * max(0.0, x) ** (1 / 2.2) for x in mixed]

    for one, other in itertools.combinations(("success", "warning", "error"), 2):
        distance = sum((a - b) ** 2 for a, b in zip(seen(one), seen(other), strict=True)) ** 0.5
        assert distance > 60, f"{one} and {other}"


@pytest.mark.parametrize(
    ("name", "is_colourless", "colours", "expected"),
    [("auto", False, "truecolor", "qsuite-dark"), ("auto", False, "256", "qsuite-dark"),
     ("auto", False, "standard", "qsuite-ansi"), ("auto", True, "truecolor", "qsuite-mono"),
     ("light", False, "standard", "qsuite-light"), ("qsuite-contrast", True, "256", "qsuite-contrast"),
     ("nonsense", False, "256", "qsuite-dark")],
)  # fmt: skip
def test_the_terminal_chooses_the_theme_unless_the_operator_did(
    name: str, is_colourless: bool, colours: str, expected: str
) -> None:
    assert themes.choose(name, is_colourless=is_colourless, colours=colours) == expected


def test_themes_are_found_by_their_short_names() -> None:
    assert themes.find("light") == "qsuite-light"
    assert themes.find("qsuite-light") == "qsuite-light"
    assert themes.find("solarized") is None
