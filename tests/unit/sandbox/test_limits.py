"""The rate limit's two readings and what its headers promise."""

from __future__ import annotations

from qsuite_console.sandbox.exchange.limits import RateLimit


class _Time:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


def test_a_window_refills_at_its_end_and_not_before():
    clock = _Time(1000.0)
    limit = RateLimit(3, 60.0, is_bucket=False, now=clock)
    assert [limit.take() for _ in range(4)] == [True, True, True, False]
    assert limit.headers() == {
        "X-RateLimit-Limit": "3",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1020",
    }
    clock.now = 1019.9
    assert not limit.take()
    clock.now = 1020.0
    assert limit.take()
    assert limit.headers()["X-RateLimit-Remaining"] == "2"
    assert limit.headers()["X-RateLimit-Reset"] == "1080"


def test_a_bucket_refills_steadily_up_to_its_size():
    clock = _Time(1000.0)
    limit = RateLimit(60, 60.0, is_bucket=True, now=clock)
    assert all(limit.take() for _ in range(60))
    assert not limit.take()
    assert limit.headers()["X-RateLimit-Reset"] == "1001"
    clock.now = 1001.0
    assert limit.take()
    assert not limit.take()
    clock.now = 5000.0
    assert sum(limit.take() for _ in range(100)) == 60
