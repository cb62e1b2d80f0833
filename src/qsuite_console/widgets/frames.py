"""What stands in a panel's frame: setting it repaints the whole panel, so it is set only when it differs."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


def title(panel: Widget, text: Content) -> None:
    """Write ``text`` into the upper edge of a panel."""
    if panel.border_title != text.markup:
        panel.border_title = text


def caption(panel: Widget, text: Content) -> None:
    """Write ``text`` into the lower edge of a panel."""
    if panel.border_subtitle != text.markup:
        panel.border_subtitle = text
