"""Frozen values that cross boundaries. Nothing here does I/O; everything here survives JSON unchanged."""
