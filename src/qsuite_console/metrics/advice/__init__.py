"""What to change and why: formulas and rules as pure functions over what was read; nothing here asks a server."""
