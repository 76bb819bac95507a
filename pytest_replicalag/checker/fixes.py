"""What would have made a stale read fresh.

MongoDB manual, Causal Consistency and Read and Write Concerns; Read Concern "snapshot".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pytest_replicalag.records import READ_YOUR_WRITES, Commit, Fix, Observation

__all__ = ["fixes"]

_OF_A_MAJORITY: Final = ("majority", "snapshot")
"""Read concerns that show what a majority has."""

_NO_SESSION: Final = ("estimated_document_count",)
"""Methods that take no session."""

_ROLLED_BACK: Final = "what read concern local returns may be rolled back by an election"
_READ_MAJORITY = Fix(
    text="read it with read concern local, or write with w: majority and let it be acknowledged",
    change="read and write",
    cost=_ROLLED_BACK,
)
_SNAPSHOT_MAJORITY = Fix(
    text="write with w: majority, and begin the snapshot when it is acknowledged",
    change="write",
)
_READ_PRIMARY = Fix(
    text="read it from the primary (read preference primary)",
    change="read",
    cost="it adds to the load of the primary, and fails while there is none, in an election",
)
_READ_PRIMARY_LOCAL = Fix(
    text="read it from the primary with read concern local", change="read", cost=_ROLLED_BACK
)
_SNAPSHOT_PRIMARY = Fix(
    text="write with w: majority, and take the snapshot from the primary when it is acknowledged",
    change="read and write",
    cost=_READ_PRIMARY.cost,
)
_WAITS = (
    "the read waits until its member has what the session knows; to hold through elections, both "
    "need read and write concern majority"
)
_ONE_SESSION = Fix(
    text="use one causally consistent session for both", change="read and write", cost=_WAITS
)
_CAUSAL_SESSION = Fix(
    text="let this read's session be causally consistent (start_session(causal_consistency=True))",
    change="session",
    cost=_WAITS,
)
_WRITES_TOO = Fix(
    text="make the writes in this read's session too, and let it be causally consistent",
    change="write",
    cost=_WAITS,
)

_RETURNING: Final = {
    "insert_one": "use the document that was inserted",
    **dict.fromkeys(
        ("update_one", "find_one_and_update"),
        "use find_one_and_update(return_document=AFTER) and the document it returns",
    ),
    **dict.fromkeys(
        ("replace_one", "find_one_and_replace"),
        "use find_one_and_replace(return_document=AFTER) and the document it returns",
    ),
}


def fixes(observation: Observation, guarantees: tuple[str, ...]) -> tuple[Fix, ...]:
    """What would have made a read fresh, the simplest first.

    Args:
        observation: The read, its result and the writes it missed.
        guarantees: The session guarantees that broke for its client.
    """
    level = observation.read.read_concern
    if observation.is_primary:
        return (_SNAPSHOT_MAJORITY if level == "snapshot" else _READ_MAJORITY,)
    return tuple(_of_a_secondary(observation, guarantees))


def _of_a_secondary(observation: Observation, guarantees: tuple[str, ...]) -> Iterator[Fix]:
    read = observation.read
    yield _from_the_primary(observation)
    if read.operation not in _NO_SESSION and read.read_concern != "snapshot":
        yield _by_a_session(observation, guarantees)
    if read.read_concern not in _OF_A_MAJORITY and not observation.is_paused:
        yield _write_to_all(observation)
    is_own = READ_YOUR_WRITES in guarantees  # else it is not the reader who has the document
    if is_own and (text := _return_the_document(observation)) is not None:
        yield Fix(text=text, change="read")


def _from_the_primary(observation: Observation) -> Fix:
    """The primary has it all, and shows it to a reader of a majority's data once one has it."""
    level = observation.read.read_concern
    if level not in _OF_A_MAJORITY or observation.is_committed:
        return _READ_PRIMARY
    return _READ_PRIMARY_LOCAL if level == "majority" else _SNAPSHOT_PRIMARY


def _by_a_session(observation: Observation, guarantees: tuple[str, ...]) -> Fix:
    if observation.read.session == 0:
        return _ONE_SESSION
    if any(name != READ_YOUR_WRITES for name in guarantees):
        # It would have had what it has read before, and what that was written after.
        return _CAUSAL_SESSION
    return _WRITES_TOO


def _write_to_all(observation: Observation) -> Fix:
    # In a transaction, it is the commit that waits for a write concern.
    are_commits = all(isinstance(unseen.write, Commit) for unseen in observation.missed)
    write = "commit the transaction" if are_commits else "write"
    return Fix(
        text=f"{write} with w: {observation.members}, so that every member has it",
        change="write",
        cost="each such write waits for the slowest member, and for ever if one is down",
    )


def _return_the_document(observation: Observation) -> str | None:
    """Advice not to read at all, where the read only fetches what one write made."""
    read = observation.read
    if read.operation != "find_one" or observation.missed_count != 1:
        return None
    if not _is_of_the_written(read.arguments, observation.result, observation.fresh_result):
        return None
    [unseen] = observation.missed
    if unseen.write is None:
        return None
    return _RETURNING.get(unseen.write.about(read.namespace).operation)


def _is_of_the_written(arguments: tuple[Any, ...], result: Any, fresh: Any) -> bool:
    """Whether what would have been found is the one document that has changed.

    A change may also let another document come first.
    """
    if not isinstance(fresh, Mapping):
        return False
    if result is None or not arguments or not isinstance(arguments[0], Mapping):
        return True
    if "_id" in arguments[0]:
        return True
    missing = object()
    return bool(fresh.get("_id", missing) == result.get("_id"))
