"""The tests with a real PgBouncer run where its program is installed; the recorded answers are tested everywhere."""

from __future__ import annotations

from integration.pooler.bouncing import PROGRAM

collect_ignore = [] if PROGRAM else ["test_bouncer.py"]
