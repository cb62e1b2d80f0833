"""Backfill: plan the gaps, fetch them at the provider's limit, store each page with its ledger, verify.

Everything a run learns is committed with the rows it belongs to, so that killing it at any moment costs at most the
pages in memory, and running it again fetches only what is missing.
"""

from qsuite_console.workers.backfill.parameters import BackfillParameters
from qsuite_console.workers.backfill.worker import BackfillWorker

__all__ = ["BackfillParameters", "BackfillWorker"]
