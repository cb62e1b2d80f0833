"""The themes that come with the console. Data only; the meaning of each token is in the package."""

from __future__ import annotations

from typing import Final

from textual.theme import Theme


def _variables(**colours: str) -> dict[str, str]:
    named = {name.replace("_", "-"): colour for name, colour in colours.items()}
    named.update(
        {
            "footer-background": named["bar"],
            "footer-key-foreground": named["key"],
            "scrollbar": named["border-blurred"],
            "scrollbar-hover": named["dim"],
            "scrollbar-active": named["border"],
            "scrollbar-background": named["ground"],
            "scrollbar-background-hover": named["ground"],
            "scrollbar-background-active": named["ground"],
            "scrollbar-corner-color": named["ground"],
            "block-cursor-text-style": "none",
            "block-cursor-blurred-text-style": "none",
            "block-cursor-blurred-foreground": named["block-cursor-blurred-text"],
            "input-selection-background": named["block-cursor-background"],
        }
    )
    return named


DARK: Final = Theme(
    name="qsuite-dark",
    primary="#5AA9F7",
    secondary="#8E9AAB",
    accent="#EFB84F",
    success="#63C77D",
    warning="#EDB73D",
    error="#F06A6A",
    foreground="#DCE0E7",
    background="#101214",
    surface="#191C1F",
    panel="#24282D",
    dark=True,
    variables=_variables(
        ground="#101214",
        dim="#98A0AC",
        faint="#7C8490",
        bar="#24282D",
        key="#EFB84F",
        badge="#F06A6A",
        badge_text="#101214",
        border="#5AA9F7",
        border_blurred="#5C636C",
        track="#5C636C",
        block_cursor_background="#1F4A7A",
        block_cursor_foreground="#FFFFFF",
        block_cursor_blurred_background="#2D3238",
        block_cursor_blurred_text="#DCE0E7",
    ),
)

LIGHT: Final = Theme(
    name="qsuite-light",
    primary="#0B5CAD",
    secondary="#56606E",
    accent="#8A5300",
    success="#1A7338",
    warning="#8A5300",
    error="#B3202C",
    foreground="#1B1F24",
    background="#FAFAFA",
    surface="#F1F2F3",
    panel="#E4E6E8",
    dark=False,
    variables=_variables(
        ground="#FAFAFA",
        dim="#555C66",
        faint="#666D77",
        bar="#E4E6E8",
        key="#8A5300",
        badge="#B3202C",
        badge_text="#FFFFFF",
        border="#0B5CAD",
        border_blurred="#868C93",
        track="#868C93",
        block_cursor_background="#0B5CAD",
        block_cursor_foreground="#FFFFFF",
        block_cursor_blurred_background="#D5D8DC",
        block_cursor_blurred_text="#1B1F24",
    ),
)

CONTRAST: Final = Theme(
    name="qsuite-contrast",
    primary="#66CCFF",
    secondary="#FFFFFF",
    accent="#FFE14D",
    success="#5CFF8A",
    warning="#FFE14D",
    error="#FF8C8C",
    foreground="#FFFFFF",
    background="#000000",
    surface="#1C1C1C",
    panel="#303030",
    dark=True,
    variables=_variables(
        ground="#000000",
        dim="#D8D8D8",
        faint="#C4C4C4",
        bar="#303030",
        key="#FFE14D",
        badge="#FF8C8C",
        badge_text="#000000",
        border="#FFFFFF",
        border_blurred="#8A8A8A",
        track="#8A8A8A",
        block_cursor_background="#FFE14D",
        block_cursor_foreground="#000000",
        block_cursor_blurred_background="#444444",
        block_cursor_blurred_text="#FFFFFF",
    ),
)

MONO: Final = Theme(
    name="qsuite-mono",
    primary="#F0F0F0",
    secondary="#A8A8A8",
    accent="#FFFFFF",
    success="#C0C0C0",
    warning="#E0E0E0",
    error="#FFFFFF",
    foreground="#D8D8D8",
    background="#121212",
    surface="#1C1C1C",
    panel="#262626",
    dark=True,
    variables=_variables(
        ground="#121212",
        dim="#A0A0A0",
        faint="#888888",
        bar="#262626",
        key="#FFFFFF",
        badge="#FFFFFF",
        badge_text="#121212",
        border="#FFFFFF",
        border_blurred="#666666",
        track="#666666",
        block_cursor_background="#D8D8D8",
        block_cursor_foreground="#121212",
        block_cursor_blurred_background="#3A3A3A",
        block_cursor_blurred_text="#F0F0F0",
    ),
)

# The terminal's own sixteen colours: what the operator has set up decides, also over a link that knows no more.
ANSI: Final = Theme(
    name="qsuite-ansi",
    primary="ansi_bright_blue",
    secondary="ansi_cyan",
    accent="ansi_yellow",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    dark=True,
    ansi=True,
    luminosity_spread=0.15,
    text_alpha=0.95,
    variables={
        **_variables(
            ground="ansi_default",
            dim="ansi_default",
            faint="ansi_default",
            bar="ansi_default",
            key="ansi_yellow",
            badge="ansi_red",
            badge_text="ansi_bright_white",
            border="ansi_bright_blue",
            border_blurred="ansi_bright_black",
            track="ansi_bright_black",
            block_cursor_background="ansi_white",
            block_cursor_foreground="ansi_black",
            block_cursor_blurred_background="ansi_bright_black",
            block_cursor_blurred_text="ansi_bright_white",
        ),
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "input-cursor-background": "ansi_white",
        "input-cursor-foreground": "ansi_black",
        "input-selection-foreground": "ansi_black",
        "screen-selection-background": "ansi_bright_blue",
        "screen-selection-foreground": "ansi_black",
    },
)
