"""Reads that can be evaluated at two positions, and what tells whether the older one is stale.

The answer that the code under test gets is always the library's own, at the member's position. The
second evaluation, at the newest position, is made only where a collection that was read has changed
in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pytest_replicalag.engines.memory.collections import NO_KEY, direct_key
from pytest_replicalag.engines.memory.contents import METADATA, Record
from pytest_replicalag.engines.memory.documents import is_same
from pytest_replicalag.engines.memory.engine import MemoryEngine, Past
from pytest_replicalag.engines.memory.matches import Matches
from pytest_replicalag.replicaset.changes import NO_CHANGES, Changes

__all__ = ["Comparable", "Evaluation", "Find", "FindRead", "LibraryFind", "OtherRead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A read at one position.

    Attributes:
        past: The data it ran on.
        collection: The collection it ran on.
        result: What it returned.
    """

    past: Past
    collection: Any
    result: Any


class Comparable:
    """A read operation.

    Args:
        operation: The method's name.
        arguments: What it was called with.
        filter: What it asks of a document of its own collection, if that can be told.

    Attributes:
        reads_others: Whether it may read other collections than its own.
        is_deterministic: Whether the same data give the same result.
        of_metadata: Whether it tells of metadata, which are as new as the member at each read
            concern.
    """

    reads_others = False
    is_deterministic = True
    of_metadata = False

    def __init__(self, operation: str, arguments: tuple[Any, ...], filter: Any = None) -> None:
        self.operation = operation
        self.arguments = arguments
        self._filter = filter

    def run(self, collection: Any) -> Any:
        """Run it on an engine's collection."""
        raise NotImplementedError

    def at(self, engine: MemoryEngine, target: Any, position: int) -> Evaluation:
        """Evaluate it at the position of the member that serves it."""
        past = engine.past(position, Matches())
        collection = _open(past, target, copies=True)
        return Evaluation(past=past, collection=collection, result=self.run(collection))

    def now(self, engine: MemoryEngine, target: Any, newest: int, then: Evaluation) -> Evaluation:
        """Evaluate it at the newest position, for comparison."""
        past = engine.past(newest, then.past.matches)
        collection = _open(past, target, copies=True)
        return Evaluation(past=past, collection=collection, result=self.run(collection))

    def is_fresh(self, then: Evaluation, now: Evaluation) -> bool:
        """Whether both evaluations return the same."""
        return is_same({"r": then.result}, {"r": now.result})

    def results(self, then: Evaluation, now: Evaluation) -> tuple[Any, Any]:
        """What the read returned, and what it returns at the newest position."""
        return then.result, now.result

    def missed(self, then: Evaluation, now: Evaluation, position: int) -> Changes:
        """The changes after `position` that made the difference."""
        changed = then.past.changed()
        found = NO_CHANGES
        for database, name in changed:
            keys = self._keys(then, now)
            relevant = self._relevant(then, now, database, name)
            found += _changes(then, database, name, position, relevant, keys)
        if not found.count:  # nothing explains the difference, so name all there is
            for database, name in changed:
                found += _changes(then, database, name, position, _any)
        return found

    def _keys(self, then: Evaluation, now: Evaluation) -> set[Any] | None:
        """The keys of the only documents that can matter, if that can be told."""
        key = NO_KEY if self.reads_others else direct_key(self._filter)
        return None if key is NO_KEY else {key}

    def _relevant(
        self, then: Evaluation, now: Evaluation, database: str, name: str
    ) -> Callable[[Any, Any], bool]:
        """Tells of a changed document, as it was then and as it is now, whether it matters."""
        return _any


class Find(Protocol):
    """What a find asks, from a cursor of the library or from a command."""

    @property
    def filter(self) -> Any:
        """What it asks of a document."""

    @property
    def skip(self) -> int:
        """How many of the documents found it leaves out."""

    @property
    def limit(self) -> int:
        """How many it takes at most; 0 for all."""

    def results(self, collection: Any) -> list[Any]:
        """All documents that match, sorted and projected; the stored ones go to `raw`."""

    def stored(self, collection: Any) -> None:
        """Put the stored documents that match into the collection's `raw`, sorted."""

    def project(self, collection: Any, document: Any) -> Any:
        """A stored document as it is returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryFind:
    """A find as one of the library's cursors evaluates it.

    Attributes:
        filter: What it asks of a document.
        sort: The library's list of keys and directions, or None.
        projection: What it returns of a document, or None.
        collation: The collation, or None.
        skip: How many of the documents found it leaves out.
        limit: How many it takes at most; 0 for all.
        cursor: The library's own class.
    """

    filter: Any
    sort: Any
    projection: Any
    collation: Any
    skip: int
    limit: int
    cursor: Any

    def results(self, collection: Any) -> list[Any]:
        """All documents that match, sorted and projected."""
        plain = self.cursor(
            collection, self.filter, self.sort, self.projection, collation=self.collation
        )
        found: list[Any] = plain._compute_results()
        return found

    def stored(self, collection: Any) -> None:
        """Find the stored documents, without copying them."""
        if self.sort or not collection.finds_in_natural_order:
            for _ in collection._get_dataset(self.filter, self.sort, self.projection, dict):
                pass
        else:
            collection.raw = list(collection._iter_documents(self.filter))

    def project(self, collection: Any, document: Any) -> Any:
        """A stored document as it is returned."""
        return collection.project(document, self.projection, dict)


class FindRead(Comparable):
    """`find` and `find_one`, compared by the stored documents, without copying them again.

    Args:
        operation: The method's name.
        arguments: What it was called with.
        find: What it asks.
    """

    def __init__(self, operation: str, arguments: tuple[Any, ...], find: Find) -> None:
        super().__init__(operation, arguments, find.filter)
        self._find = find
        # Whether each document is shown, or left out by skip: there it moves the others.
        self._before: dict[int, bool] = {}
        self._after: dict[int, bool] = {}

    @property
    def is_by_id(self) -> bool:
        """Whether it asks for one `_id`."""
        return direct_key(self._filter) is not NO_KEY

    def run(self, collection: Any) -> Any:
        """All documents that match, sorted and projected; `window` skips and limits."""
        return self._find.results(collection)

    def now(self, engine: MemoryEngine, target: Any, newest: int, then: Evaluation) -> Evaluation:
        """Find the stored documents, without copying them."""
        past = engine.past(newest, then.past.matches)
        collection = _open(past, target, copies=False)
        self._find.stored(collection)
        return Evaluation(past=past, collection=collection, result=None)

    def is_fresh(self, then: Evaluation, now: Evaluation) -> bool:
        """Whether the cursor yields the same documents from both."""
        before, after = self.window(then.collection.raw), self.window(now.collection.raw)
        return len(before) == len(after) and all(
            old is new or self._looks_same(then, old, new)
            for old, new in zip(before, after, strict=True)
        )

    def _looks_same(self, evaluation: Evaluation, old: Any, new: Any) -> bool:
        """Whether the cursor shows two stored documents alike."""
        return is_same(self._project(evaluation, old), self._project(evaluation, new))

    def results(self, then: Evaluation, now: Evaluation) -> tuple[Any, Any]:
        """The first documents of each, as the caller gets them."""
        found = self.window(then.result)
        fresh = [self._project(now, document) for document in self.window(now.collection.raw)[:5]]
        if self.operation == "find_one":
            return (found[0] if found else None, fresh[0] if fresh else None)
        total = len(self.window(now.collection.raw))
        return found, fresh + [None] * (total - len(fresh))

    def _keys(self, then: Evaluation, now: Evaluation) -> set[Any] | None:
        before, after = (self._counted(each.collection.raw) for each in (then, now))
        self._before, self._after = self._shown(before), self._shown(after)
        only_one = [document for document in before if id(document) not in self._after]
        only_one += [document for document in after if id(document) not in self._before]
        return set(map(then.collection.key_of, only_one)) or None

    def _shown(self, counted: Sequence[Any]) -> dict[int, bool]:
        """Whether each document is shown, or left out by skip; told by its identity."""
        shown = dict.fromkeys(map(id, counted), True)
        shown.update(dict.fromkeys(map(id, counted[: self._find.skip]), False))
        return shown

    def _relevant(
        self, then: Evaluation, now: Evaluation, database: str, name: str
    ) -> Callable[[Any, Any], bool]:
        def matters(image: Any, live: Any) -> bool:
            shown = self._before.get(id(image)), self._after.get(id(live))
            if None in shown:
                return shown != (None, None)
            return any(shown) and not self._looks_same(then, image, live)

        return matters

    def _project(self, evaluation: Evaluation, document: Any) -> Any:
        return self._find.project(evaluation.collection, document)

    def window(self, documents: Sequence[Any]) -> Sequence[Any]:
        """What skip and limit leave of all the documents that match."""
        return self._counted(documents)[self._find.skip :]

    def _counted(self, documents: Sequence[Any]) -> Sequence[Any]:
        """What skip leaves out, and what it leaves."""
        limit = 1 if self.operation == "find_one" else self._find.limit
        return documents[: self._find.skip + limit] if limit else documents


class OtherRead(Comparable):
    """Any other read; compared by what it returns.

    Args:
        operation: The method's name.
        arguments: What it was called with.
        run: Runs it on an engine's collection.
        filter: What it asks of a document of its own collection, if that can be told.
        reads_others: Whether it may read other collections than its own.
        is_deterministic: Whether the same data give the same result.
        ignores_order: Whether the result is a set.
        of_metadata: Whether it tells of metadata, which are as new as the member at each read
            concern.
    """

    def __init__(
        self,
        operation: str,
        arguments: tuple[Any, ...],
        run: Callable[[Any], Any],
        *,
        filter: Any = None,
        reads_others: bool = False,
        is_deterministic: bool = True,
        ignores_order: bool = False,
        of_metadata: bool = False,
    ) -> None:
        super().__init__(operation, arguments, filter)
        self.of_metadata = of_metadata
        self._run = run
        self.reads_others = reads_others
        self.is_deterministic = is_deterministic
        self._ignores_order = ignores_order

    def run(self, collection: Any) -> Any:
        """Run it on an engine's collection."""
        return self._run(collection)

    def is_fresh(self, then: Evaluation, now: Evaluation) -> bool:
        """Whether both return the same, in any order if the result is a set."""
        if self._ignores_order:
            return sorted(map(repr, then.result)) == sorted(map(repr, now.result))
        return super().is_fresh(then, now)

    def results(self, then: Evaluation, now: Evaluation) -> tuple[Any, Any]:
        """Both results; a set in an order that does not depend on hashes."""
        if self._ignores_order:
            return sorted(then.result, key=repr), sorted(now.result, key=repr)
        return super().results(then, now)

    def _relevant(
        self, then: Evaluation, now: Evaluation, database: str, name: str
    ) -> Callable[[Any, Any], bool]:
        own = then.collection
        if not self._filter or (database, name) != (own.database.name, own.name):
            return super()._relevant(then, now, database, name)
        return lambda image, live: any(
            document is not None and own._applies(self._filter, document)
            for document in (image, live)
        )


def _open(past: Past, target: Any, *, copies: bool) -> Any:
    """The collection that an operation is about, as it was."""
    return past.collection(target.database, target.collection, target.codec_options, copies=copies)


def _any(*_: Any) -> bool:
    return True


def _changes(
    then: Evaluation,
    database: str,
    name: str,
    position: int,
    is_relevant: Callable[[Any, Any], bool],
    keys: set[Any] | None = None,
) -> Changes:
    """The changes after `position` of relevant parts of a collection.

    Args:
        then: The read at `position`.
        database: The collection's database.
        name: The collection's name.
        position: Changes up to it do not count.
        is_relevant: Tells of a changed document, then and now, whether it matters.
        keys: The keys of the only documents that can matter, if that can be told.
    """
    collection = then.past.versions(database, name)
    versions = collection.versions
    found: Changes = collection.replaced
    for changed in versions.changed_since(position) if keys is None else keys:
        if changed is METADATA:
            continue
        chain = versions.chains.get(changed)
        if chain is None:
            continue
        image = chain.at(position, None)
        image = image.document if isinstance(image, Record) else None
        if is_relevant(image, collection.live(changed)):
            found += chain.since(position)
    return found
