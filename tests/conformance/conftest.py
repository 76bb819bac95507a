"""The real replica set that is the judge, where its server can run."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pymongo
import pytest

from pytest_replicalag.endpoints import Endpoints


def mongod_program(folder: Path) -> Path:
    """The server of the wheel, runnable; skips where there is none, and says why."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("the mongod wheel is for Linux on x86-64")
    spec = importlib.util.find_spec("fiftyone")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the mongod wheel is not installed; run: tox run -e replica-set")
    packed = Path(next(iter(spec.submodule_search_locations))) / "db" / "bin" / "mongod"
    program = folder / "mongod"
    shutil.copyfile(packed, program)
    program.chmod(0o755)  # the wheel leaves out the run bit
    try:
        subprocess.run([program, "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the mongod wheel does not run here: {error}")
    return program


@pytest.fixture(scope="session")
def real_set(tmp_path_factory):
    """A running replica set of three."""
    from deployments import RealSet

    folder = tmp_path_factory.mktemp("real_set")
    real = RealSet.started(mongod_program(folder), folder)
    try:
        yield real
    finally:
        real.stop()


@pytest.fixture(scope="session")
def wire_client():
    """PyMongo, connected to the endpoints of the simulated set."""
    endpoints = Endpoints()
    with pymongo.MongoClient(endpoints.uri) as client:
        yield client
    endpoints.stop()
