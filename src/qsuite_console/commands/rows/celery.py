"""Keys of the Celery screen and its panes: a pane with keys of its own has a scope here, named like its SCOPE."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command
from qsuite_console.commands.rows import panes

SCOPES: Final = {
    "celery": "Celery",
    "celery-queues": "Queues of Celery",
    "celery-workers": "Workers of Celery",
    "celery-tasks": "Tasks of Celery",
    "celery-kinds": "Kinds of tasks",
    "celery-history": "Tasks that ended",
}

ROWS: Final[tuple[Command, ...]] = (
    *panes.keys("celery"),
    Command(id="celery-queues.sort", keys="s", title="Sort", scope="celery-queues", action="sort", is_shown=True,
            help="Order queues by messages, growth, time to empty, name."),
    Command(id="celery-queues.empty", keys="X", title="Empty", scope="celery-queues", action="empty", is_shown=True,
            when="waiting", help="Throw away every message that waits in the queue; asks for its name first."),
    Command(id="celery-queues.switch", keys="T", title="Take", scope="celery-queues", action="switch", is_shown=True,
            when="asked", help="Let all workers take tasks from the queue, or stop that; asks first."),
    Command(id="celery-queues.copy", keys="y", title="Copy", scope="celery-queues", action="copy", when="row",
            help="Copy the queue's name."),
    Command(id="celery-workers.sort", keys="s", title="Sort", scope="celery-workers", action="sort", is_shown=True,
            help="Order workers by trouble, what they run, their pace, name."),
    Command(id="celery-workers.stop", keys="K", title="Stop", scope="celery-workers", action="stop", is_shown=True,
            when="there", help="Ask the worker to end once it has done what it does now; asks first."),
    Command(id="celery-workers.events", keys="E", title="Events", scope="celery-workers", action="events",
            is_shown=True, help="Let all workers tell of what becomes of each task, or stop that; asks first."),
    Command(id="celery-workers.tasks", keys="o", title="Its tasks", scope="celery-workers", action="tasks",
            when="row", help="Show the tasks that the worker has."),
    Command(id="celery-workers.copy", keys="y", title="Copy", scope="celery-workers", action="copy", when="row",
            help="Copy the worker's name."),
    Command(id="celery-tasks.revoke", keys="R", title="Revoke", scope="celery-tasks", action="revoke(False)",
            is_shown=True, when="row", help="Let workers skip the task; asks first."),
    Command(id="celery-tasks.terminate", keys="K", title="Terminate", scope="celery-tasks", action="revoke(True)",
            is_shown=True, when="active", help="End the process that runs the task; asks first."),
    Command(id="celery-tasks.copy", keys="y", title="Copy", scope="celery-tasks", action="copy", when="row",
            help="Copy the task's id."),
    Command(id="celery-kinds.sort", keys="s", title="Sort", scope="celery-kinds", action="sort", is_shown=True,
            help="Order kinds of tasks by how many ended, failures, 95th percentile, pace, name."),
    Command(id="celery-kinds.limit", keys="L", title="Limit", scope="celery-kinds", action="limit", is_shown=True,
            when="row", help="Limit how often each worker begins such a task; asks how often."),
    Command(id="celery-kinds.ends", keys="o", title="Ends", scope="celery-kinds", action="ends", is_shown=True,
            when="row", help="Show the tasks of this kind that ended last."),
    Command(id="celery-kinds.copy", keys="y", title="Copy", scope="celery-kinds", action="copy", when="row",
            help="Copy the name."),
    Command(id="celery-history.copy", keys="y", title="Copy", scope="celery-history", action="copy", is_shown=True,
            when="row", help="Copy the task's id."),
)  # fmt: skip
