"""What the parts of the state machine share: the simulation, the reference and its log."""

from __future__ import annotations

import datetime
from typing import Any
from unittest import mock

import hypothesis.strategies as st
import pymongo
from comparing import attempt
from drawn import LAGS, START, documents, finished
from hypothesis.stateful import RuleBasedStateMachine, initialize
from naive import (
    NAMESPACES,
    NaiveMember,
    NaiveSet,
    contents,
    key_of,
    state_of,
    steps,
    wait,
)
from pymongo.errors import BulkWriteError

from pytest_replicalag.control import ReplicaLag
from pytest_replicalag.engines.memory import journal
from pytest_replicalag.options import Given
from pytest_replicalag.settings import resolve
from pytest_replicalag.simulation import Simulation, governor


class Machine(RuleBasedStateMachine):
    """A client in a simulation, beside a bare client and copies of its data."""

    deployment: Any
    """Where the client comes from; see `deployments_under_test.py`."""

    def __init__(self) -> None:
        super().__init__()
        self.module = self.deployment.module
        self.utcnow = START
        self.patches = [
            mock.patch.object(self.module, "utcnow", self.now),
            # Prune often, so that short runs meet it.
            mock.patch.object(journal, "_PRUNE_FROM", 6),
        ]
        for patch in self.patches:
            patch.start()
        self.governing: Any = None

    def now(self) -> datetime.datetime:
        """What the library takes for the time when it looks for expired documents."""
        return self.utcnow

    def teardown(self) -> None:
        if self.governing is not None:
            self.governing.__exit__(None, None, None)
            self.deployment.close()
        for patch in self.patches:
            patch.stop()

    @initialize(
        lags=st.lists(st.sampled_from([*LAGS, "40ms", "40ms", "inf"]), min_size=1, max_size=4),
        choose=st.sampled_from(["stalest", "stalest", "alternate", "random"]),
        old=st.lists(documents(), max_size=4, unique_by=lambda d: repr(key_of(d))),
    )
    def start(self, lags: list[str], choose: str, old: list[Any]) -> None:
        given = {"lag": ",".join(lags), "secondaries": len(lags), "choose": choose}
        if len(lags) == 1:
            given["lag"] = f"{lags[0]},0"
            given["secondaries"] = 2
            lags = [lags[0], "0"]
        settings = resolve([{k: Given(source=k, value=v) for k, v in given.items()}])
        self.choose = choose
        self.bare = self.deployment.bare()
        for client in (self.bare, self.deployment.empty()):
            for document in finished(old, self.utcnow):
                if client.d1.a.find_one(document["_id"]) is None:  # 1, 1.0 and True are the same
                    client.d1.a.insert_one(document)
        if self.deployment.is_wire:
            self.create(set(NAMESPACES))
        self.simulation = Simulation(settings, "state machine")
        self.simulation.journal._prune_at = 6
        self.control = ReplicaLag(self.simulation, enabled=True)
        self.governing = governor.govern(self.simulation)
        self.governing.__enter__()
        self.client = self.deployment.open()
        members = [NaiveMember(f"secondary-{n}", *LAGS[lag]) for n, lag in enumerate(lags, 1)]
        self.naive = NaiveSet(members, [state_of(self.bare)])
        self.scratch: dict[int, Any] = {}
        self.sessions = [
            self.client.start_session(causal_consistency=True),
            self.client.start_session(causal_consistency=True),
            self.client.start_session(causal_consistency=False),
            self.client.start_session(snapshot=True),
        ]
        self.times = [0, 0, 0, 0]
        self.snapshot_at: int | None = None
        self.selected: list[tuple[str, dict[str, int]]] = []
        select = self.simulation._selector.select

        def spy(preference: Any, **options: Any) -> Any:
            member = select(preference, **options)
            replica_set = self.simulation.replica_set
            applied = {m.name: replica_set.applied(m) for m in replica_set.secondaries}
            self.selected.append((member.name, applied))
            return member

        self.simulation._selector.select = spy  # type: ignore[method-assign]

    def expired(self) -> dict[tuple[str, str], list[Any]]:
        """The documents that are due to be removed, by collection."""
        found = {}
        for database, name in () if self.deployment.is_real else NAMESPACES:
            state = self.naive.states[-1]
            assert state is not None
            for seconds in [10, 20]:
                if f"'expireAfterSeconds': {seconds}" not in state[database, name].indexes:
                    continue
                limit = self.utcnow - datetime.timedelta(seconds=seconds)
                due = [d for d in state[database, name].documents if d.get("d", limit) < limit]
                due += [d for d in state[database, name].documents if d.get("d") == limit]
                if due:
                    found[database, name] = due
        return found

    def expire(self) -> None:
        """The TTL monitor comes before each operation."""
        due = self.expired()
        if due:
            self.log(set(due))

    def create(self, touched: set[tuple[str, str]]) -> None:
        """Let collections that have come to be stay, as on a server, and not end with their data.

        To a library those are there that have documents, indexes, or were made by command.
        """
        for database, name in () if self.deployment.is_real else touched:
            if name in self.bare[database].list_collection_names():
                self.bare[database]._store[name].create()

    def log(
        self, touched: set[tuple[str, str]], *, apart: bool = True, until: int | None = None
    ) -> None:
        """Log what the bare client's data became, one change at a time.

        Args:
            touched: The collections that can have changed.
            apart: Whether changes are one document each.
            until: The position that has them; None for the newest one.
        """
        naive = self.naive
        before = naive.states[-1]
        assert before is not None
        if self.deployment.is_wire:
            self.create(touched)
        if not apart or self.deployment.is_real:
            found = {namespace: contents(self.bare, *namespace) for namespace in touched}
            after = {**before, **found}
            newest = self.simulation.replica_set.oplog.last
            position = newest if until is None else until
            if repr(after) != repr(before):
                assert position > naive.newest, "a change was not logged"
            while naive.newest < position - 1:
                naive.log(None)
            if naive.newest < position:
                naive.log(after)
            return
        for namespace in sorted(touched):
            after = contents(self.bare, *namespace)
            state = naive.states[-1]
            assert state is not None
            changes = steps(before[namespace].documents, after.documents)
            if self.deployment.is_wire and after.exists and not before[namespace].exists:
                state = {**state, namespace: after._replace(documents=[])}
                naive.log(state)
            for held in changes:
                state = {**state, namespace: after._replace(documents=held)}
                naive.log(state)
            if not changes and after[1:] != state[namespace][1:]:
                naive.log({**state, namespace: after})

    def acknowledged(
        self,
        concern: dict[str, Any],
        batches: int,
        expected: str,
        failure: Exception | None,
        value: str,
        error: Exception | None,
    ) -> None:
        """Check how a write was acknowledged."""
        codes = []
        waits = self.deployment.is_answered(failure)
        found: list[int] | None = None
        if isinstance(error, BulkWriteError):
            found = [e["code"] for e in error.details["writeConcernErrors"]]
        for _ in range(batches if waits else 0):
            has_expired = None
            if found is not None:
                has_expired = found[len(codes) :][:1] == [64]
            elif failure is None:
                has_expired = isinstance(error, pymongo.errors.WTimeoutError)
            ending = self.acknowledge(concern, has_expired)
            if ending == "never":
                assert self.deployment.is_endless(error), error
                return
            if ending != "over":
                codes.append(ending)
        if failure is not None:
            assert self.deployment.told(error) == self.deployment.told(failure)
            assert found in (codes, None)
        elif codes and found is not None:
            assert found == codes
        elif codes:
            assert isinstance(error, pymongo.errors.WriteConcernError), error
            assert error.code == codes[0]
        else:
            assert error is None, error
            assert value == expected

    def acknowledge(
        self, concern: dict[str, Any], has_expired: bool | None, ended_us: int | None = None
    ) -> Any:
        """Wait for a write concern as a server does; `over`, `never` or an error's code.

        Args:
            concern: The write concern.
            has_expired: Whether the simulation says that the limit was reached, if it says it.
            ended_us: What the simulation's clock showed afterwards, if it has moved on since.
        """
        naive = self.naive
        w = concern.get("w", 1 if concern else "majority")
        if w == "majority":
            w = naive.majority
        if isinstance(w, str):
            return 79
        if w > len(naive.members) + 1:
            return 100
        if w <= 1:
            return "over"
        limit = concern.get("wtimeout")
        ending = wait(
            naive,
            [naive.due(naive.newest, w)],
            limit * 1_000 if limit else None,
            self.control.now().us if ended_us is None else ended_us,
            has_expired,
        )
        return 64 if ending == "expired" else ending

    def attempt(self, run: Any) -> tuple[str, Exception | None]:
        """What a call returns in plain form, or its exception."""
        return attempt(run, self.deployment.plain)

    def observe(self) -> None:
        """Take over how far the members say that they are, once it is checked."""
        applied = {m.name: m.optime.ts.inc for m in self.control.secondaries}
        self.naive.observe(self.naive.now_us, applied)

    def take_over_time(self, session: int | None) -> None:
        """Take over what an error told a session on the wire, from whichever member it came."""
        if session is not None and self.deployment.is_wire:
            time = self.sessions[session].operation_time
            if self.deployment.is_time_of(time, self.times[session]):
                return
            position = self.deployment.position_of(time)
            assert self.times[session] <= position <= self.naive.newest
            self.times[session] = position
