"""Real waits of the endpoints' threads."""

from __future__ import annotations

from threading import Event

__all__ = ["pause"]


def pause(seconds: float) -> None:
    """Wait really. Not `time.sleep`, which counts as the code under test sleeping."""
    Event().wait(seconds)
