"""``qsuite-console ARGUMENTS…`` that knows the kinds of jobs of these tests."""

from __future__ import annotations

import sys

from fakes.celery_jobs import install
from qsuite_console.cli.main import run

if __name__ == "__main__":
    install()
    sys.exit(run(sys.argv[1:]))
