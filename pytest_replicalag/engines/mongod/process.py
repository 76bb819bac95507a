"""A node of the plugin's own: started as a child, made a replica set of one, and stopped.

MongoDB manual, mongod; replSetInitiate.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import pymongo

from pytest_replicalag.errors import NodeError

__all__ = ["MongodProcess"]

_HOST: Final = "127.0.0.1"
_STARTED_S: Final = 30
"""How long a busy machine may take to start it; usually, it is half a second."""

_OFTEN_S: Final = 0.02
_ENDING_S: Final = 0.5

_OPTIONS: Final = (
    *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64", "--nounixsocket"),
    # A debugger may hold a test for a day, and its lagging members show the same past after it.
    *("--setParameter", "minSnapshotHistoryWindowInSeconds=86400"),
    *("--setParameter", "writePeriodicNoops=false"),
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    # WiredTiger makes room for 33,000 sessions when it starts, 40 MB; one run needs a few dozen.
    *("--wiredTigerEngineConfigString", "session_max=4000"),
)

_SET_NAME: Final = "replicalag"


class MongodProcess:
    """One node, from its start to its end; its data are gone with it.

    Args:
        program: The server's program.

    Attributes:
        port: Its port.
        uri: Its connection string.

    Raises:
        NodeError: It does not start.
    """

    def __init__(self, program: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="replica-lag-mongod-"))
        port = self.port = _free_port()
        self.uri = f"mongodb://{_HOST}:{port}/?directConnection=true"
        self._process = self._executor(program, port)
        try:
            self._process.start()
            self._initiate(port)
        except Exception as error:
            told = self._log_end()
            self.stop()
            raise NodeError(f"{program} did not start: {error}{told}") from None
        except BaseException:  # an interrupt
            self.stop()
            raise

    def _executor(self, program: Path, port: int) -> Any:
        try:
            from mirakuru import TCPExecutor
        except ImportError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise NodeError(
                "to start a mongod, pytest-replicalag needs the package mirakuru; install it with: "
                "pip install 'pytest-replicalag[mongod]'"
            ) from None
        command = [
            str(program),
            *("--port", str(port), "--bind_ip", _HOST, "--replSet", _SET_NAME),
            *("--dbpath", str(self._folder), "--logpath", str(self._folder / "log")),
            *_OPTIONS,
        ]
        return TCPExecutor(command, _HOST, port, timeout=_STARTED_S, sleep=_OFTEN_S)

    def _initiate(self, port: int) -> None:
        """Make it a replica set of one, and wait until it is its primary."""
        config = {
            "_id": _SET_NAME,
            "members": [{"_id": 0, "host": f"{_HOST}:{port}"}],
            # Its data are for one run: a majority has a write that is not on the disk yet.
            "writeConcernMajorityJournalDefault": False,
        }
        client: Any = pymongo.MongoClient(_HOST, port, directConnection=True)
        with client:
            client.admin.command("replSetInitiate", config)
            end_s = time.monotonic() + _STARTED_S
            while not client.admin.command("hello").get("isWritablePrimary"):
                if time.monotonic() > end_s:
                    raise TimeoutError("it does not become primary")
                time.sleep(_OFTEN_S)

    def _log_end(self) -> str:
        """The last messages of its log, each on a line."""
        log = self._folder / "log"
        try:
            rows = [json.loads(line) for line in log.read_text().splitlines()]
            told = [f"{row['msg']} {row.get('attr', '')}" for row in rows if row["s"] in "EF"]
        except (OSError, ValueError, KeyError):
            return ""
        return "".join(f"\n    {line[:200]}" for line in told[-5:])

    @property
    def ending(self) -> str | None:
        """How it has ended; None while it runs."""
        running = self._process.process
        if running is None:
            return None
        try:  # its connections break a moment before it has ended
            code = running.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            return None
        return f"it was killed by signal {-code}" if code < 0 else f"it ended with code {code}"

    def stop(self) -> None:
        """End it and remove its data, which nobody needs."""
        try:
            if self._process.process is not None:
                self._process.kill()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
