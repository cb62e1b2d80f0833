"""docs/keys.md, and keys as people write them."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.table import SCOPES, of
from qsuite_console.commands.typed import SHORT_VERBS, verbs


def markdown() -> str:
    """Return docs/keys.md."""
    lines = [
        "# Keys",
        "",
        "Generated from `qsuite_console/commands/rows/`. Every key can be changed in `config.toml`:",
        "",
        "```toml",
        "[interface.keymap]",
        '"jobs.cancel" = "x"',
        "```",
        "",
        "Keys marked with * are fixed: they get you out of anything.",
    ]
    for scope, title in SCOPES.items():
        rows = [command for command in of(scope) if command.keys]
        if rows:
            lines += ["", f"## {title}", "", "| key | what it does | id |", "|---|---|---|"]
            lines += [f"| {spoken(c.keys)}{'*' if c.is_fixed else ''} | {_cell(c.help)} | `{c.id}` |" for c in rows]
    lines += ["", "## Commands typed after `:`", "", "| command | what it does |", "|---|---|"]
    lines += [f"| `:{c.verb}{' ' + c.usage if c.usage else ''}` | {_cell(c.help)} |" for c in verbs().values()]
    lines += ["", "Short forms: " + ", ".join(f"`:{s}` is `:{v}`" for s, v in SHORT_VERBS.items()) + ".", ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_SPOKEN: Final = {"question_mark": "?", "colon": ":", "slash": "/", "space": "Space", "enter": "Enter", "escape": "Esc",
                  "pagedown": "PgDn", "pageup": "PgUp", "tab": "Tab", "shift+tab": "Shift+Tab", "left": "←",
                  "right": "→", "up": "↑", "down": "↓", "home": "Home", "end": "End", "plus": "+",
                  "minus": "-", "at": "@", "comma": ",", "full_stop": ".", "left_square_bracket": "[",
                  "right_square_bracket": "]"}  # fmt: skip


def spoken(keys: str) -> str:
    """Return keys as people write them: "Enter", "Ctrl+P", "?"."""
    names = (key.strip() for key in keys.split(","))
    return " ".join(_SPOKEN.get(k, f"Ctrl+{k[5:].upper()}" if k.startswith("ctrl+") else k) for k in names if k)
