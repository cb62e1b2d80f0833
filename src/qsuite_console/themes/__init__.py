"""Colours as tokens: a theme defines all of TOKENS, widgets name tokens only, and a test measures the contrasts.

In 256 colours dark tints collapse into one black and greyish blues turn teal; the dark theme's greys are neutral
enough to land on different steps of the terminal's grey ramp. Status colours are the full-strength ones.
"""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

from qsuite_console.themes.builtin import ANSI, CONTRAST, DARK, LIGHT, MONO, SAFE

# Beyond Textual's own: text in two weaker strengths, the bar on top, the filled badge of a production target.
TOKENS: Final = ("dim", "faint", "bar", "badge", "badge-text", "border", "border-blurred", "track")

THEMES: Final[tuple[Theme, ...]] = (DARK, LIGHT, CONTRAST, SAFE, MONO, ANSI)
DEFAULT: Final = DARK.name
AUTO: Final = "auto"
PREFIX: Final = "qsuite-"


def short_names() -> dict[str, str]:
    """Return the name people type -> the theme's full name: light -> qsuite-light."""
    return {theme.name.removeprefix(PREFIX): theme.name for theme in THEMES}


def choose(name: str, *, is_colourless: bool, colours: str) -> str:
    """Return the theme to open with: the one asked for, or for "auto" the one that ``colours`` can show.

    ``colours`` is what the terminal knows ("standard", "256", "truecolor"); an unknown name gives the default.
    """
    if name != AUTO:
        return find(name) or DEFAULT
    if is_colourless:
        return MONO.name
    return ANSI.name if colours in ("standard", "") else DEFAULT


def find(name: str) -> str | None:
    """Return the full name of a theme by its full or short name, or None."""
    names = short_names() | {AUTO: DEFAULT}
    if name in names.values():
        return name
    return names.get(name)
