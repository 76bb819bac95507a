"""The rules by which one of the eligible members is chosen to serve a read."""

from __future__ import annotations

from enum import Enum

__all__ = ["Choose"]


class Choose(Enum):
    """How one of the eligible members is chosen."""

    STALEST = "stalest"
    ALTERNATE = "alternate"
    RANDOM = "random"
