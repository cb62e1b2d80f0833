"""What a provider says about its rate limit in the headers of one answer."""

from __future__ import annotations

import msgspec


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """``remaining`` requests until ``reset_epoch`` (the provider's clock, seconds); None where it did not say."""

    limit: int | None = None  # requests a minute
    remaining: int | None = None
    reset_epoch: float | None = None
    reset_s: float | None = None  # the same instant as seconds from the answer, by the provider's own Date header
    retry_after_s: float | None = None
