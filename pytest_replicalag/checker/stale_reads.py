"""From an observation to a finding: which guarantee broke, and what would mend it.

Terry et al., Session Guarantees for Weakly Consistent Replicated Data (1994); MongoDB manual,
Causal Consistency and Read and Write Concerns.
"""

from __future__ import annotations

from pytest_replicalag.checker.call_sites import call_site
from pytest_replicalag.checker.shorten import Shortener
from pytest_replicalag.durations import Duration
from pytest_replicalag.records import (
    Commit,
    MissedWrite,
    Observation,
    Read,
    StaleRead,
    Write,
)

__all__ = [
    "MONOTONIC_READS",
    "MONOTONIC_WRITES",
    "READ_YOUR_WRITES",
    "WRITES_FOLLOW_READS",
    "judge",
]

READ_YOUR_WRITES = "read your writes"
MONOTONIC_READS = "monotonic reads"
MONOTONIC_WRITES = "monotonic writes"
WRITES_FOLLOW_READS = "writes follow reads"

_RETURNING = {
    "insert_one": "use the document that was inserted",
    "update_one": "use find_one_and_update(return_document=AFTER) and the document it returns",
    "replace_one": "use find_one_and_replace(return_document=AFTER) and the document it returns",
    "find_one_and_update": "use the document that find_one_and_update returns",
    "find_one_and_replace": "use the document that find_one_and_replace returns",
    "find_one_and_delete": "use the document that find_one_and_delete returns",
}


def judge(test: str, observation: Observation, shorten: Shortener) -> StaleRead:
    """What a stale read means.

    Args:
        test: The test's node id.
        observation: The read, its result and the writes it missed.
        shorten: Shortens the test's values.
    """
    read = observation.read
    guarantees = _guarantees(observation)
    result, fresh_result = shorten.results(observation.result, observation.fresh_result)
    return StaleRead(
        test=test,
        operation=read.operation,
        namespace=read.namespace,
        text=f"{read.namespace}.{read.operation}({shorten.arguments(read.arguments)})",
        call_site=call_site(read.caller),
        read_preference=read.read_preference,
        read_concern=read.read_concern,
        member=observation.member,
        behind=observation.behind,
        is_paused=observation.is_paused,
        result=result,
        fresh_result=fresh_result,
        missed=tuple(
            _missed(write, Duration.of_us(age_us), read, shorten)
            for _, age_us, write in observation.missed
        ),
        missed_count=observation.missed_count,
        guarantees=guarantees,
        fixes=_fixes(observation, guarantees),
        number=observation.number,
        is_primary=observation.is_primary,
        timeline=observation.timeline,
    )


def _missed(write: Write | None, age: Duration, read: Read, shorten: Shortener) -> MissedWrite:
    if write is None:
        return MissedWrite(
            operation="expire",
            namespace=read.namespace,
            text="the TTL monitor's delete of an expired document",
            call_site=None,
            age=age,
        )
    write = write.about(read.namespace)
    where = "" if write.namespace == read.namespace else f"{write.namespace}."
    return MissedWrite(
        operation=write.operation,
        namespace=write.namespace,
        text=f"{where}{write.operation}({shorten.arguments(write.arguments)})",
        call_site=None if write.caller is None else call_site(write.caller),
        age=age,
    )


def _guarantees(observation: Observation) -> tuple[str, ...]:
    """The guarantees that broke for the read's client.

    The client is the read's explicit session; without one it is the test, which made all writes.
    The guarantees about writes hold for whoever reads: who has seen a later write of a session must
    not miss an earlier one of it, nor what that session had read before.
    """
    guarantees = []
    session = observation.read.session
    own = (
        write is not None and session in (0, write.session) for _, _, write in observation.missed
    )
    if any(own):
        guarantees.append(READ_YOUR_WRITES)
    if observation.seen >= observation.missed_from:
        guarantees.append(MONOTONIC_READS)
    pairs = [
        (position, missed, later)
        for position, _, missed in observation.missed
        for later_position, later in observation.known
        if missed is not None and later_position > position
    ]
    if any(missed.session == later.session for _, missed, later in pairs):
        guarantees.append(MONOTONIC_WRITES)
    if any(_follows(later, missed, position) for position, missed, later in pairs):
        guarantees.append(WRITES_FOLLOW_READS)
    return tuple(guarantees)


def _follows(later: Write, missed: Write, position: int) -> bool:
    """Whether the session of a write had read another one before it made its own."""
    parts = missed.writes if isinstance(missed, Commit) else (missed,)
    return any(later.follows.get(part.namespace, 0) >= position for part in parts)


def _fixes(observation: Observation, guarantees: tuple[str, ...]) -> tuple[str, ...]:
    """What would have made this read fresh, the simplest first."""
    read = observation.read
    if observation.is_primary:
        return (
            "read it with read concern local, or write with w: majority and let it be acknowledged",
        )
    fixes = ["read it from the primary (read preference primary)"]
    if read.session == 0:
        fixes.append("use one causally consistent session for both")
    elif any(name != READ_YOUR_WRITES for name in guarantees):
        # It would have had what it has read before, and what that was written after.
        fixes.append("let this session be causally consistent")
    else:
        fixes.append("make the writes in this session too, causally consistent")
    if read.read_concern != "majority" and not observation.is_paused:
        fixes.append(f"write with w: {observation.members}, so that every member has it")
    is_own = READ_YOUR_WRITES in guarantees  # else it is not the reader who has the document
    if is_own and (advice := _return_the_document(observation)) is not None:
        fixes.append(advice)
    return tuple(fixes)


def _return_the_document(observation: Observation) -> str | None:
    """Advice not to read at all, where the read only fetches what one write made."""
    if observation.read.operation != "find_one" or observation.missed_count != 1:
        return None
    [(_, _, write)] = observation.missed
    if write is None:
        return None
    return _RETURNING.get(write.about(observation.read.namespace).operation)
