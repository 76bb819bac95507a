"""Finds the server's program; tells what is wrong with one that does not start."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from pytest_replicalag.errors import NodeError

__all__ = ["OLDEST", "check_program", "find_program"]

OLDEST: Final = (5, 0)
"""The first MongoDB that reads its past for everybody: read concern `snapshot`."""

_PATIENCE_S: Final = 4

_VERSION: Final = re.compile(r"^db version v(\d+)\.(\d+)\.\S*", re.MULTILINE)


def find_program(given: str | None) -> Path:
    """The program `mongod`.

    Args:
        given: Its path; None to look for it on `PATH`.

    Raises:
        NodeError: There is none.
    """
    found = shutil.which("mongod") if given is None else given
    if found is None:
        raise NodeError(
            "there is no mongod on PATH; say where there is one: "
            "--replica-lag-mongod=/usr/bin/mongod starts it, and "
            "--replica-lag-mongod=mongodb://127.0.0.1:27017 takes one that runs"
        )
    program = Path(found).expanduser().absolute()
    if not program.is_file():
        raise NodeError(f"{program} is no program: there is no such file")
    return program


def check_program(program: Path) -> None:
    """Look whether it is a server that will do.

    It is asked when it does not start: asking takes as long as a tenth of a start.

    Raises:
        NodeError: It is something else, or too old.
    """
    says = _version_of(program)
    version = _VERSION.search(says)
    if version is None:
        first = says.strip().partition("\n")[0][:100]
        raise NodeError(f"{program} is no mongod: to --version, it says {first!r}")
    if tuple(map(int, version.groups())) < OLDEST:
        raise NodeError(
            f"{program} is MongoDB {version.group().removeprefix('db version v')}, which cannot "
            "read its past; MongoDB 5.0 and newer can"
        )


def _version_of(program: Path) -> str:
    """What the program says to `--version`."""
    try:
        told = subprocess.run(  # noqa: S603 - the user has named it
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NodeError(f"{program} does not run: {error}") from None
    return told.stdout or told.stderr
