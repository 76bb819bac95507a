"""Reads, and how they are checked."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import hypothesis.strategies as st
import pymongo
from comparing import COUNTS
from drawn import FILTERS, IDS, LEVELS, MODES, PROJECTIONS, SESSIONS, SORTS, TARGETS
from hypothesis.stateful import rule
from lagging_set import Machine
from naive import COLLECTIONS, NAMESPACES, ROUND_TRIP_US, wait
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import make_read_preference

_KEPT = 20


class Reading(Machine):
    """Reads."""

    def at(self, position: int) -> Any:
        """A bare client that holds the data of an optime; None where it is not known."""
        if position == self.naive.newest and not self.expired():
            return self.bare
        client = self.scratch.get(position)
        if client is None:
            state = self.naive.states[position]
            if state is None:
                return None
            client = self.deployment.scratch(position)
            for (database, name), held in state.items():
                if held.documents:
                    client[database][name].insert_many(copy.deepcopy(held.documents))
            if len(self.scratch) > _KEPT:
                self.deployment.forget(self.scratch.pop(next(iter(self.scratch))))
            self.scratch[position] = client
        return client

    def read(
        self,
        namespace: tuple[str, str],
        mode: str,
        level: str | None,
        session: int | None,
        run: Any,
        max_time_ms: int | None = None,
        *,
        counts_metadata: bool = False,
        joined: tuple[str, str] | None = None,
    ) -> None:
        """Run a read on the wrapped client, and hold it against the copies."""
        naive = self.naive
        database, name = namespace
        preference = make_read_preference(MODES.index(mode), None)
        collection = self.client[database].get_collection(
            name,
            read_preference=preference,
            read_concern=None if level is None else ReadConcern(level),
        )
        options = {} if session is None else {"session": self.sessions[session]}
        recorded = len(self.simulation.stale_reads)
        self.selected.clear()
        self.expire()
        naive.now_us += ROUND_TRIP_US
        has_time = session in (0, 1) and self.sessions[session].operation_time is not None
        value, error = self.attempt(lambda: run(collection, **options))
        stale = len(self.simulation.stale_reads) - recorded
        [(chosen, applied)] = self.selected
        naive.observe(naive.now_us, applied)
        self.check_choice(mode, chosen, applied)
        times, snapshot_at = list(self.times), self.snapshot_at
        position = self.expected_position(
            chosen, level, session, max_time_ms, error, namespace=namespace, has_time=has_time
        )
        if position is None:
            assert stale == 0
            self.take_over_time(session)
            return
        if counts_metadata:  # which are as new as the member
            position = self.naive.position(chosen)
        COUNTS[f"{self.deployment.name}: reads at an earlier optime"] += position < naive.newest
        COUNTS[f"{self.deployment.name}: stale reads"] += stale
        then = self.at(position)
        if then is None:
            return
        if (level in ("majority", "snapshot") or session == 3) and any(
            self.catalog_has_changed(name, position) for name in {namespace, joined or namespace}
        ):
            # A server's snapshots know only the collections of now; see test_session.py.
            assert error is None or getattr(error, "code", 0) == 246
            if error is not None and session is not None:  # no reply, so no times
                self.times[session] = times[session]
                self.snapshot_at = snapshot_at
                self.take_over_time(session)
            return
        expected, failure = self.attempt(lambda: run(then[database][name]))
        told = self.deployment.told
        assert (value, told(error)) == (expected, told(failure)), (position, naive.newest)
        if failure is not None:
            self.take_over_time(session)
            return
        newest = self.attempt(lambda: run(self.at(naive.newest)[database][name]))[0]
        assert stale == (newest != expected), (expected, newest, position, naive.newest)
        if stale:
            found = self.simulation.stale_reads[-1]
            assert found.member == chosen
            assert found.missed_count > 0

    def catalog_has_changed(self, namespace: tuple[str, str], position: int) -> bool:
        """Whether a name may have come to mean another collection, or none, since."""
        states = self.naive.states[position:]
        if None in states:
            return True
        return len({state[namespace].exists for state in states if state is not None}) > 1

    def check_choice(self, mode: str, chosen: str, applied: dict[str, int]) -> None:
        """Check that the member is one that may serve, and the one that the rule says."""
        positions = {"primary": self.naive.newest, **applied}
        eligible = {
            "primary": ["primary"],
            "primaryPreferred": ["primary"],
            "nearest": list(positions),
        }.get(mode, list(applied))
        assert chosen in eligible
        if len(eligible) == 1:
            return
        if self.choose == "stalest":
            assert chosen == min(eligible, key=lambda name: positions[name])
        elif self.choose == "alternate":
            assert chosen == eligible[self.naive.turn % len(eligible)]
            self.naive.turn += 1

    def expected_position(  # noqa: C901, PLR0912 - one rule of the manual after the other
        self,
        chosen: str,
        level: str | None,
        session: int | None,
        max_time_ms: int | None,
        error: Exception | None,
        *,
        namespace: tuple[str, str],
        has_time: bool,
    ) -> int | None:
        """Where the read is answered; None if it fails, which is checked."""
        naive = self.naive
        after = self.deployment.told_of(self.times[session]) if session in (0, 1) else 0
        at = None
        if session == 3:
            level, at = "snapshot", self.snapshot_at
        # In process, the time before the first write of a test is none.
        waits = has_time if self.deployment.is_wire else after
        if waits and level in ("available", "linearizable"):
            assert isinstance(error, OperationFailure)
            assert error.code == 72
            return None
        if level == "linearizable" and chosen != "primary":
            assert isinstance(error, pymongo.errors.NotPrimaryError)
            assert error.details["code"] == 10107  # type: ignore[call-overload, index]
            return None
        needed = max(after, at or 0)
        dues: list[Any] = []
        if needed and chosen != "primary":
            member = next(member for member in naive.members if member.name == chosen)
            dues.append(member.due(naive.times, needed))
        if level == "linearizable":
            naive.log(naive.states[-1])
            dues.append(naive.due(naive.newest, naive.majority))
        elif level in ("majority", "snapshot") and needed and naive.commit_point() < needed:
            dues.append(naive.due(needed, naive.majority))
        committed = min(naive.commit_point(), naive.position(chosen))
        if level == "majority" and self.catalog_has_changed(namespace, committed):
            # It may wait for a collection that is new; see the scenarios of the conformance tests.
            naive.now_us = self.control.now().us
            if self.deployment.is_endless(error) or isinstance(
                error, pymongo.errors.ExecutionTimeout
            ):
                return None
        limit_us = max_time_ms * 1_000 if max_time_ms else None
        has_expired = isinstance(error, pymongo.errors.ExecutionTimeout)
        limit_us = limit_us if dues else None
        ending = wait(naive, dues, limit_us, self.control.now().us, has_expired)
        if ending == "never":
            assert self.deployment.is_endless(error), error
            return None
        if ending == "expired":
            assert isinstance(error, pymongo.errors.ExecutionTimeout), error
            assert error.code == 50
            return None
        assert not isinstance(error, pymongo.errors.ExecutionTimeout), error
        assert not self.deployment.is_endless(error), error
        self.observe()
        position = naive.position(chosen)
        shown = position
        if level in ("majority", "snapshot"):
            position = min(position, naive.commit_point())
        if at is not None:
            position = at
        elif session == 3 and self.deployment.has_snapshot(self.sessions[3]):
            self.snapshot_at = position  # a find that finds no collection takes none
        if session is not None:
            reply = position if level == "majority" else max(position, shown)
            self.times[session] = max(self.times[session], reply)
        return position

    reads: ClassVar = {
        "namespace": TARGETS,
        "mode": st.sampled_from([*MODES, "secondary", "secondary", "nearest"]),
        "level": st.sampled_from(LEVELS),
        "session": SESSIONS,
    }

    def decided(self, sort: Any) -> Any:
        """A sort that leaves no order open, where a real node may decide that one by an index."""
        if not self.deployment.is_real:
            return sort
        return [*(key for key in sort or [] if key[0] != "_id"), ("_id", 1)]

    @rule(
        **reads,
        filter=FILTERS,
        sort=SORTS,
        projection=PROJECTIONS,
        skip=st.integers(0, 2),
        limit=st.integers(0, 2),
        max_time_ms=st.sampled_from([None, None, 1, 15]),
    )
    def find(
        self,
        namespace: Any,
        mode: str,
        level: Any,
        session: Any,
        filter: Any,
        sort: Any,
        projection: Any,
        skip: int,
        limit: int,
        max_time_ms: Any,
    ) -> None:
        sort = self.decided(sort)
        if max_time_ms and self.deployment.is_real:
            max_time_ms *= 1_000  # the node has the same limit, in real time
        words = {"skip": skip, "limit": limit, "sort": sort, "max_time_ms": max_time_ms}
        self.read(
            namespace,
            mode,
            level,
            session,
            lambda c, **o: list(c.find(filter, copy.copy(projection), **words, **o)),
            max_time_ms,
        )

    @rule(**reads, filter=st.one_of(FILTERS, IDS), sort=SORTS, projection=PROJECTIONS)
    def find_one(
        self,
        namespace: Any,
        mode: str,
        level: Any,
        session: Any,
        filter: Any,
        sort: Any,
        projection: Any,
    ) -> None:
        sort = self.decided(sort)
        self.read(
            namespace,
            mode,
            level,
            session,
            lambda c, **o: c.find_one(filter, copy.copy(projection), sort=sort, **o),
        )

    @rule(**reads, filter=FILTERS)
    def count_documents(
        self, namespace: Any, mode: str, level: Any, session: Any, filter: Any
    ) -> None:
        self.read(namespace, mode, level, session, lambda c, **o: c.count_documents(filter, **o))

    @rule(namespace=TARGETS, mode=st.sampled_from(MODES), level=st.sampled_from(LEVELS))
    def estimated_document_count(self, namespace: Any, mode: str, level: Any) -> None:
        if level == "snapshot":
            return  # refused on the wire; see test_replies.py
        self.read(
            namespace,
            mode,
            level,
            None,
            lambda c, **o: c.estimated_document_count(),
            counts_metadata=True,
        )

    @rule(**reads, filter=FILTERS, key=st.sampled_from(["n", "g", "arr"]))
    def distinct(
        self, namespace: Any, mode: str, level: Any, session: Any, filter: Any, key: str
    ) -> None:
        self.read(
            namespace,
            mode,
            level,
            session,
            lambda c, **o: sorted(c.distinct(key, filter, **o), key=repr),
        )

    @rule(**reads, filter=FILTERS, key=st.sampled_from(["n", "g"]))
    def distinct_of_a_cursor(
        self, namespace: Any, mode: str, level: Any, session: Any, filter: Any, key: str
    ) -> None:
        self.read(
            namespace,
            mode,
            level,
            session,
            lambda c, **o: sorted(c.find(filter, **o).distinct(key), key=repr),
        )

    @rule(
        **reads,
        filter=FILTERS,
        other=st.sampled_from(COLLECTIONS),
        stage=st.sampled_from(["none", "group", "lookup", "graph", "sort", "count", "facet"]),
    )
    def aggregate(
        self,
        namespace: Any,
        mode: str,
        level: Any,
        session: Any,
        filter: Any,
        other: str,
        stage: str,
    ) -> None:
        lookup = {"from": other, "localField": "n", "foreignField": "n", "as": "found"}
        graph = {
            "from": other,
            "startWith": "$n",
            "connectFromField": "n",
            "connectToField": "n",
            "as": "found",
        }
        stages: list[Any] = {
            "none": [],
            "group": [{"$group": {"_id": "$g", "total": {"$sum": 1}}}],
            "lookup": [{"$lookup": lookup}],
            "graph": [{"$graphLookup": graph}],
            "sort": [{"$sort": {"g": 1, "_id": 1}}, {"$limit": 2}, {"$project": {"g": 1}}],
            "count": [{"$count": "total"}],
            "facet": [{"$facet": {"all": [{"$count": "total"}]}}],
        }[stage]
        pipeline = [{"$match": filter}, *stages]
        joined = (namespace[0], other)
        self.read(
            namespace,
            mode,
            level,
            session,
            lambda c, **o: list(c.aggregate(pipeline, **o)),
            joined=joined if stage in ("lookup", "graph") and joined in NAMESPACES else None,
        )

    @rule(namespace=TARGETS)
    def list_from_the_primary(self, namespace: Any) -> None:
        self.expire()
        self.naive.now_us += ROUND_TRIP_US
        names = self.client[namespace[0]].list_collection_names()
        assert sorted(names) == sorted(self.bare[namespace[0]].list_collection_names())
