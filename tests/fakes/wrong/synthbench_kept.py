"""A library that keeps threads in the process that uses it."""

from __future__ import annotations

import threading

KEPT: list[threading.Thread] = []


def keep(*, again: bool) -> None:
    if again or not KEPT:
        KEPT.append(threading.Thread(target=wait, daemon=True))
        KEPT[-1].start()


def wait() -> None:
    threading.Event().wait()
