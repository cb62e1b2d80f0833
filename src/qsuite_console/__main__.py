"""The entry point. ``--version`` is answered before anything heavy is imported; all else belongs to ``cli``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process and exit with its code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from qsuite_console import __version__
        from qsuite_console.cli import output

        output.line(f"qsuite-console {__version__}")
        sys.exit(0)
    from qsuite_console.cli.main import run

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
