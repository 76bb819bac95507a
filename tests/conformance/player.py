"""Plays a program on a deployment and notes what a client observes.

No step ever waits for what cannot come: what would be for ever on a real set gets a time limit,
and all deployments get the same one.
"""

from __future__ import annotations

from typing import Any

from deployments import SECONDARIES, Deployment
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import (
    Nearest,
    Primary,
    PrimaryPreferred,
    Secondary,
    SecondaryPreferred,
)
from pymongo.write_concern import WriteConcern
from steps import CatchUp, Causal, Hold, Read, Release, Snapshot, Transaction, Write

_PATIENCE_MS = 60

_MODES: Any = {
    "primary": lambda _: Primary(),
    "primaryPreferred": PrimaryPreferred,
    "secondary": Secondary,
    "secondaryPreferred": SecondaryPreferred,
    "nearest": Nearest,
}
_BULK: Any = {
    "insert_one": InsertOne,
    "update_one": UpdateOne,
    "update_many": UpdateMany,
    "replace_one": ReplaceOne,
    "delete_one": DeleteOne,
    "delete_many": DeleteMany,
}


class Player:
    """Plays one program.

    Args:
        deployment: Where.
        names: The collections' names, by those that steps say.
    """

    def __init__(self, deployment: Deployment, names: dict[str, str]) -> None:
        self._deployment = deployment
        self._names = names
        self._held: set[str] = set()

    def play(self, step: Any) -> Any:
        """Do a step; returns what was observed."""
        d = self._deployment
        if isinstance(step, Hold):
            if step.member not in self._held:
                self._held.add(step.member)
                d.hold(step.member)
            return None
        if isinstance(step, CatchUp):
            if step.member in self._held:
                d.catch_up(step.member)
            return None
        if isinstance(step, Release):
            if self._held:
                self._held.clear()
                d.release()
            return None
        if isinstance(step, Causal):
            return self._causal(step)
        if isinstance(step, Snapshot):
            return self._snapshot(step)
        if isinstance(step, Transaction):
            return self._transaction(step)
        return self._read(step) if isinstance(step, Read) else self._write(step)

    def finish(self) -> None:
        """Let no member be held for the next program."""
        if self._held:
            self._held.clear()
            self._deployment.release()

    # -- steps -----------------------------------------------------------------------------------

    def _write(self, step: Write, session: Any = None) -> Any:
        collection = self._deployment.database.get_collection(
            self._names[step.collection], write_concern=self._concern(step.concern)
        )
        seen = _seen(lambda: _call(collection, step, session))
        self._deployment.settle()
        return seen

    def _read(self, step: Read, session: Any = None, limit_ms: int | None = None) -> Any:
        level = step.level
        if level in ("linearizable", "majority") and len(self._held) == len(SECONDARIES):
            limit_ms = _PATIENCE_MS
            if step.method == "distinct":  # it takes none, and may wait for a new collection
                level = None
        preference = _MODES[step.mode]([{"member": step.member}])
        if session is not None and session.in_transaction:
            preference = None
        collection = self._deployment.database.get_collection(
            self._names[step.collection],
            read_preference=preference,
            read_concern=None if level is None else ReadConcern(level),
        )
        return _seen(lambda: _ask(collection, step, session, self._names, limit_ms))

    def _causal(self, step: Causal) -> list[Any]:
        with self._deployment.client.start_session(causal_consistency=True) as session:
            return [
                self._write(inner, session)
                if isinstance(inner, Write)
                else self._read(inner, session, self._limit(inner))
                for inner in step.steps
            ]

    def _limit(self, read: Read) -> int | None:
        """The time limit of a read that may wait for what a held member will not get."""
        waits_for_majority = read.level == "majority" and len(self._held) == len(SECONDARIES)
        return _PATIENCE_MS if read.member in self._held or waits_for_majority else None

    def _snapshot(self, step: Snapshot) -> list[Any]:
        with self._deployment.client.start_session(snapshot=True) as session:
            return [
                self._write(inner)
                if isinstance(inner, Write)
                else self._read(inner, session, _PATIENCE_MS if self._held else None)
                for inner in step.steps
            ]

    def _transaction(self, step: Transaction) -> list[Any]:
        level = None if step.level is None else ReadConcern(step.level)
        seen = []
        with self._deployment.client.start_session() as session:
            session.start_transaction(level, self._concern(step.concern))
            for inner in step.steps:
                if isinstance(inner, Write):
                    seen.append(_seen(lambda inner=inner: self._write_inside(inner, session)))
                else:
                    seen.append(self._read(inner, session))
                if not session.in_transaction or _has_failed(seen[-1]):
                    break
            else:
                if step.meanwhile is not None and not any(
                    isinstance(inner, Write) for inner in step.steps
                ):
                    seen.append(self._write(step.meanwhile))
            end = session.commit_transaction if step.commits else session.abort_transaction
            seen.append(_seen(end))
        self._deployment.settle()
        return seen

    def _write_inside(self, step: Write, session: Any) -> Any:
        collection = self._deployment.database.get_collection(self._names[step.collection])
        return _call(collection, step, session)

    def _concern(self, w: Any) -> WriteConcern | None:
        """The write concern; with a time limit if it cannot be met as things are."""
        needs = {None: 2, "majority": 2}.get(w, w)
        if needs > len(SECONDARIES) + 1 or needs <= 1 + len(SECONDARIES) - len(self._held):
            return None if w is None else WriteConcern(w)
        return WriteConcern("majority" if w is None else w, wtimeout=_PATIENCE_MS)


def _call(collection: Any, step: Write, session: Any) -> Any:
    method, arguments = getattr(collection, step.method), step.arguments
    if step.method == "bulk_write":
        operations = [_BULK[name](*given) for name, *given in arguments[0]]
        return method(operations, ordered=arguments[1], session=session)
    if step.method == "insert_many":
        return method([dict(one) for one in arguments[0]], ordered=arguments[1], session=session)
    if step.method == "insert_one":
        return method(dict(arguments[0]), session=session)
    return method(*arguments, session=session)


def _ask(
    collection: Any, step: Read, session: Any, names: dict[str, str], limit_ms: int | None
) -> Any:
    options: dict[str, Any] = dict(step.options)
    if session is not None and step.method != "estimated_document_count":
        options["session"] = session
    if limit_ms is not None and step.method != "distinct":
        spelled = "max_time_ms" if step.method in ("find", "find_one") else "maxTimeMS"
        options[spelled] = limit_ms
    arguments = step.arguments
    if step.method == "aggregate":
        arguments = ([_named(stage, names) for stage in arguments[0]],)
    result = getattr(collection, step.method)(*arguments, **options)
    return list(result) if hasattr(result, "__next__") else result


def _named(stage: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """A stage that joins the collection of this program."""
    if "$lookup" not in stage:
        return stage
    return {"$lookup": {**stage["$lookup"], "from": names[stage["$lookup"]["from"]]}}


# -- what is seen ----------------------------------------------------------------------------------

_FIELDS = (
    "inserted_id",
    "inserted_ids",
    "matched_count",
    "modified_count",
    "deleted_count",
    "upserted_id",
    "inserted_count",
    "upserted_count",
    "upserted_ids",
)


def _seen(operation: Any) -> Any:
    """What a client sees of an operation: its result, or the error's class, code and labels."""
    try:
        result = operation()
    except PyMongoError as error:
        return ("error", type(error).__name__, getattr(error, "code", None), *_details(error))
    except NotImplementedError as error:
        return ("not implemented", str(error))
    if not hasattr(result, "acknowledged"):
        return result
    return {name: getattr(result, name) for name in _FIELDS if hasattr(result, name)}


def _details(error: PyMongoError) -> list[Any]:
    labels = sorted(getattr(error, "_error_labels", ()))
    details = getattr(error, "details", None) or {}
    told = ("nInserted", "nMatched", "nRemoved", "nModified", "nUpserted")
    counts = {key: details[key] for key in told if details.get(key)}
    write_errors = [(one.get("index"), one.get("code")) for one in details.get("writeErrors", ())]
    concern_errors = [one.get("code") for one in details.get("writeConcernErrors", ())]
    return [labels, counts, write_errors, concern_errors]


def _has_failed(seen: Any) -> bool:
    return isinstance(seen, tuple) and seen[:1] == ("error",)
