"""Packages of npm that tests need; they skip where there is no npm, and say why."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["npm_package"]


def npm_package(name: str, folder: Path) -> Path:
    """The folder `node_modules` in which a package is installed.

    Args:
        name: The package, with its version, such as `mongodb@7`.
        folder: Where it may be installed.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} on the path")
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"]
    try:
        subprocess.run(
            ["npm", "install", *options, "--prefix", str(folder), name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except subprocess.CalledProcessError as error:
        told = [line for line in error.stderr.splitlines() if "complete log" not in line]
        pytest.skip(f"npm cannot install {name}: {' '.join(told[-1:])}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm cannot install {name}: no answer within a minute")
    return folder / "node_modules"
