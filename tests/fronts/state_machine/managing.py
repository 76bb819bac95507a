"""Operations on collections, databases and indexes."""

from __future__ import annotations

import datetime
from typing import Any

import hypothesis.strategies as st
from drawn import FILTERS, TARGETS, WRITE_CONCERNS
from hypothesis.stateful import precondition, rule
from naive import COLLECTIONS, DATABASES, NAMESPACES, ROUND_TRIP_US
from writing import Writing

keeps_past = precondition(lambda machine: not machine.deployment.is_real)
"""For operations on whole collections, whose past a real node forgets."""


class Managing(Writing):
    """Drops, renames, makes indexes."""

    @keeps_past
    @rule(namespace=TARGETS, concern=WRITE_CONCERNS.filter(lambda c: c.get("w") != 0))
    def drop(self, namespace: Any, concern: Any) -> None:
        self.write(namespace, lambda c, **o: c.drop(**o), concern, apart=False)
        self.assert_entries(1)

    @keeps_past
    @rule(
        namespace=TARGETS,
        name=st.sampled_from(COLLECTIONS),
        drop_target=st.booleans(),
        concern=WRITE_CONCERNS.filter(lambda c: c.get("w") != 0),
    )
    def rename(self, namespace: Any, name: str, drop_target: bool, concern: Any) -> None:
        if namespace[1] == name or (namespace[0], name) not in NAMESPACES:
            return
        self.write(
            namespace,
            lambda c, **o: c.rename(name, dropTarget=drop_target, **o),
            concern,
            touched={namespace, (namespace[0], name)},
            apart=False,
        )
        self.assert_entries(1)

    def assert_entries(self, most: int) -> None:
        """Assert that the newest operation was logged in at most so many entries."""
        states = self.naive.states
        assert all(state is not None for state in states[-most:])

    @keeps_past
    @rule(database=st.sampled_from(DATABASES))
    def drop_database(self, database: str) -> None:
        self.expire()
        self.naive.now_us += ROUND_TRIP_US
        _, error = self.attempt(lambda: self.client.drop_database(database))
        self.bare.drop_database(database)
        self.log({known for known in NAMESPACES if known[0] == database}, apart=False)
        self.acknowledged({}, 1, "", None, "", error)

    @rule(
        namespace=TARGETS,
        keys=st.sampled_from([[("n", 1)], [("g", 1)], [("n", 1), ("g", -1)]]),
        unique=st.booleans(),
        concern=WRITE_CONCERNS.filter(lambda c: c.get("w") != 0),
    )
    def create_index(self, namespace: Any, keys: Any, unique: bool, concern: Any) -> None:
        self.write(
            namespace,
            lambda c, **o: c.create_index(keys, unique=unique, **o),
            concern,
            apart=False,
            batches=lambda error: 0 if error else 1,
        )

    @rule(namespace=TARGETS, seconds=st.sampled_from([10, 20]))
    def create_ttl_index(self, namespace: Any, seconds: int) -> None:
        state = self.naive.states[-1]
        assert state is not None
        limit = self.utcnow - datetime.timedelta(seconds=seconds)
        if any(d.get("d", self.utcnow) <= limit for d in state[namespace].documents):
            return
        if "expireAfterSeconds" in state[namespace].indexes:
            return
        self.write(
            namespace,
            lambda c, **o: c.create_index([("d", 1)], expireAfterSeconds=seconds, **o),
            {"w": 1},
            apart=False,
        )

    @rule(namespace=TARGETS, name=st.sampled_from(["n_1", "g_1", "d_1", "n_1_g_-1", None]))
    def drop_index(self, namespace: Any, name: str | None) -> None:
        state = self.naive.states[-1]
        assert state is not None
        if name is None and "expireAfterSeconds" in state[namespace].indexes:
            name = "d_1"  # mongomock-ng lets documents expire after drop_indexes()
        self.write(
            namespace,
            lambda c, **o: c.drop_indexes(**o) if name is None else c.drop_index(name, **o),
            {"w": 1},
            apart=False,
            bare=self.nothing if self.deployment.is_wire and not state[namespace].exists else None,
        )

    @staticmethod
    def nothing() -> tuple[str, None]:
        """PyMongo passes over that there is no collection to drop an index of."""
        return "None", None

    @keeps_past
    @rule(namespace=TARGETS, out=st.sampled_from(COLLECTIONS), filter=FILTERS)
    def aggregate_out(self, namespace: Any, out: str, filter: Any) -> None:
        state = self.naive.states[-1]
        assert state is not None
        to = (namespace[0], out)
        if to not in NAMESPACES or "expireAfterSeconds" in state[to].indexes:
            return
        if self.deployment.is_wire and "'unique': True" in state[to].indexes:
            return  # refused; see the limits of the memory engine

        def run(collection: Any, **options: Any) -> Any:
            found = list(collection.aggregate([{"$match": filter}, {"$out": out}], **options))
            if not self.deployment.is_wire:
                return found
            # A server makes the collection also of no documents, and returns none.
            if out not in self.bare[to[0]].list_collection_names() and not found:
                self.bare[to[0]].create_collection(out)
            return None

        self.write(
            namespace,
            run,
            {"w": 1},
            touched={to},
            apart=False,
        )

    @keeps_past
    @rule(seconds=st.sampled_from([5, 15, 40]))
    def let_documents_age(self, seconds: int) -> None:
        self.utcnow += datetime.timedelta(seconds=seconds)
