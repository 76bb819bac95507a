"""Bulk writes."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis.strategies as st
import pymongo
from comparing import plain
from drawn import BULKS, SESSIONS, TARGETS, WRITE_CONCERNS, finished, upserted
from hypothesis.stateful import rule
from naive import ROUND_TRIP_US
from pymongo.errors import BulkWriteError
from pymongo.operations import (
    DeleteMany,
    DeleteOne,
    InsertOne,
    ReplaceOne,
    UpdateMany,
    UpdateOne,
)
from pymongo.write_concern import WriteConcern
from writing import Writing


class Bulks(Writing):
    """Writes many documents at once."""

    @rule(
        namespace=TARGETS,
        drawn=BULKS,
        ordered=st.booleans(),
        concern=WRITE_CONCERNS,
        session=SESSIONS,
    )
    def bulk_write(
        self, namespace: Any, drawn: Any, ordered: bool, concern: Any, session: Any
    ) -> None:
        requests = []
        for method, *arguments in drawn:
            arguments = finished(arguments, self.utcnow)
            if len(arguments) == 3:
                arguments[2] = arguments[2] and upserted(arguments[0])
            requests.append((method, arguments))
        if not ordered and session is not None:
            session = None
        kinds = {
            "insert_one": InsertOne,
            "update_one": UpdateOne,
            "update_many": UpdateMany,
            "replace_one": ReplaceOne,
            "delete_one": DeleteOne,
            "delete_many": DeleteMany,
        }

        def run(collection: Any, **options: Any) -> None:
            """Its counts are the library's; what it did is seen in the data."""
            collection.bulk_write(
                [kinds[method](*copy.deepcopy(arguments)) for method, arguments in requests],
                ordered=ordered,
                **options,
            )

        if ordered and not self.deployment.is_wire and session != 3 and concern.get("w") != 0:
            self.in_order(namespace, run, requests, concern, session)
        elif self.deployment.is_wire and session != 3:
            self.by_commands(namespace, run, requests, ordered, concern, session)
        else:
            self.at_once(namespace, run, requests, ordered, concern, session)

    def on_bare(
        self, namespace: Any, method: str, arguments: Any, until: int | None = None
    ) -> None:
        """Run one request in the reference, and log what it did; a real one logs by itself."""
        newest, is_matched = self.naive.newest, False
        try:
            collection = self.bare[namespace[0]][namespace[1]]
            result = getattr(collection, method)(*copy.deepcopy(arguments))
            is_matched = method == "replace_one" and bool(result.matched_count)
        finally:
            if not self.deployment.is_real:
                self.log({namespace})
                if is_matched and newest == self.naive.newest:
                    self.log_replaced_by_its_like(until)

    def at_once(
        self,
        namespace: Any,
        run: Any,
        requests: Any,
        ordered: bool,
        concern: Any,
        session: Any,
    ) -> None:
        """Check a bulk write that is one round trip, and that is acknowledged at its end."""
        sent: list[str] = []

        def bare() -> tuple[str, Exception | None]:
            """One request after the other, as the manual says of a bulk write."""
            errors = []
            inserted = 0
            for index, (method, arguments) in enumerate(requests):
                command = method[:6]
                sent.append("update" if command == "replac" else command)
                try:
                    self.on_bare(namespace, method, arguments)
                    inserted += method == "insert_one"
                except pymongo.errors.WriteError as error:
                    errors.append({"index": index, "code": error.code})
                except Exception as error:
                    return "", error
                if errors and ordered:
                    break
            if errors:
                return "", BulkWriteError({"writeErrors": errors, "nInserted": inserted})
            return plain(None), None

        # Ordered, only what nobody waits for comes here: `w: 0`, and what is refused.
        self.write(
            namespace, run, concern, session, bare=bare, batches=lambda error: len(set(sent))
        )

    def in_order(self, namespace: Any, run: Any, requests: Any, concern: Any, session: Any) -> None:
        """Check an ordered bulk write in process: one round trip, in which each command waits."""
        options = {} if session is None else {"session": self.sessions[session]}
        collection = self.client[namespace[0]].get_collection(
            namespace[1], write_concern=WriteConcern(**concern)
        )
        self.expire()
        self.naive.now_us += ROUND_TRIP_US
        with self.noting_acknowledgements() as ended:
            _, error = self.attempt(lambda: run(collection, **options))
        expected: dict[str, Any] = {"nInserted": 0, "writeErrors": [], "writeConcernErrors": []}
        for group in commands_of(requests, True):
            self.expire()
            failure = self.apply(namespace, group, expected)
            if failure is not None:  # the library itself gives up
                assert self.deployment.told(error) == self.deployment.told(failure)
                break
            if session is not None:
                self.times[session] = max(self.times[session], self.naive.newest)
            ended_us, has_expired = ended.pop(0) if ended else (None, None)
            ending = self.acknowledge(concern, has_expired, ended_us)
            if ending == "never":
                assert self.deployment.is_endless(error), error
                break
            if ending != "over":
                expected["writeConcernErrors"].append(ending)
            if expected["writeErrors"]:
                self.check_details(error, expected)
                break
        else:
            self.check_details(error, expected)
        assert not ended
        assert self.simulation.replica_set.oplog.last == self.naive.newest

    def apply(self, namespace: Any, group: Any, expected: dict[str, Any]) -> Exception | None:
        """Run the requests of a command in the reference, up to the first that is refused.

        Returns:
            What the library gives up with, or None.
        """
        for index, (method, arguments) in group:
            try:
                self.on_bare(namespace, method, arguments)
            except pymongo.errors.WriteError as refused:
                expected["writeErrors"].append((index, refused.code))
                return None
            except Exception as failure:
                return failure
            expected["nInserted"] += method == "insert_one"
        return None

    def check_details(self, error: Exception | None, expected: dict[str, Any]) -> None:
        """Check what a bulk write that has come to its end tells."""
        if not expected["writeErrors"] and not expected["writeConcernErrors"]:
            assert error is None, error
            return
        assert isinstance(error, BulkWriteError), error
        details: Any = error.details
        assert details["nInserted"] == expected["nInserted"]
        refused = [(found["index"], found["code"]) for found in details["writeErrors"]]
        assert refused == expected["writeErrors"]
        late = [found["code"] for found in details["writeConcernErrors"]]
        assert late == expected["writeConcernErrors"]

    @contextmanager
    def noting_acknowledgements(self) -> Iterator[list[tuple[int, bool]]]:
        """Notes after each acknowledgement in process the time, and whether it took too long."""
        ended: list[tuple[int, bool]] = []
        acknowledge = self.simulation.acknowledge

        def noted(*args: Any, **kwargs: Any) -> Any:
            error = acknowledge(*args, **kwargs)
            ended.append((self.control.now().us, error is not None and error["code"] == 64))
            return error

        self.simulation.acknowledge = noted
        try:
            yield ended
        finally:
            del self.simulation.acknowledge

    def by_commands(
        self,
        namespace: Any,
        run: Any,
        requests: Any,
        ordered: bool,
        concern: Any,
        session: Any,
    ) -> None:
        """Check a bulk write of which each command is a round trip, acknowledged by itself."""
        clock = self.deployment.clock
        concern = concern if concern.get("w") != 0 else {"w": 1}
        options = {} if session is None else {"session": self.sessions[session]}
        collection = self.client[namespace[0]].get_collection(
            namespace[1], write_concern=WriteConcern(**concern)
        )
        clock.ended.clear()
        clock.control = self.control
        _, error = self.attempt(lambda: run(collection, **options))
        clock.control = None
        details = getattr(error, "details", None) or {}
        failed: list[int] = []
        codes: list[int] = []
        inserted = 0
        ending = None
        for group in commands_of(requests, ordered):
            self.expire()
            self.naive.now_us += ROUND_TRIP_US
            ended_us, has_expired, optime = clock.ended.pop(0)
            indexes, done = self.send(namespace, group, ordered, optime)
            failed += indexes
            inserted += done
            ending = self.acknowledge(concern, has_expired, ended_us)
            if ending not in ("over", "never"):
                codes.append(ending)
            if ending == "never" or (failed and ordered):
                break
        assert not clock.ended
        assert self.simulation.replica_set.oplog.last == self.naive.newest
        if session is not None:
            self.times[session] = max(self.times[session], self.naive.newest)
        if ending == "never":
            assert self.deployment.is_endless(error), error
        elif failed or codes:
            assert isinstance(error, BulkWriteError), error
            assert sorted(found["index"] for found in details["writeErrors"]) == sorted(failed)
            assert [found["code"] for found in details["writeConcernErrors"]] == codes
            assert details["nInserted"] == inserted
        else:
            assert error is None, error

    def send(self, namespace: Any, group: Any, ordered: bool, optime: int) -> tuple[list[int], int]:
        """Run the requests of a command in the reference.

        Returns:
            The indexes of those that fail, and how many documents were inserted.
        """
        failed = []
        inserted = 0
        for index, (method, arguments) in group:
            try:
                self.on_bare(namespace, method, arguments, optime)
                inserted += method == "insert_one"
            except Exception:
                failed.append(index)
            if failed and ordered:
                break
        if self.deployment.is_real:
            self.log({namespace}, until=optime)
        return failed, inserted


def commands_of(requests: list[Any], ordered: bool) -> list[list[Any]]:
    """The commands that PyMongo sends for a bulk write, each the requests with their indexes."""

    def command(item: Any) -> int:
        return ("insert", "update", "delete").index(item[1][0][:6].replace("replac", "update"))

    numbered = list(enumerate(requests))
    if not ordered:
        numbered.sort(key=command)
    return [list(group) for _, group in itertools.groupby(numbered, command)]
