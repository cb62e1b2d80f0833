"""Keys of the widgets that every screen is made of: lists, logs, texts."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command

SCOPES: Final = {
    "table": "Lists",
    "log": "Logs",
    "text": "Figures and texts",
}

_TABLE: Final = (
    Command(id="table.open", keys="enter", title="Open", help="Open what is under the cursor.", scope="table",
            action="open", is_shown=True, when="row"),
    Command(id="table.down", keys="down,j", title="Down", help="Next line.", scope="table", action="move(1)"),
    Command(id="table.up", keys="up,k", title="Up", help="Previous line.", scope="table", action="move(-1)"),
    Command(id="table.page-down", keys="pagedown,ctrl+f", title="Page down", help="Next page.", scope="table",
            action="page(1)"),
    Command(id="table.page-up", keys="pageup,ctrl+b", title="Page up", help="Previous page.", scope="table",
            action="page(-1)"),
    Command(id="table.top", keys="home", title="Top", help="First line. Also g g.", scope="table", action="edge(0)"),
    Command(id="table.bottom", keys="end,G", title="Bottom", help="Last line.", scope="table", action="edge(1)"),
)  # fmt: skip

_LOG: Final = (
    Command(id="log.down", keys="down,j", title="Down", help="Scroll down a line.", scope="log", action="scroll(1)"),
    Command(id="log.up", keys="up,k", title="Up", help="Scroll up a line; stops following.", scope="log",
            action="scroll(-1)"),
    Command(id="log.page-down", keys="pagedown,ctrl+f", title="Page down", help="Scroll down a page.", scope="log",
            action="scroll_page(1)"),
    Command(id="log.page-up", keys="pageup,ctrl+b", title="Page up", help="Scroll up a page; stops following.",
            scope="log", action="scroll_page(-1)"),
    Command(id="log.top", keys="home", title="Top", help="First line. Also g g.", scope="log", action="edge(0)"),
    Command(id="log.follow", keys="end,G", title="Follow", help="Go to the end and follow new lines.", scope="log",
            action="edge(1)", is_shown=True, when="behind"),
)  # fmt: skip

_TEXT: Final = (
    Command(id="text.down", keys="down,j", title="Down", help="Scroll down a line.", scope="text",
            action="scroll_down"),
    Command(id="text.up", keys="up,k", title="Up", help="Scroll up a line.", scope="text", action="scroll_up"),
    Command(id="text.page-down", keys="pagedown,ctrl+f", title="Page down", help="Scroll down a page.", scope="text",
            action="page_down"),
    Command(id="text.page-up", keys="pageup,ctrl+b", title="Page up", help="Scroll up a page.", scope="text",
            action="page_up"),
    Command(id="text.top", keys="home", title="Top", help="First line. Also g g.", scope="text", action="scroll_home"),
    Command(id="text.bottom", keys="end,G", title="Bottom", help="Last line.", scope="text", action="scroll_end"),
)  # fmt: skip

ROWS: Final[tuple[Command, ...]] = (*_TABLE, *_LOG, *_TEXT)
