"""A console as the command line's tests have it."""

from __future__ import annotations

from integration.cli.conftest import console as console
from integration.cli.conftest import plugin_path as plugin_path
