"""Time, members and sessions, and what always holds."""

from __future__ import annotations

import hypothesis.strategies as st
from comparing import COUNTS, to_dict
from drawn import LAGS
from hypothesis.stateful import invariant, precondition, rule
from lagging_set import Machine


class Controlling(Machine):
    """Moves the clock and the members."""

    @rule(milliseconds=st.sampled_from([1, 2, 7, 30, 100]))
    def advance(self, milliseconds: int) -> None:
        self.control.advance(f"{milliseconds}ms")
        self.naive.now_us += milliseconds * 1_000

    @rule(number=st.integers(0, 4), word=st.sampled_from(["pause", "resume", "catch_up"]))
    def control_replication(self, number: int, word: str) -> None:
        members = self.naive.members
        name = members[number].name if number < len(members) else None
        self.observe()
        getattr(self.control, word)(name)
        for member in members:
            if name in (None, member.name):
                if word == "catch_up":
                    member.applied = self.naive.newest
                else:
                    member.paused = word == "pause"

    @rule(number=st.integers(0, 4), lag=st.sampled_from(sorted(LAGS)))
    def set_lag(self, number: int, lag: str) -> None:
        members = self.naive.members
        name = members[number].name if number < len(members) else None
        self.observe()
        self.control.set_lag(lag, name)
        for member in members:
            if name in (None, member.name):
                member.low_us, member.high_us = LAGS[lag]

    @rule()
    def hand_a_time_to_another_session(self) -> None:
        if self.sessions[0].operation_time is not None:
            self.sessions[1].advance_operation_time(self.sessions[0].operation_time)
            self.times[1] = max(self.times[0], self.times[1])

    @precondition(lambda self: self.snapshot_at is not None)
    @rule()
    def take_a_new_snapshot(self) -> None:
        self.sessions[3].end_session()
        self.sessions[3] = self.client.start_session(snapshot=True)
        self.snapshot_at = None
        self.times[3] = 0

    # -- what always holds ---------------------------------------------------------------------

    @invariant()
    def clock_and_members_are_as_expected(self) -> None:
        if self.governing is None:
            return
        COUNTS[f"{self.deployment.name}: steps"] += 1
        assert self.control.now().us == self.naive.now_us
        self.observe()
        assert self.control.primary.optime.ts.inc == self.naive.newest
        for session, position in zip(self.sessions, self.times, strict=True):
            if position:
                assert self.deployment.is_time_of(session.operation_time, position)

    @invariant()
    def every_readable_optime_is_as_it_was(self) -> None:
        if self.governing is None or self.expired() or self.deployment.is_real:
            return
        engine = self.deployment.engine
        oldest = self.simulation.replica_set.oplog.oldest_readable
        positions = {member.applied for member in self.naive.members}
        positions |= {oldest, self.naive.newest, (oldest + self.naive.newest) // 2}
        for position in sorted(positions):
            assert position >= oldest, "an optime that a member shows has been forgotten"
            state = self.naive.states[position]
            if state is None:
                continue
            past = engine.past(position)._server
            for (database, name), held in state.items():
                collection = past[database][name]
                shown = [repr(to_dict(document)) for document in collection.documents]
                expected = [repr(document) for document in held.documents]
                assert shown == expected, (position, database, name)
                assert bool(collection.is_created) == bool(held.exists or held.documents), (
                    position,
                    database,
                    name,
                )
