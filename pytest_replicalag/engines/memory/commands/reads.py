"""Commands that read documents, as reads that can be evaluated at two positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from bson import encode

from pytest_replicalag.engines.describe import describe
from pytest_replicalag.engines.memory.commands.equality import (
    filter_for_library,
    stages_for_library,
)
from pytest_replicalag.engines.memory.commands.errors import not_supported, server_errors
from pytest_replicalag.engines.memory.commands.hints import check_hint, order_of_hint
from pytest_replicalag.engines.memory.commands.operators import (
    check_filter,
    check_pipeline,
)
from pytest_replicalag.engines.memory.commands.projections import is_plain, projected, projection_of
from pytest_replicalag.engines.memory.commands.variables import (
    Variables,
    in_filter,
    in_pipeline,
    variables_of,
)
from pytest_replicalag.engines.memory.comparison import (
    Comparable,
    Evaluation,
    FindRead,
    LibraryFind,
    OtherRead,
)
from pytest_replicalag.engines.memory.library import Library, library_of
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.engines.types import NUMBER, type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["find_of", "read", "read_to_write", "sort_of"]

_RANDOM = ("$sample", "$rand")

_COUNT_STAGES: Final = ("$match", "$skip", "$limit", "$group")
"""In the order in which drivers send them for `count_documents`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ServerFind(LibraryFind):
    """A find whose errors are a server's, and whose results are for a reply.

    Without a projection they are the stored documents themselves, and with a plain one made of
    their parts: nobody changes those in place, and a reply only encodes them. No more are looked
    for than the limit allows.

    Attributes:
        hint: The index that is named by the command, if it names one.
    """

    hint: Any = None

    def results(self, collection: Any) -> list[Any]:
        find = self._in_order(collection)
        with server_errors(collection):
            if self.projection is None:
                return self._found(collection, find.sort)
            if is_plain(self.projection):
                found = self._found(collection, find.sort)
                return [projected(document, self.projection) for document in found]
            return with_id_first(LibraryFind.results(find, collection))

    def _found(self, collection: Any, sort: Any) -> list[Any]:
        found: list[Any] | None = collection.find_by_key(self.filter)
        if found is not None:
            return found
        collection.hand_out_stored()
        dataset = collection._get_dataset(self.filter, sort, None, dict)
        return list(islice(dataset, self.skip + self.limit if self.limit else None))

    def project(self, collection: Any, document: Any) -> Any:
        """A stored document as it is returned."""
        if self.projection is not None and is_plain(self.projection):
            return projected(document, self.projection)
        return LibraryFind.project(self, collection, document)

    def stored(self, collection: Any) -> None:
        LibraryFind.stored(self._in_order(collection), collection)

    def _in_order(self, collection: Any) -> _ServerFind:
        """The same find, in the order of the index that it names if it does not sort."""
        order = order_of_hint(collection, self.hint) if self.hint and not self.sort else None
        if self.hint and self.sort:
            check_hint(collection, self.hint)
        return self if order is None else replace(self, sort=order)


class _Count(OtherRead):
    """The pipeline that drivers send for `count_documents`; told as the number it stands for."""

    def results(self, then: Evaluation, now: Evaluation) -> tuple[Any, Any]:
        found, fresh = super().results(then, now)
        return _number(found), _number(fresh)


def _number(result: list[Any]) -> int:
    return int(result[0]["n"]) if result else 0


def read(name: str, command: Mapping[str, Any], library: Library) -> Comparable:
    """The read that a command asks for.

    Args:
        name: `find`, `aggregate`, `count` or `distinct`.
        command: The command.
        library: Evaluates it.

    Raises:
        OperationFailure: It is not valid, or not supported.
    """
    operation, arguments = describe(name, command)
    if name == "find":
        return FindRead(operation, arguments, find_of(command, library))
    if name == "aggregate":
        return _aggregate(command, operation, arguments)
    filter = filter_of(command, "query")
    if name == "count":
        return OtherRead(
            operation, arguments, lambda coll: _count(coll, filter, command), filter=filter
        )
    return OtherRead(
        operation,
        arguments,
        lambda coll: _distinct(coll, command, filter, library),
        filter=filter,
        ignores_order=True,
    )


def read_to_write(command: Mapping[str, Any]) -> Comparable:
    """What a pipeline reads whose last stage writes what it finds; told as it was called.

    Args:
        command: An `aggregate` that ends in `$out` or `$merge`.

    Raises:
        OperationFailure: It is not valid, or not supported.
    """
    pipeline = command["pipeline"]
    check_pipeline(pipeline)
    told = describe("aggregate", command)
    return _aggregate({**command, "pipeline": pipeline[:-1]}, *told)


def filter_of(command: Mapping[str, Any], field: str, variables: Variables | None = None) -> Any:
    """A filter as the library takes it.

    Args:
        command: The command, or the statement of one.
        field: The field with the filter.
        variables: Those of `let`, if there are any.

    Raises:
        OperationFailure: It is not valid, or not supported.
    """
    filter = command.get(field) or {}
    check_filter(filter)
    return filter_for_library(in_filter(filter, variables) if variables else filter)


def find_of(command: Mapping[str, Any], library: Library) -> LibraryFind:
    """What a `find` asks of the library.

    Args:
        command: The command.
        library: Evaluates it.
    """
    limit = command.get("limit") or 0
    variables = variables_of(command)
    return _ServerFind(
        filter=filter_of(command, "filter", variables),
        sort=sort_of(command.get("sort")),
        projection=projection_of(in_pipeline(command.get("projection"), variables)),
        collation=None,
        skip=int(command.get("skip") or 0),
        limit=abs(int(limit)),
        cursor=library.cursor,
        hint=command.get("hint"),
    )


def sort_of(sort: Mapping[str, Any] | None) -> list[tuple[str, int]] | None:
    """The library's form of a sort.

    Raises:
        OperationFailure: It has something else than 1 and -1.
    """
    if not sort:
        return None
    pairs = []
    for key, order in sort.items():
        if isinstance(order, Mapping):
            raise not_supported(f"sorting by {{{key}: {order}}}")
        if not key:
            message = "FieldPath cannot be constructed with empty string"
            raise operation_failure(40352, "Location40352", message)
        if type_name(order) not in NUMBER:
            message = f"Illegal key in $sort specification: {key}: {shown(order)}"
            raise operation_failure(15974, "Location15974", message)
        if order not in (1, -1):
            raise operation_failure(
                15975,
                "Location15975",
                "$sort key ordering must be 1 (for ascending) or -1 (for descending)",
            )
        if key == "$natural":
            if order == 1 and len(sort) == 1:
                return None
            raise not_supported("sorting by $natural in reverse")
        pairs.append((key, int(order)))
    return pairs


def _aggregate(
    command: Mapping[str, Any], operation: str, arguments: tuple[Any, ...]
) -> Comparable:
    pipeline = command["pipeline"]
    stages = stages_of(pipeline, variables_of(command))
    first = stages[0].get("$match") if stages else None
    kind = _Count if operation == "count_documents" else OtherRead
    count = _count_of(stages, command.get("hint")) if kind is _Count else None
    return kind(
        operation,
        arguments,
        count or (lambda coll: _hinted_pipeline(coll, stages, command.get("hint"))),
        filter=first,
        reads_others=count is None,
        is_deterministic=not any(name in str(pipeline) for name in _RANDOM),
    )


def _count_of(stages: list[Any], hint: Any) -> Callable[[Any], list[Any]] | None:
    """Counts what a driver's pipeline counts, without copies of all the documents that match.

    None if the pipeline is another one, or not valid, which the library finds out.
    """
    options = {name: value for stage in stages for name, value in stage.items()}
    filter, skip, limit = (options.get(name) for name in ("$match", "$skip", "$limit"))
    in_order = [name for name in _COUNT_STAGES if name in options]
    is_valid = all(
        number is None or (isinstance(number, int) and number >= least)
        for number, least in ((skip, 0), (limit, 1))
    )
    if in_order != [next(iter(stage)) for stage in stages] or not is_valid:
        return None

    def count(collection: Any) -> list[Any]:
        found = _count(collection, filter, {"skip": skip, "limit": limit, "hint": hint})
        return [{"_id": 1, "n": found}] if found else []

    return count


def stages_of(pipeline: Any, variables: Variables | None = None) -> list[Any]:
    """A pipeline as the library takes it.

    Args:
        pipeline: The pipeline.
        variables: Those of `let`, if there are any.

    Raises:
        OperationFailure: It is not valid, or not supported.
    """
    check_pipeline(pipeline)
    stages: list[Any] = stages_for_library(
        in_pipeline(pipeline, variables) if variables else pipeline
    )
    return stages


def _hinted_pipeline(collection: Any, stages: list[Any], hint: Any) -> list[Any]:
    check_hint(collection, hint)
    return run_pipeline(collection, stages)


def run_pipeline(collection: Any, stages: list[Any]) -> list[Any]:
    """The documents that a pipeline gives."""
    with server_errors(collection):
        if stages and "$documents" in stages[0]:
            found = _from_documents(collection.database, stages)
        else:
            found = list(collection.aggregate(stages))
    if stages and "$facet" in stages[-1]:
        return [{name: with_id_first(inner) for name, inner in found[0].items()}]
    return with_id_first(found)


def _from_documents(database: Any, stages: list[Any]) -> list[Any]:
    """What comes of documents that are in the pipeline itself."""
    library = library_of(database.client)
    assert library is not None
    documents: list[Any] = []
    for document in stages[0]["$documents"]:
        documents += library.run_stages([{}], database, [{"$replaceWith": document}])
    return library.run_stages(documents, database, stages[1:])


def with_id_first(documents: list[Any]) -> list[Any]:
    """Documents whose `_id` comes first, as a server's do; the library puts it last at times."""
    return [
        {"_id": document["_id"], **document}
        if "_id" in document and next(iter(document)) != "_id"
        else document
        for document in documents
    ]


def _count(collection: Any, filter: Any, command: Mapping[str, Any]) -> int:
    check_hint(collection, command.get("hint"))
    with server_errors(collection):
        found = int(collection.count_documents(filter))
    found = max(found - (command.get("skip") or 0), 0)
    limit = abs(command.get("limit") or 0)
    return min(found, limit) if limit else found


def _distinct(
    collection: Any, command: Mapping[str, Any], filter: Any, library: Library
) -> list[Any]:
    """The values of a field, each once, in BSON's order where the library knows it."""
    if not command["key"]:
        message = "FieldPath cannot be constructed with empty string"
        raise operation_failure(40352, "Location40352", message)
    values: dict[Any, Any] = {}
    with server_errors(collection):
        for document in collection.find(filter):
            for value in _values(library, command["key"], document):
                values.setdefault(_identity(value), value)
        return library.in_order(values.values())


def _values(library: Library, key: str, document: Any) -> Iterator[Any]:
    """The values of a field in one document; those of an array one by one."""
    for value in library.values_at(key, document):
        yield from value if isinstance(value, list) else (value,)


def _identity(value: Any) -> Any:
    """What two values have in common that are alike for a server: 1 and 1.0 are, 1 and True not."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number", value
    return encode({"": value})
