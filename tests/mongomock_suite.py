"""Runs mongomock's own test suite with bare clients and with wrapped ones, and compares.

The suite is mongomock's source distribution, fetched with pip for the run. A wrapped client with
lag off must behave as the bare one does; what may differ is listed in `EXPECTED`.

Run: python tests/mongomock_suite.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

EXPECTED = {
    # Sessions work on a wrapped client; mongomock has none.
    "tests/test__client_api.py::MongoClientApiTest::test_start_session": "failed",
    # mongomock breaks on these under pymongo 4.11 and newer; a wrapped client does not.
    "tests/test__collection_api.py::CollectionAPITest::test__bulk_write_matched_count_no_changes": (
        "passed"
    ),
    "tests/test__collection_api.py::CollectionAPITest::"
    "test__bulk_write_matched_count_replace_multiple_objects": "passed",
    "tests/test__collection_api.py::CollectionAPITest::test__bulk_write_replace_one": "passed",
    "tests/test__collection_api.py::CollectionAPITest::test__bulk_write_update_one": "passed",
}

CONFTEST = """
import os
import mongomock

if os.environ["REPLICA_LAG_SUITE"] == "wrapped":
    import pytest_replicalag

    bare = mongomock.MongoClient

    class Wrapping(type):
        def __call__(cls, *args, **kwargs):
            return pytest_replicalag.wrap(bare(*args, **kwargs))

        def __instancecheck__(cls, instance):
            return isinstance(instance, bare)

    class MongoClient(bare, metaclass=Wrapping):
        pass

    mongomock.MongoClient = MongoClient
elif os.environ["REPLICA_LAG_SUITE"] == "drop-in":
    import pytest_replicalag

    mongomock.MongoClient = pytest_replicalag.MongoClient
"""


def fetch(folder: Path) -> Path:
    """mongomock's source distribution of the installed version, unpacked."""
    wanted = f"mongomock=={version('mongomock')}"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "-d", str(folder), wanted], check=True)
    [archive] = folder.glob("mongomock-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def outcomes(suite: Path, kind: str) -> dict[str, str]:
    """The outcome of each test of the suite, by its name."""
    environment = {**os.environ, "REPLICA_LAG_SUITE": kind, "NO_LOCAL_MONGO": "1"}
    command = [sys.executable, "-m", "pytest", "tests", "-rA", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "-W", "ignore", "--tb=no", "-n", "2"],
        cwd=suite,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = {
        name: word.lower()
        for word, name in re.findall(r"^(PASSED|FAILED|ERROR) (\S+)", result.stdout, re.MULTILINE)
    }
    if not found:
        raise SystemExit(f"the suite did not run:\n{result.stdout}\n{result.stderr}")
    return found


def main() -> int:
    """Compare; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        suite = fetch(Path(folder))
        (suite / "conftest.py").write_text(CONFTEST)
        bare = outcomes(suite, "bare")
        bad = 0
        for kind in ("wrapped", "drop-in"):
            here = outcomes(suite, kind)
            different = {
                name
                for name in bare.keys() | here.keys()
                if bare.get(name) != here.get(name) and here.get(name) != EXPECTED.get(name)
            }
            passed = sum(outcome == "passed" for outcome in here.values())
            print(f"{kind}: {passed} of {len(here)} passed; {len(different)} differ unexpectedly")
            for name in sorted(different):
                print(f"  {name}: bare {bare.get(name)}, {kind} {here.get(name)}")
            bad += len(different)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
