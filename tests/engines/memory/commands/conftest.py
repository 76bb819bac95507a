"""An engine without a front: commands go in as documents, and replies come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory import commands
from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.engines.memory.library import library_of

Run = Callable[..., Any]


@pytest.fixture
def run() -> Run:
    """Runs a command on an empty engine of mongomock-ng: its name, its target, its fields."""
    mongomock_ng = pytest.importorskip("mongomock_ng")
    client = mongomock_ng.MongoClient()
    library = library_of(client)
    assert library is not None
    engine = MemoryEngine(library, client)

    def run(name: str, target: Any, **fields: Any) -> Any:
        command = {name: target, "$db": "shop", **fields}
        commands.check_fields(name, command)
        is_read = name in ("find", "aggregate", "count", "distinct")
        writes_out = any(stage in str(fields.get("pipeline")) for stage in ("$out", "$merge"))
        if is_read and not writes_out:
            read = commands.read(name, command, library)
            found = read.run(engine.live("shop", str(target), client.codec_options))
            return read.window(found) if name == "find" else found
        if is_read or name in ("insert", "update", "delete", "findAndModify"):
            return commands.write(name, command, engine.live_client)
        return commands.catalog(name, command, engine.live_client)

    return run


@pytest.fixture
def refused() -> Any:
    """A block that must fail with that code."""

    @contextmanager
    def refused(code: int) -> Iterator[None]:
        with pytest.raises(OperationFailure) as caught:
            yield
        assert caught.value.code == code, caught.value

    return refused
