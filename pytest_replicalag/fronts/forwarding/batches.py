"""All that a cursor of the node yields, for the plugin's own use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import Int64

from pytest_replicalag.fronts.forwarding.members_data import Asked

__all__ = ["all_documents"]


def all_documents(asked: Asked, reply: Mapping[str, Any], command: Mapping[str, Any]) -> list[Any]:
    """The documents of a cursor, the first batch and those after it.

    Args:
        asked: What has opened it.
        reply: The reply that has opened it.
        command: What it was opened for: its database and its session.

    Raises:
        OperationFailure: The node refuses to go on.
        NodeError: The node has gone.
    """
    cursor = reply["cursor"]
    documents = list(cursor["firstBatch"])
    lsid = {"lsid": command["lsid"]} if "lsid" in command else {}
    while cursor["id"]:
        more = {
            "getMore": Int64(cursor["id"]),
            "collection": cursor["ns"].partition(".")[2],
            **lsid,
            "$db": command["$db"],
        }
        cursor = asked.command(more)["cursor"]
        documents += cursor["nextBatch"]
    return documents
