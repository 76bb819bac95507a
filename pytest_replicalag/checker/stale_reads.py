"""From an observation to a finding: which guarantee broke, and what shows it.

Terry et al., Session Guarantees for Weakly Consistent Replicated Data (1994).
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_replicalag.checker.call_sites import call_site
from pytest_replicalag.checker.fixes import fixes
from pytest_replicalag.checker.shorten import Shortener
from pytest_replicalag.durations import Duration
from pytest_replicalag.records import (
    MONOTONIC_READS,
    MONOTONIC_WRITES,
    READ_YOUR_WRITES,
    WRITES_FOLLOW_READS,
    Commit,
    MissedWrite,
    Observation,
    Read,
    StaleRead,
    UnseenWrite,
    Witness,
    Write,
)

__all__ = ["judge"]


def judge(test: str, observation: Observation, shorten: Shortener) -> StaleRead:
    """What a stale read means.

    Args:
        test: The test's node id.
        observation: The read, its result and the writes it missed.
        shorten: Shortens the test's values.
    """
    read = observation.read
    witnesses = tuple(_witnesses(observation, shorten))
    guarantees = _guarantees(observation, witnesses)
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
        missed=tuple(_missed(unseen, read, shorten) for unseen in observation.missed),
        missed_count=observation.missed_count,
        guarantees=guarantees,
        witnesses=witnesses,
        advice=fixes(observation, guarantees),
        number=observation.number,
        is_primary=observation.is_primary,
        timeline=observation.timeline,
    )


def _missed(unseen: UnseenWrite, read: Read, shorten: Shortener) -> MissedWrite:
    age = Duration.of_us(unseen.age_us)
    if unseen.write is None:
        return MissedWrite(
            operation="expire",
            namespace=read.namespace,
            text="the TTL monitor's delete of an expired document",
            call_site=None,
            age=age,
        )
    write = unseen.write.about(read.namespace)
    where = "" if write.namespace == read.namespace else f"{write.namespace}."
    return MissedWrite(
        operation=write.operation,
        namespace=write.namespace,
        text=f"{where}{write.operation}({shorten.arguments(write.arguments)})",
        call_site=None if write.caller is None else call_site(write.caller),
        age=age,
        missing_part=unseen.missing_part,
    )


def _guarantees(observation: Observation, witnesses: tuple[Witness, ...]) -> tuple[str, ...]:
    """The guarantees that broke for the read's client.

    The client is the read's explicit session; without one it is the test, which made all writes.
    """
    session = observation.read.session
    writes = (unseen.write for unseen in observation.missed)
    own = (write is not None and session in (0, write.session) for write in writes)
    shown = [witness.guarantee for witness in witnesses]
    return (READ_YOUR_WRITES, *shown) if any(own) else tuple(shown)


def _witnesses(observation: Observation, shorten: Shortener) -> Iterator[Witness]:
    """What shows that the read's client knew of what it misses, one for each guarantee.

    The guarantees about writes hold for whoever reads: who has seen a later write of a session must
    not miss an earlier one of it, nor what that session had read before.
    """
    seen = observation.seen
    if seen is not None and seen.position >= observation.missed_from:
        yield Witness(
            guarantee=MONOTONIC_READS,
            text=f"{seen.namespace}.{seen.operation}({shorten.arguments(seen.arguments)})",
            call_site=call_site(seen.caller),
            at=Duration.of_us(seen.at_us),
            member=seen.member,
        )
    pairs = [
        (unseen.write, unseen.position, known)
        for unseen in observation.missed
        for known in observation.known
        if unseen.write is not None and known.position > unseen.position
    ]
    of_session = (known for missed, _, known in pairs if missed.session == known.write.session)
    following = (known for missed, at, known in pairs if _follows(known.write, missed, at))
    for guarantee, found in ((MONOTONIC_WRITES, of_session), (WRITES_FOLLOW_READS, following)):
        known = next(found, None)
        if known is not None:
            later = known.write
            yield Witness(
                guarantee=guarantee,
                text=f"{later.namespace}.{later.operation}({shorten.arguments(later.arguments)})",
                call_site=None if later.caller is None else call_site(later.caller),
                at=Duration.of_us(known.at_us),
            )


def _follows(later: Write, missed: Write, position: int) -> bool:
    """Whether the session of a write had read another one before it made its own."""
    parts = missed.writes if isinstance(missed, Commit) else (missed,)
    return any(later.follows.get(part.namespace, 0) >= position for part in parts)
