"""An engine in a process of its own: ``python program.py DIRECTORY GRACE_S`` runs until it is told to stop."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from contracts.engines import running_engine
from qsuite_console.config.settings import Settings
from qsuite_console.headless.service import serve
from qsuite_console.paths import Paths
from qsuite_console.runtime import Runtime


def main() -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    directory, grace_s = Path(sys.argv[1]), float(sys.argv[2])
    paths = Paths(directory, directory, directory, directory, directory)
    with running_engine(directory) as (engine, _):
        return serve(Runtime(engine.control, engine, Settings(), paths, "test", grace_s))


if __name__ == "__main__":
    sys.exit(main())
