"""A node of the plugin's own: started as a child, made a replica set of one, and stopped.

MongoDB manual, mongod; replSetInitiate.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pytest_replicalag.engines.mongod.program import check_program
from pytest_replicalag.errors import NodeError

__all__ = ["MongodProcess"]

_HOST: Final = "127.0.0.1"
_STARTED_S: Final = 30
"""How long a busy machine may take to start it; usually, it is half a second."""

_SOON_S: Final = 1
"""What does not answer by then is asked whether it is a server at all."""

_OFTEN_S: Final = 0.005
_ENDING_S: Final = 0.5
_STOPPED_S: Final = 5

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

_GUARDED: Final = """
exec 3<&0 </dev/null
folder=$1; shift
"$@" 3<&- & node=$!
( read -r _ <&3; trap "" TERM; kill -KILL $node ) & guard=$!
exec 3<&-
wait $node; code=$?
kill $guard
wait $guard && rm -rf "$folder"
exit $code
"""
"""A shell that runs a program; when its own input ends, it ends that and removes its folder.

The run holds the other end of that pipe, so the node goes with it, also if it is killed. A node
that ends by itself leaves its folder, whose log tells why.
"""

_SIGNALLED: Final = 128
"""A shell adds this to the number of the signal that has ended a program."""


class MongodProcess:
    """One node, from its start to its end; its data are gone with it.

    It is started at once, and `ready` waits until it can be used.

    Args:
        program: The server's program.

    Attributes:
        port: Its port.
        uri: Its connection string.

    Raises:
        NodeError: It does not start.
    """

    def __init__(self, program: Path) -> None:
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="replica-lag-mongod-"))
        self.port = _free_port()
        self.uri = f"mongodb://{_HOST}:{self.port}/?directConnection=true"
        self._is_checked = False
        self._began_s = 0.0
        try:
            self._process = self._executor()
            self._process.start()
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise NodeError(f"{program} does not run: {error}") from None
        except BaseException:  # an interrupt
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _executor(self) -> Any:
        try:
            from mirakuru import SimpleExecutor
        except ImportError:
            raise NodeError(
                "to start a mongod, pytest-replicalag needs the package mirakuru; install it with: "
                "pip install 'pytest-replicalag[mongod]'"
            ) from None
        command = [
            str(self._program),
            *("--port", str(self.port), "--bind_ip", _HOST, "--replSet", _SET_NAME),
            *("--dbpath", str(self._folder), "--logpath", str(self._folder / "log")),
            *_OPTIONS,
        ]
        if os.name == "posix":
            command = ["/bin/sh", "-c", _GUARDED, "mongod-guard", str(self._folder), *command]
        # What a program has to say is asked of it if it does not start.
        quiet = subprocess.DEVNULL
        return SimpleExecutor(command, timeout=_STARTED_S, sleep=_OFTEN_S, stderr=quiet)

    def ready(self) -> MongodProcess:
        """Wait until it is a replica set of one, and its primary; returns itself.

        Raises:
            NodeError: It does not start, or is no server that will do; it is stopped.
        """
        try:
            self._began_s = time.monotonic()
            self._process.start()  # its time begins now, however long ago it was started
            self._process.wait_for(self._answers)
            self._initiate()
        except NodeError:
            self.stop()
            raise
        except Exception as error:
            told = self._log_end()
            self.stop()
            raise NodeError(f"{self._program} did not start: {error}{told}") from None
        except BaseException:  # an interrupt
            self.stop()
            raise
        return self

    def _answers(self) -> bool:
        """Whether it accepts connections.

        Raises:
            NodeError: It is no server that will do, or has ended.
        """
        code = self._process.process.poll()
        is_late = time.monotonic() > self._began_s + _SOON_S
        if not self._is_checked and (code is not None or is_late):
            self._is_checked = True
            check_program(self._program)
        if code is not None:
            raise RuntimeError(f"it has ended with code {code}")
        with socket.socket() as probe:
            return probe.connect_ex((_HOST, self.port)) == 0

    def _initiate(self) -> None:
        """Make it a replica set of one, and wait until it is its primary."""
        import pymongo  # a node may be started before anything needs the driver

        config = {
            "_id": _SET_NAME,
            "members": [{"_id": 0, "host": f"{_HOST}:{self.port}"}],
            # Its data are for one run: a majority has a write that is not on the disk yet.
            "writeConcernMajorityJournalDefault": False,
        }
        client: Any = pymongo.MongoClient(_HOST, self.port, directConnection=True)
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
        signal = code - _SIGNALLED if code > _SIGNALLED else -code
        return f"it was killed by signal {signal}" if signal > 0 else f"it ended with code {code}"

    def stop(self) -> None:
        """End it and remove its data, which nobody needs."""
        running = self._process.process
        try:
            if running is not None:
                running.stdin.close()
                with suppress(subprocess.TimeoutExpired):
                    running.wait(_STOPPED_S)
                self._process.kill()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
