"""Change events as a server shows them, made from the changes of the log.

The fields and their order were recorded from MongoDB 6.0.5.
MongoDB manual, Change Events.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from bson import Timestamp

from pytest_replicalag.engines.memory.change_log import Change
from pytest_replicalag.engines.memory.change_stream_options import ChangeStreamOptions
from pytest_replicalag.engines.memory.documents import copy_document
from pytest_replicalag.engines.memory.resume_tokens import token_text
from pytest_replicalag.engines.memory.update_description import describe_update, is_replacement
from pytest_replicalag.engines.memory.versions import ABSENT
from pytest_replicalag.replicaset import server_errors

__all__ = ["event_of", "invalidate_of", "token_text_of"]

_EPOCH: Final = datetime(1970, 1, 1)

_NOBODY: Final = sha256(b"").digest()
"""The `uid` of a session where nobody has logged in."""

_MILLISECOND_US: Final = 1_000

Lookup = Callable[[Change], Any]


def token_text_of(change: Change, *, is_invalidate: bool = False) -> str:
    """The resume token of a change's event, or of the invalidation that follows it."""
    place = change.place._replace(is_invalidate=is_invalidate)
    return token_text(place, change.timestamp, bytes(change.uuid or b""))


def invalidate_of(change: Change) -> dict[str, Any]:
    """The event that ends a stream, for a change that makes its namespace go."""
    return {
        "_id": {"_data": token_text_of(change, is_invalidate=True)},
        "operationType": "invalidate",
        "clusterTime": change.timestamp,
        "wallTime": _wall_time(change),
    }


def event_of(change: Change, options: ChangeStreamOptions, look_up: Lookup) -> dict[str, Any]:
    """The event of a change.

    Args:
        change: The change.
        options: Of the stream.
        look_up: Gives a copy of the document as it is now, or None.

    Raises:
        OperationFailure: An image is required that the server has not kept.
    """
    event: dict[str, Any] = {}
    if change.transaction is not None:
        event["txnNumber"] = change.transaction.number
        event["lsid"] = {**change.transaction.session_id, "uid": _NOBODY}
    if change.renamed_to is not None:
        event["to"] = {"db": change.database, "coll": change.renamed_to}
    kind, description = change.kind, None
    if kind == "write":
        kind, description = _kind(change)
    event["_id"] = {"_data": token_text_of(change)}
    event["operationType"] = kind
    event["clusterTime"] = change.timestamp
    if options.shows_expanded and change.uuid is not None:
        event["collectionUUID"] = change.uuid
    event["wallTime"] = _wall_time(change)
    if change.kind == "write":
        _tell_write(event, change, kind, description, options, look_up)
        return event
    event["ns"] = {"db": change.database}
    if change.collection:
        event["ns"]["coll"] = change.collection
    if options.shows_expanded and change.description is not None:
        event["operationDescription"] = copy_document(change.description)
    if change.state_before is not None:
        event["stateBeforeChange"] = copy_document(change.state_before)
    return event


def _kind(change: Change) -> tuple[str, dict[str, Any] | None]:
    """The `operationType` of a write, and what an update changed."""
    if change.before is ABSENT:
        return "insert", None
    if change.after is ABSENT:
        return "delete", None
    if is_replacement(change.update):
        return "replace", None
    description = describe_update(change.before, change.after, change.update)
    return ("replace", None) if description is None else ("update", description)


def _tell_write(
    event: dict[str, Any],
    change: Change,
    kind: str,
    description: dict[str, Any] | None,
    options: ChangeStreamOptions,
    look_up: Lookup,
) -> None:
    if kind in ("insert", "replace"):
        event["fullDocument"] = copy_document(change.after)
    elif kind == "update" and options.full_document == "updateLookup":
        event["fullDocument"] = look_up(change)
    elif kind == "update" and options.full_document != "default":
        is_required = options.full_document == "required"
        event["fullDocument"] = _image(change, change.after, kind, "post", required=is_required)
    event["ns"] = {"db": change.database, "coll": change.collection}
    document = change.before if change.after is ABSENT else change.after
    event["documentKey"] = {"_id": copy_document(document["_id"])}
    if description is not None:
        event["updateDescription"] = description
    if kind != "insert" and options.before_change != "off":
        is_required = options.before_change == "required"
        event["fullDocumentBeforeChange"] = _image(
            change, change.before, kind, "pre", required=is_required
        )


def _image(change: Change, document: Any, kind: str, image: str, *, required: bool) -> Any:
    """A copy of the document before or after, if a server would have kept it."""
    if change.has_images:
        return copy_document(document)
    if required:
        time: Timestamp = change.timestamp
        events = "all update" if image == "post" else "all update, delete and replace"
        raise server_errors.operation_failure(
            47,
            "NoMatchingDocument",
            "Executor error during getMore :: caused by :: Change stream was configured to "
            f"require a {image}-image for {events} events, but the {image}-image was not found "
            f'for event: {{operationType: "{kind}", ns: {{db: "{change.database}", coll: '
            f'"{change.collection}"}}, clusterTime: Timestamp({time.time}, {time.inc})}}',
        )
    return None


def _wall_time(change: Change) -> datetime:
    """When it was made; simulated time, for the same test is to show the same."""
    milliseconds = change.time_us // _MILLISECOND_US
    return _EPOCH + timedelta(seconds=change.epoch_seconds, milliseconds=milliseconds)
