"""The key a command has now: hints in texts and frames must not name a key that the operator has bound elsewhere."""

from __future__ import annotations

from textual.widget import Widget

from qsuite_console import commands


def key_of(node: Widget, command_id: str) -> str:
    """Return the key of a command as it is bound on the node's screen, as people write it."""
    for _, binding, _, _ in node.screen.active_bindings.values():
        if binding.id == command_id:
            return node.app.get_key_display(binding)
    return commands.spoken(commands.BY_ID[command_id].keys.split(",")[0])
