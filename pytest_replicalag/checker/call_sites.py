"""Places in the running code, as reports name them."""

from __future__ import annotations

from types import CodeType

from pytest_replicalag.call_sites import Caller, Client, place_of
from pytest_replicalag.records import CallSite

__all__ = ["call_site"]


def call_site(caller: Caller | Client) -> CallSite:
    """A line of the user's code, or what is known of a client in another process."""
    if isinstance(caller, Client):
        return CallSite(path="", line=0, function="", client=str(caller))
    path, line = place_of(caller)
    return CallSite(path=path, line=line, function=_function(caller[0]))


def _function(code: CodeType) -> str:
    """The named function around a piece of code, or `<module>`.

    A comprehension is a function `<listcomp>` to Python 3.11 and a part of its function to later
    ones; to their readers it always was. Python 3.10 does not tell what is around it.
    """
    names = getattr(code, "co_qualname", code.co_name).split(".")
    named = [name for name in names if not name.startswith("<")]
    return named[-1] if named else code.co_name
