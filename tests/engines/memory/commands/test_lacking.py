"""Operators that the reference lists as refused are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.lacking import (
    LACKING,
    LACKING_STAGES,
)


@pytest.fixture
def document(run: Any) -> None:
    run("insert", "c", documents=[{"_id": 1, "a": [1], "b": [2]}])


@pytest.mark.usefixtures("document")
class TestLacking:
    """Each kind of operator."""

    @pytest.mark.parametrize("name", sorted(LACKING["Filters"]))
    def test_filters(self, run: Any, name: str) -> None:
        codes = set()
        for where in ({name: 1}, {"a": {name: 1}}):  # it may stand in one of them
            with pytest.raises(OperationFailure) as failure:
                run("find", "c", filter=where)
            codes.add(failure.value.code)
        assert 115 in codes

    @pytest.mark.parametrize("name", sorted(LACKING_STAGES))
    def test_stages(self, run: Any, refused: Any, name: str) -> None:
        with refused(115):
            run("aggregate", "c", pipeline=[{name: {}}], cursor={})

    @pytest.mark.parametrize("name", sorted(LACKING["Expressions"]))
    def test_expressions(self, run: Any, refused: Any, name: str) -> None:
        with refused(115):
            run("aggregate", "c", pipeline=[{"$project": {"x": {name: ["$a", "$b"]}}}], cursor={})
