"""Somebody else's Celery application, which knows nothing of the console: ``celery -A shop worker``."""

from __future__ import annotations

import os
import time

from celery import Celery

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
app.conf.update(
    task_ignore_result=True,
    task_default_queue="shop",
    broker_transport_options={
        "priority_steps": [0, 3, 6, 9],
        "visibility_timeout": 1234,
        "global_keyprefix": os.environ.get("SHOP_PREFIX", ""),
    },
)


@app.task(name="shop.add")
def add(first: int, second: int) -> int:
    return first + second


@app.task(name="shop.nap")
def nap(seconds: float, mark: str = "") -> None:
    time.sleep(seconds)


@app.task(name="shop.fail")
def fail() -> None:
    raise ValueError("no such \x1b[31morder")


@app.task(name="shop.retry", bind=True, max_retries=1)
def again(self) -> None:  # type: ignore[no-untyped-def]
    raise self.retry(countdown=0.05)
