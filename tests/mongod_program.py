"""The MongoDB server that tests run, where it can run."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["mongod_program"]


def mongod_program(folder: Path) -> Path:
    """The server of the wheel, runnable; skips where there is none, and says why."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("the mongod wheel is for Linux on x86-64")
    spec = importlib.util.find_spec("fiftyone")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the mongod wheel is not installed; tox installs it")
    packed = Path(next(iter(spec.submodule_search_locations))) / "db" / "bin" / "mongod"
    program = folder / "mongod"
    shutil.copyfile(packed, program)
    program.chmod(0o755)  # the wheel leaves out the run bit
    try:
        subprocess.run([program, "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the mongod wheel does not run here: {error}")
    return program
