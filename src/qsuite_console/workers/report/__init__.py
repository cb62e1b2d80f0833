"""The job kind ``report``: asks what screens ask, makes a document of it, has it rendered and keeps the file."""

from qsuite_console.workers.report.worker import ReportWorker as ReportWorker
