"""Random operations on a wrapped client, held against a naive replica set after every step.

Each step runs one operation on the wrapped client inside a simulation and on a bare client of the
same library. What a member answers must be what the bare library answers on a copy of the data of
that member's optime; a stale read must be recorded just when the newest copy answers otherwise.

The number of steps is set by the Hypothesis profile; see `conftest.py`.
"""

from __future__ import annotations

import copy
import datetime
import importlib.util
from collections import Counter
from typing import Any, ClassVar
from unittest import mock

import hypothesis.strategies as st
import pymongo
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from naive import (
    COLLECTIONS,
    DATABASES,
    NAMESPACES,
    ROUND_TRIP_US,
    NaiveMember,
    NaiveSet,
    contents,
    key_of,
    state_of,
    steps,
    wait,
)
from pymongo.errors import BulkWriteError, OperationFailure
from pymongo.operations import (
    DeleteMany,
    DeleteOne,
    InsertOne,
    ReplaceOne,
    UpdateMany,
    UpdateOne,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import make_read_preference
from pymongo.write_concern import WriteConcern
from simulating import HAS_PIPELINE_UPDATES

from pytest_replicalag.clients import wrap
from pytest_replicalag.control import ReplicaLag
from pytest_replicalag.engines.memory import journal
from pytest_replicalag.errors import EndlessWaitError
from pytest_replicalag.options import Given
from pytest_replicalag.settings import resolve
from pytest_replicalag.simulation import Simulation, governor

# -- what is drawn -------------------------------------------------------------------------------

LAGS = {
    "0": (0, 0),
    "3ms": (3_000, 3_000),
    "12ms": (12_000, 12_000),
    "40ms": (40_000, 40_000),
    "inf": (None, None),
    "0..15ms": (0, 15_000),
    "5ms..30ms": (5_000, 30_000),
}

START = datetime.datetime(2030, 1, 1)

IDS = st.sampled_from([0, 1, 2, 3, 1.0, True, "x", "y", 2.5, b"k", START])
NUMBERS = st.integers(0, 3)
GROUPS = st.sampled_from(["g", "h"])


@st.composite
def documents(draw: Any) -> Any:
    document = {"_id": draw(IDS), "n": draw(NUMBERS), "g": draw(GROUPS)}
    if draw(st.booleans()):
        document["arr"] = draw(st.lists(NUMBERS, max_size=2))
    if draw(st.booleans()):
        document["sub"] = {"x": draw(NUMBERS)}
    if draw(st.booleans()):
        document["d"] = ("in seconds", draw(st.integers(1, 30)))
    return document


FILTERS = st.one_of(
    st.just({}),
    st.builds(lambda v: {"_id": v}, IDS),
    st.builds(lambda v: {"_id": {"$eq": v}}, IDS),
    st.builds(lambda v, n: {"_id": v, "n": n}, IDS, NUMBERS),
    st.builds(lambda a, b: {"_id": {"$in": [a, b]}}, IDS, IDS),
    st.builds(lambda n: {"n": n}, NUMBERS),
    st.builds(lambda n: {"n": {"$gte": n}}, NUMBERS),
    st.builds(lambda g: {"g": g}, GROUPS),
    st.builds(lambda n: {"sub.x": n}, NUMBERS),
    st.builds(lambda n: {"arr": n}, NUMBERS),
)

UPDATES = st.one_of(
    st.builds(lambda n: {"$set": {"n": n}}, NUMBERS),
    st.builds(lambda n: {"$inc": {"n": n}}, NUMBERS),
    st.builds(lambda n: {"$set": {"n": n}, "$inc": {"g": 1}}, NUMBERS),  # fails: g is a word
    st.builds(lambda n: {"$push": {"arr": n}}, NUMBERS),
    st.builds(lambda n: {"$addToSet": {"arr": n}}, NUMBERS),
    st.builds(lambda n: {"$pull": {"arr": n}}, NUMBERS),
    st.just({"$unset": {"sub": 1}}),
    st.just({"$rename": {"n": "m"}}),
    st.builds(lambda n: {"$set": {"sub.x": n}}, NUMBERS),
    st.builds(lambda n: {"$setOnInsert": {"n": n}}, NUMBERS),
    st.builds(lambda s: {"$set": {"d": ("in seconds", s)}}, st.integers(1, 30)),
    st.builds(lambda n: [{"$set": {"n": {"$add": ["$n", n]}}}], NUMBERS)
    if HAS_PIPELINE_UPDATES
    else st.nothing(),
)

REPLACEMENTS = st.builds(
    lambda n, g: {"n": n, "g": g} if g else {"g": "h", "n": n}, NUMBERS, st.sampled_from(["g", ""])
)
SORTS = st.sampled_from([None, [("n", 1)], [("n", -1), ("_id", 1)], [("g", 1)]])
PROJECTIONS = st.sampled_from([None, {"n": 1}, {"g": 0}, {"_id": 0, "n": 1}])


def upserted(filter: Any) -> bool:
    """Only where the new `_id` is told, for two libraries would make up two."""
    return isinstance(filter.get("_id"), (int, float, str))


BULKS = st.lists(
    st.one_of(
        st.tuples(st.just("insert_one"), documents()),
        st.tuples(st.just("update_one"), FILTERS, UPDATES, st.booleans()),
        st.tuples(st.just("update_many"), FILTERS, UPDATES, st.just(False)),
        st.tuples(st.just("replace_one"), FILTERS, REPLACEMENTS, st.booleans()),
        st.tuples(st.just("delete_one"), FILTERS),
        st.tuples(st.just("delete_many"), FILTERS),
    ),
    min_size=1,
    max_size=5,
)

WRITE_CONCERNS = st.sampled_from(
    [
        {},
        {},
        {"w": 1},
        {"w": 1},
        {"w": 0},
        {"w": 2},
        {"w": 3},
        {"w": 2, "wtimeout": 5},
        {"w": 3, "wtimeout": 20},
        {"w": 5, "wtimeout": 1},
        {"w": "majority", "wtimeout": 10},
        {"w": "nowhere"},
        {"j": True},
    ]
)

MODES = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")
LEVELS = (*[None] * 7, "local", "available", "majority", "majority", "linearizable", "snapshot")

SESSIONS = st.sampled_from([None, None, None, None, None, 0, 0, 1, 2, 3])


def finished(value: Any, now: datetime.datetime) -> Any:
    """A drawn value with its dates filled in; a copy."""
    if isinstance(value, tuple) and value[0] == "in seconds":
        return now + datetime.timedelta(seconds=value[1])
    if isinstance(value, dict):
        return {key: finished(item, now) for key, item in value.items()}
    if isinstance(value, list):
        return [finished(item, now) for item in value]
    return value


def to_dict(value: Any) -> Any:
    """A stored document as the library hands it out; it stores ordered dictionaries, too."""
    if isinstance(value, dict):
        return {key: to_dict(item) for key, item in value.items()}
    return [to_dict(item) for item in value] if isinstance(value, list) else value


def plain(result: Any) -> Any:
    """A result in a form in which equal ones are alike."""
    if getattr(result, "acknowledged", True) is False:
        return "unacknowledged"
    for name in ("bulk_api_result", "inserted_ids", "inserted_id", "deleted_count"):
        if hasattr(result, name):
            return repr(getattr(result, name))
    if hasattr(result, "matched_count"):
        return repr((result.matched_count, result.modified_count, result.upserted_id))
    return repr(result)


def attempt(run: Any) -> tuple[str, Exception | None]:
    """What a call returns in plain form, or its exception."""
    try:
        return plain(run()), None
    except Exception as error:
        return "", error


def told(error: Exception | None) -> str:
    if error is None:
        return ""
    if isinstance(error, BulkWriteError):
        failed = [(found["index"], found["code"]) for found in error.details["writeErrors"]]
        return f"BulkWriteError {failed} {error.details.get('nInserted')}"
    return f"{type(error).__name__}: {error}"


COUNTS: Counter[str] = Counter()
"""How many steps, reads at an earlier optime and stale reads there were, by library."""


# -- the machine ---------------------------------------------------------------------------------


class LaggingSet(RuleBasedStateMachine):
    """A wrapped client in a simulation, beside a bare client and copies of its data."""

    library = "mongomock"

    def __init__(self) -> None:
        super().__init__()
        self.module = importlib.import_module(self.library)
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
        self.bare = self.module.MongoClient()
        wrapped = self.module.MongoClient()
        for client in (self.bare, wrapped):
            for document in finished(old, self.utcnow):
                if client.d1.a.find_one(document["_id"]) is None:  # 1, 1.0 and True are the same
                    client.d1.a.insert_one(document)
        self.client = wrap(wrapped)
        self.simulation = Simulation(settings, "state machine")
        self.simulation.journal._prune_at = 6
        self.control = ReplicaLag(self.simulation, enabled=True)
        self.governing = governor.govern(self.simulation)
        self.governing.__enter__()
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

    # -- writes --------------------------------------------------------------------------------

    def expired(self) -> dict[tuple[str, str], list[Any]]:
        """The documents that are due to be removed, by collection."""
        found = {}
        for database, name in NAMESPACES:
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

    def log(self, touched: set[tuple[str, str]], *, apart: bool = True) -> None:
        """Log what the bare client's data became, one change at a time.

        Args:
            touched: The collections that can have changed.
            apart: Whether changes are one document each.
        """
        naive = self.naive
        before = naive.states[-1]
        assert before is not None
        if not apart:
            found = {namespace: contents(self.bare, *namespace) for namespace in touched}
            after = {**before, **found}
            position = self.simulation.replica_set.oplog.last
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
            for documents in changes:
                state = {**state, namespace: after._replace(documents=documents)}
                naive.log(state)
            if not changes and after[1:] != before[namespace][1:]:
                naive.log({**state, namespace: after})

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
        """
        naive = self.naive
        database, name = namespace
        if concern.get("w") == 0:
            session = None  # the two do not go together; see test_sessions.py
        with_concern = self.client[database].get_collection(
            name, write_concern=WriteConcern(**concern)
        )
        options = {} if session is None else {"session": self.sessions[session]}
        if session == 3:
            _, error = attempt(lambda: run(with_concern, **options))
            assert isinstance(error, OperationFailure), error
            assert error.code == 72
            return
        self.expire()
        naive.now_us += ROUND_TRIP_US
        value, error = attempt(lambda: run(with_concern, **options))
        if bare is None:
            expected, failure = attempt(lambda: run(self.bare[database][name]))
            self.log(touched or {namespace}, apart=apart)
        else:
            expected, failure = bare()
        assert self.simulation.replica_set.oplog.last == naive.newest, value
        if session is not None and (failure is None or isinstance(failure, OperationFailure)):
            self.times[session] = max(self.times[session], naive.newest)
        if concern.get("w") == 0:
            if failure is None or isinstance(failure, OperationFailure):
                assert error is None, error
            else:
                assert told(error) == told(failure)
            return
        self.acknowledged(concern, batches(failure), expected, failure, value, error)

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
        waits = failure is None or isinstance(failure, OperationFailure)
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
                assert isinstance(error, EndlessWaitError), error
                return
            if ending != "over":
                codes.append(ending)
        if failure is not None:
            assert told(error) == told(failure)
            assert found in (codes, None)
        elif codes and found is not None:
            assert found == codes
        elif codes:
            assert isinstance(error, pymongo.errors.WriteConcernError), error
            assert error.code == codes[0]
        else:
            assert error is None, error
            assert value == expected

    def acknowledge(self, concern: dict[str, Any], has_expired: bool | None) -> Any:
        """Wait for a write concern as a server does; `over`, `never` or an error's code."""
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
            self.control.now().us,
            has_expired,
        )
        return 64 if ending == "expired" else ending

    # Mostly one collection, so that reads meet what writes have done.
    namespaces = st.sampled_from([NAMESPACES[0]] * 6 + [*NAMESPACES[:3]] * 2 + [*NAMESPACES])

    @rule(
        namespace=namespaces,
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
        namespace=namespaces,
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
        namespace=namespaces,
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
        namespace=namespaces,
        filter=FILTERS,
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
        self.write(
            namespace,
            lambda c, **o: c.replace_one(filter, dict(replacement), upsert=upsert, **o),
            concern,
            session,
        )

    @rule(
        namespace=namespaces,
        method=st.sampled_from(["delete_one", "delete_many"]),
        filter=FILTERS,
        concern=WRITE_CONCERNS,
        session=SESSIONS,
    )
    def delete(self, namespace: Any, method: str, filter: Any, concern: Any, session: Any) -> None:
        self.write(namespace, lambda c, **o: getattr(c, method)(filter, **o), concern, session)

    @rule(
        namespace=namespaces,
        kind=st.sampled_from(["delete", "replace", "update"]),
        filter=FILTERS,
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
        )

    @rule(
        namespace=namespaces,
        drawn=BULKS,
        ordered=st.booleans(),
        concern=WRITE_CONCERNS,
        session=SESSIONS,
    )
    def bulk_write(  # noqa: C901 - its parts share what is sent
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
        sent: list[str] = []

        def bare() -> tuple[str, Exception | None]:
            """One request after the other, as the manual says of a bulk write."""
            collection = self.bare[namespace[0]][namespace[1]]
            errors = []
            inserted = 0
            for index, (method, arguments) in enumerate(requests):
                command = method[:6]
                sent.append("update" if command == "replac" else command)
                try:
                    getattr(collection, method)(*copy.deepcopy(arguments))
                    inserted += method == "insert_one"
                except pymongo.errors.WriteError as error:
                    errors.append({"index": index, "code": error.code})
                except Exception as error:
                    self.log({namespace})
                    return "", error
                self.log({namespace})
                if errors and ordered:
                    break
            if errors:
                return "", BulkWriteError({"writeErrors": errors, "nInserted": inserted})
            return plain(None), None

        def batches(error: Any) -> int:
            """Runs of one command if ordered, else one for each command."""
            if not ordered:
                return len(set(sent))
            return sum(a != b for a, b in zip([None, *sent], sent, strict=False))

        def run(collection: Any, **options: Any) -> None:
            """Its counts are the library's; what it did is seen in the data."""
            collection.bulk_write(
                [kinds[method](*copy.deepcopy(arguments)) for method, arguments in requests],
                ordered=ordered,
                **options,
            )

        self.write(namespace, run, concern, session, bare=bare, batches=batches)

    @rule(namespace=namespaces, concern=WRITE_CONCERNS.filter(lambda c: c.get("w") != 0))
    def drop(self, namespace: Any, concern: Any) -> None:
        self.write(namespace, lambda c, **o: c.drop(**o), concern, apart=False)
        self.assert_entries(1)

    @rule(
        namespace=namespaces,
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

    @rule(database=st.sampled_from(DATABASES))
    def drop_database(self, database: str) -> None:
        self.expire()
        self.naive.now_us += ROUND_TRIP_US
        _, error = attempt(lambda: self.client.drop_database(database))
        self.bare.drop_database(database)
        self.log({known for known in NAMESPACES if known[0] == database}, apart=False)
        self.acknowledged({}, 1, "", None, "", error)

    @rule(
        namespace=namespaces,
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

    @rule(namespace=namespaces, seconds=st.sampled_from([10, 20]))
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

    @rule(namespace=namespaces, name=st.sampled_from(["n_1", "g_1", "d_1", "n_1_g_-1", None]))
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
        )

    @rule(namespace=namespaces, out=st.sampled_from(COLLECTIONS), filter=FILTERS)
    def aggregate_out(self, namespace: Any, out: str, filter: Any) -> None:
        state = self.naive.states[-1]
        assert state is not None
        to = (namespace[0], out)
        if to not in NAMESPACES or "expireAfterSeconds" in state[to].indexes:
            return
        self.write(
            namespace,
            lambda c, **o: list(c.aggregate([{"$match": filter}, {"$out": out}], **o)),
            {"w": 1},
            touched={to},
            apart=False,
        )

    @rule(seconds=st.sampled_from([5, 15, 40]))
    def let_documents_age(self, seconds: int) -> None:
        self.utcnow += datetime.timedelta(seconds=seconds)

    # -- reads ---------------------------------------------------------------------------------

    def at(self, position: int) -> Any:
        """A bare client that holds the data of an optime; None where it is not known."""
        if position == self.naive.newest and not self.expired():
            return self.bare
        client = self.scratch.get(position)
        if client is None:
            state = self.naive.states[position]
            if state is None:
                return None
            client = self.module.MongoClient()
            for (database, name), held in state.items():
                if held.documents:
                    client[database][name].insert_many(copy.deepcopy(held.documents))
            self.scratch = {**dict(list(self.scratch.items())[-20:]), position: client}
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
        value, error = attempt(lambda: run(collection, **options))
        stale = len(self.simulation.stale_reads) - recorded
        [(chosen, applied)] = self.selected
        naive.observe(naive.now_us, applied)
        self.check_choice(mode, chosen, applied)
        if counts_metadata:
            level, session = None, None
        times, snapshot_at = list(self.times), self.snapshot_at
        position = self.expected_position(chosen, level, session, max_time_ms, error)
        if position is None:
            assert stale == 0
            return
        COUNTS[f"{self.library}: reads at an earlier optime"] += position < naive.newest
        COUNTS[f"{self.library}: stale reads"] += stale
        then = self.at(position)
        if then is None:
            return
        if (level == "snapshot" or session == 3) and self.catalog_has_changed(namespace, position):
            # A server's snapshots know only the collections of now; see test_session.py.
            assert error is None or getattr(error, "code", 0) == 246
            if error is not None and session is not None:  # no reply, so no times
                self.times[session] = times[session]
                self.snapshot_at = snapshot_at
            return
        expected, failure = attempt(lambda: run(then[database][name]))
        assert (value, told(error)) == (expected, told(failure)), (position, naive.newest)
        if failure is not None:
            return
        newest = attempt(lambda: run(self.at(naive.newest)[database][name]))[0]
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

    def expected_position(  # noqa: C901 - one rule of the manual after the other
        self,
        chosen: str,
        level: str | None,
        session: int | None,
        max_time_ms: int | None,
        error: Exception | None,
    ) -> int | None:
        """Where the read is answered; None if it fails, which is checked."""
        naive = self.naive
        after = self.times[session] if session in (0, 1) else 0
        at = None
        if session == 3:
            level, at = "snapshot", self.snapshot_at
        if after and level in ("available", "linearizable"):
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
        limit_us = max_time_ms * 1_000 if max_time_ms else None
        has_expired = isinstance(error, pymongo.errors.ExecutionTimeout)
        limit_us = limit_us if dues else None
        ending = wait(naive, dues, limit_us, self.control.now().us, has_expired)
        if ending == "never":
            assert isinstance(error, EndlessWaitError), error
            return None
        if ending == "expired":
            assert isinstance(error, pymongo.errors.ExecutionTimeout), error
            assert error.code == 50
            return None
        assert not isinstance(error, (EndlessWaitError, pymongo.errors.ExecutionTimeout)), error
        self.observe()
        position = naive.position(chosen)
        shown = position
        if level in ("majority", "snapshot"):
            position = min(position, naive.commit_point())
        if at is not None:
            position = at
        elif session == 3:
            self.snapshot_at = position
        if session is not None:
            reply = position if level == "majority" else max(position, shown)
            self.times[session] = max(self.times[session], reply)
        return position

    reads: ClassVar = {
        "namespace": namespaces,
        "mode": st.sampled_from([*MODES, "secondary", "secondary", "nearest"]),
        "level": st.sampled_from(LEVELS),
        "session": SESSIONS,
    }

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

    @rule(namespace=namespaces, mode=st.sampled_from(MODES), level=st.sampled_from(LEVELS))
    def estimated_document_count(self, namespace: Any, mode: str, level: Any) -> None:
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
            "sort": [{"$sort": {"g": 1}}, {"$limit": 2}, {"$project": {"g": 1}}],
            "count": [{"$count": "total"}],
            "facet": [{"$facet": {"all": [{"$count": "total"}]}}],
        }[stage]
        pipeline = [{"$match": filter}, *stages]
        self.read(namespace, mode, level, session, lambda c, **o: list(c.aggregate(pipeline, **o)))

    @rule(namespace=namespaces)
    def list_from_the_primary(self, namespace: Any) -> None:
        self.expire()
        self.naive.now_us += ROUND_TRIP_US
        names = self.client[namespace[0]].list_collection_names()
        assert sorted(names) == sorted(self.bare[namespace[0]].list_collection_names())

    # -- time, members and sessions --------------------------------------------------------------

    def observe(self) -> None:
        """Take over how far the members say that they are, once it is checked."""
        applied = {m.name: m.optime.ts.inc for m in self.control.secondaries}
        self.naive.observe(self.naive.now_us, applied)

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
        COUNTS[f"{self.library}: steps"] += 1
        assert self.control.now().us == self.naive.now_us
        self.observe()
        assert self.control.primary.optime.ts.inc == self.naive.newest
        for session, position in zip(self.sessions, self.times, strict=True):
            if position:
                assert session.operation_time.inc == position

    @invariant()
    def every_readable_optime_is_as_it_was(self) -> None:
        if self.governing is None or self.expired():
            return
        engine = self.client._front.engine
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
                assert [repr(to_dict(document)) for document in collection.documents] == [
                    repr(document) for document in held.documents
                ], (position, database, name)
                assert bool(collection.is_created) == bool(held.exists or held.documents), (
                    position,
                    database,
                    name,
                )


class LaggingSetNg(LaggingSet):
    library = "mongomock_ng"


@pytest.mark.slow
class TestMongomock(LaggingSet.TestCase):
    pass


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("mongomock_ng") is None, reason="mongomock-ng is not installed"
)
class TestMongomockNg(LaggingSetNg.TestCase):
    pass
