"""Writes of documents, and how any write is checked."""

from __future__ import annotations

import copy
from typing import Any

import hypothesis.strategies as st
import pymongo
from drawn import (
    FILTERS,
    PROJECTIONS,
    REPLACED,
    REPLACEMENTS,
    SESSIONS,
    SORTS,
    TARGETS,
    UPDATES,
    WRITE_CONCERNS,
    documents,
    finished,
    upserted,
)
from hypothesis.stateful import rule
from lagging_set import Machine
from naive import ROUND_TRIP_US
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern


class Writing(Machine):
    """Writes documents."""

    def write(
        self,
        namespace: tuple[str, str],
        run: Any,
        concern: dict[str, Any],
        session: int | None = None,
        *,
        bare: Any = None,
        touched: set[tuple[str, str]] | None = None,
        apart: bool = True,
        batches: Any = lambda error: 1,
        replaces: bool = False,
    ) -> None:
        """Run a write on both clients, and check result, acknowledgement and oplog.

        Args:
            namespace: Database and collection.
            run: Called with a collection, and `session` for the wrapped one.
            concern: The write concern.
            session: The number of its session, or None.
            bare: The same for the bare collection, where it differs; it logs.
            touched: The collections that can have changed, if others than its own.
            apart: Whether changes are one document each.
            batches: How many commands the driver sends, given the write's own error.
            replaces: Whether it replaces one document.
        """
        naive = self.naive
        database, name = namespace
        if concern.get("w") == 0 and self.deployment.is_wire:
            concern = {"w": 1}  # what nobody acknowledges arrives when it may
        if concern.get("w") == 0:
            session = None  # the two do not go together; see test_sessions.py
        with_concern = self.client[database].get_collection(
            name, write_concern=WriteConcern(**concern)
        )
        options = {} if session is None else {"session": self.sessions[session]}
        if session == 3:
            _, error = self.attempt(lambda: run(with_concern, **options))
            assert isinstance(error, OperationFailure), error
            assert error.code == 72
            self.take_over_time(session)
            if self.deployment.is_real:  # which node refuses it costs a round trip
                naive.now_us += ROUND_TRIP_US
            return
        self.expire()
        naive.now_us += ROUND_TRIP_US
        value, error = self.attempt(lambda: run(with_concern, **options))
        if bare is None:
            expected, failure = self.attempt(lambda: run(self.bare[database][name]))
            newest = naive.newest
            self.log(touched or {namespace}, apart=apart)
            if replaces and newest == naive.newest:
                self.log_replaced_by_its_like()
        else:
            expected, failure = bare()
        assert self.simulation.replica_set.oplog.last == naive.newest, value
        if session is not None and self.deployment.is_answered(failure):
            self.times[session] = max(self.times[session], naive.newest)
        if concern.get("w") == 0:
            if failure is None or isinstance(failure, OperationFailure):
                assert error is None, error
            else:
                assert self.deployment.told(error) == self.deployment.told(failure)
            return
        self.acknowledged(concern, batches(failure), expected, failure, value, error)

    def log_replaced_by_its_like(self, until: int | None = None) -> None:
        """Also a document that is replaced by its like makes an entry."""
        newest = self.simulation.replica_set.oplog.last if until is None else until
        if newest > self.naive.newest:
            self.naive.log(self.naive.states[-1])

    @rule(
        namespace=TARGETS,
        document=documents(),
        concern=WRITE_CONCERNS,
        session=SESSIONS,
    )
    def insert_one(self, namespace: Any, document: Any, concern: Any, session: Any) -> None:
        document = finished(document, self.utcnow)
        self.write(
            namespace, lambda c, **o: c.insert_one(copy.deepcopy(document), **o), concern, session
        )

    @rule(
        namespace=TARGETS,
        documents=st.lists(documents(), min_size=1, max_size=4),
        ordered=st.booleans(),
        concern=WRITE_CONCERNS,
        session=SESSIONS,
    )
    def insert_many(
        self, namespace: Any, documents: Any, ordered: bool, concern: Any, session: Any
    ) -> None:
        documents = finished(documents, self.utcnow)
        self.write(
            namespace,
            lambda c, **o: c.insert_many(copy.deepcopy(documents), ordered=ordered, **o),
            concern,
            session,
        )

    @rule(
        namespace=TARGETS,
        method=st.sampled_from(["update_one", "update_many"]),
        filter=FILTERS,
        update=UPDATES,
        upsert=st.booleans(),
        concern=WRITE_CONCERNS,
        session=SESSIONS,
    )
    def update(
        self,
        namespace: Any,
        method: str,
        filter: Any,
        update: Any,
        upsert: bool,
        concern: Any,
        session: Any,
    ) -> None:
        update = finished(update, self.utcnow)
        upsert = upsert and upserted(filter)
        self.write(
            namespace,
            lambda c, **o: getattr(c, method)(filter, update, upsert=upsert, **o),
            concern,
            session,
        )

    @rule(
        namespace=TARGETS,
        filter=REPLACED,
        replacement=REPLACEMENTS,
        upsert=st.booleans(),
        concern=WRITE_CONCERNS,
        session=SESSIONS,
    )
    def replace_one(
        self,
        namespace: Any,
        filter: Any,
        replacement: Any,
        upsert: bool,
        concern: Any,
        session: Any,
    ) -> None:
        upsert = upsert and upserted(filter)

        def run(collection: Any, **options: Any) -> Any:
            result = collection.replace_one(filter, dict(replacement), upsert=upsert, **options)
            if not self.deployment.is_wire or not result.acknowledged:
                return result
            # A document replaced by its like counts as modified on a server alone.
            return result.matched_count, result.upserted_id

        self.write(
            namespace,
            run,
            concern,
            session,
            replaces=True,
        )

    @rule(
        namespace=TARGETS,
        method=st.sampled_from(["delete_one", "delete_many"]),
        filter=FILTERS,
        concern=WRITE_CONCERNS,
        session=SESSIONS,
    )
    def delete(self, namespace: Any, method: str, filter: Any, concern: Any, session: Any) -> None:
        self.write(namespace, lambda c, **o: getattr(c, method)(filter, **o), concern, session)

    @rule(
        namespace=TARGETS,
        kind=st.sampled_from(["delete", "replace", "update"]),
        filter=REPLACED,
        update=UPDATES,
        replacement=REPLACEMENTS,
        sort=SORTS,
        projection=PROJECTIONS,
        after=st.booleans(),
        upsert=st.booleans(),
        concern=WRITE_CONCERNS.filter(lambda concern: concern.get("w") != 0),
        session=SESSIONS,
    )
    def find_one_and(
        self,
        namespace: Any,
        kind: str,
        filter: Any,
        update: Any,
        replacement: Any,
        sort: Any,
        projection: Any,
        after: bool,
        upsert: bool,
        concern: Any,
        session: Any,
    ) -> None:
        update = finished(update, self.utcnow)
        if "_id" in (projection or {}):
            projection = None  # the library needs the `_id` that it then leaves out
        words: dict[str, Any] = {"sort": sort, "projection": projection}
        arguments: list[Any] = [filter]
        if kind != "delete":
            words["return_document"] = pymongo.ReturnDocument.AFTER if after else False
            words["upsert"] = upsert and upserted(filter)
            arguments.append(update if kind == "update" else replacement)
        self.write(
            namespace,
            lambda c, **o: getattr(c, f"find_one_and_{kind}")(
                *copy.deepcopy(arguments), **copy.deepcopy(words), **o
            ),
            concern,
            session,
            batches=lambda error: 0 if error else 1,
            replaces=kind == "replace",
        )
