"""Recorded replies of a MongoDB 6.0.5 server, and what is known to differ from them.

The lists of known differences are strict: a line that is listed and agrees fails as well. Each of
their groups is a sentence of the reference page of limits.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from recorded_replies import differences

from pytest_replicalag.engines.memory.library import NAMES

HERE = Path(__file__).parent
FILES = sorted((HERE / "recorded").glob("*.json"))
LISTS = sorted((HERE / "known_differences").glob("*.txt"))
LIMITS = HERE.parents[3] / "docs" / "reference" / "limits.md"


def known(library: str, file: str) -> set[int]:
    """The numbers of the lines of a file that are known to differ."""
    release = ".".join(version(library.replace("_", "-")).split(".")[:2])
    lists = (
        HERE / "known_differences" / f"{name}.txt" for name in (library, f"{library}-{release}")
    )
    rows = [row for one in lists if one.exists() for row in one.read_text("utf-8").splitlines()]
    numbers = [row.removeprefix(f"{file}: ") for row in rows if row.startswith(f"{file}: ")]
    return {int(number) for row in numbers for number in row.split()}


@pytest.mark.parametrize("library", NAMES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_replies_as_a_server(library, path):
    pytest.importorskip(library)
    found = dict(differences(library, path))
    expected = known(library, path.stem)
    new = [f"{path.name}:{number} {found[number]}" for number in sorted(found.keys() - expected)]
    assert not new, "\n".join(new)
    assert not expected - found.keys(), "these agree with the server; take them off the list"


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_each_known_difference_is_a_limit(path):
    limits = " ".join(LIMITS.read_text("utf-8").split())
    groups = [row[2:] for row in path.read_text("utf-8").splitlines() if row.startswith("# ")]
    assert groups
    assert [group for group in groups if group not in limits] == []
