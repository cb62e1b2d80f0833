"""The root of every error a person may see: one line of what is wrong, one hint of what to do."""

from __future__ import annotations


class ConsoleError(Exception):
    """An expected failure. ``hint`` says what to do about it; ``exit_code`` is what the command line ends with.

    ``is_transient``: the same may succeed later, so a job that fails with it is tried again, after ``after_s`` seconds
    at the earliest where the error knows.
    """

    exit_code = 1
    is_transient = False
    after_s: float | None = None

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageProblem(ConsoleError):
    """The request itself is wrong: an unknown kind, a bad parameter, an unknown job."""

    exit_code = 2


class InvalidParameters(UsageProblem):
    """Parameters were refused; ``problems`` maps each parameter's name ("" for the whole) to the reason."""

    def __init__(self, problems: dict[str, str], *, hint: str = "") -> None:
        super().__init__("; ".join(f"{name}: {why}" if name else why for name, why in problems.items()), hint=hint)
        self.problems = problems


class NotFound(UsageProblem):
    """No such job, kind, queue or probe."""


class ReadOnly(ConsoleError):
    """The change was refused: this console only looks."""


class NotAuthenticated(ConsoleError):
    """Nobody knows who asks: the request carries no token, or one that is not valid."""


class TooManyRequests(ConsoleError):
    """Who asks does it more often than agreed; the same succeeds ``after_s`` seconds later."""

    is_transient = True

    def __init__(self, message: str, *, hint: str = "", after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.after_s = after_s


class NotAllowed(ConsoleError):
    """Who asks may not do this: the token's scope does not cover it, or it is somebody else's."""


class Unconfirmed(ConsoleError):
    """The change needs a confirmation that did not come with it: on production the target's name, typed."""


class TimedOut(ConsoleError):
    """A change or question did not end within its limit; of a change nobody knows whether it took effect."""

    is_transient = True


class Conflict(ConsoleError):
    """The thing is not in a state that allows this: cancelling a finished job, a duplicate submission."""


class HistoryUnavailable(ConsoleError):
    """The history can't take a write: disk full, read-only, damaged."""

    is_transient = True


class HistoryMissing(HistoryUnavailable):
    """There is no history yet: no engine has ever started here, or the first one is starting just now."""


class HistoryOwned(ConsoleError):
    """Another process owns the history; ``owner`` describes it ("pid 4711 on db-1, since 09:12")."""

    def __init__(self, message: str, *, owner: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.owner = owner


class EngineGone(ConsoleError):
    """The engine of another process does not answer: it has ended, hangs or was never there."""

    is_transient = True
