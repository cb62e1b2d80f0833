"""qsuite-console: a keyboard-driven operations console for a trading-data platform."""

__version__ = "0.1.0"
