"""The database screen, a module for each of its panes."""
