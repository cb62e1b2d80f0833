"""What a provider can answer, told apart by what can be done about it. No message ever holds a header or a key."""

from __future__ import annotations

from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.quota import Quota


class ProviderError(ConsoleError):
    """A failed request. ``is_transient``: the same request may succeed later; ``quota`` is what the answer said."""

    def __init__(self, message: str, *, hint: str = "", status: int | None = None, quota: Quota | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.quota = quota or Quota()
        self.after_s = self.quota.retry_after_s


class ProviderUnauthorized(ProviderError):
    """The key is wrong, missing or not allowed to see this."""


class ProviderRefused(ProviderError):
    """The request itself is wrong (400, 404, 422, a redirect)."""


class InvalidSymbol(ProviderRefused):
    """The provider refuses the whole request because of one symbol."""

    def __init__(self, symbol: str, *, status: int | None = None, quota: Quota | None = None) -> None:
        super().__init__(f"the provider refuses the symbol {symbol}", status=status, quota=quota)
        self.symbol = symbol


class ProviderThrottled(ProviderError):
    """429: wait until the quota is reset."""

    is_transient = True


class ProviderUnavailable(ProviderError):
    """5xx, no connection, no answer in time, or an answer that broke off."""

    is_transient = True


class NotSent(ProviderUnavailable):
    """No connection came about: the request was not sent, so it may be sent again whatever it asks for."""


class FileProblem(ProviderError):
    """A local file can't be read, or is not what its name says."""
