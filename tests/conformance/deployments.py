"""Two deployments with one face: a real replica set of three, and the simulated one.

A scenario is a function of a deployment. It makes operations and notes what it observed; both
deployments must have observed the same.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mongomock
import pymongo
from mirakuru import TCPExecutor
from mirakuru.exceptions import ExecutorError
from pymongo import ReadPreference
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import Secondary
from pymongo.write_concern import WriteConcern

from pytest_replicalag import wrap
from pytest_replicalag.options import Given
from pytest_replicalag.settings import resolve
from pytest_replicalag.simulation import Simulation, governor

MEMBERS = ("primary", "secondary-1", "secondary-2")
SECONDARIES = MEMBERS[1:]

# A set that got stuck ends the test; it does not hang the run.
_PATIENCE: Any = {"socketTimeoutMS": 30_000, "serverSelectionTimeoutMS": 30_000}

# Seconds for one process to listen, and for the listening processes to become a set. A busy
# machine needs about 2 and 10; twice all of it is less than the test run's own limit.
_LISTENING = 15
_ASSEMBLED = 40


def on(member: str) -> Any:
    """The read preference that asks for one member."""
    if member == "primary":
        return ReadPreference.PRIMARY
    return Secondary(tag_sets=[{"member": member}])


class Deployment:
    """What scenarios use.

    Attributes:
        client: A client of the set.
        database: An empty database for the scenario.
    """

    client: Any
    database: Any

    def collection(
        self,
        name: str = "c",
        *,
        member: str | None = None,
        w: Any = None,
        wtimeout: int | None = None,
        level: str | None = None,
    ) -> Any:
        """A collection with options."""
        concern = None
        if w is not None or wtimeout is not None:
            concern = WriteConcern(w=w, wtimeout=wtimeout)
        return self.database.get_collection(
            name,
            read_preference=None if member is None else on(member),
            write_concern=concern,
            read_concern=None if level is None else ReadConcern(level),
        )

    def hold(self, *members: str) -> None:
        """Stop replication on these secondaries."""
        raise NotImplementedError

    def release(self) -> None:
        """Let all secondaries replicate, and wait until they have everything."""
        raise NotImplementedError

    def catch_up(self, member: str) -> None:
        """Let a held secondary apply all there is, and hold it again."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until the secondaries that are not held have everything."""
        raise NotImplementedError


class Simulated(Deployment):
    """The simulated set; secondaries lag only while held."""

    def __init__(self) -> None:
        settings = resolve([{"lag": Given(source="test", value="0")}])
        self._simulation = Simulation(settings, "conformance")

    def hold(self, *members: str) -> None:
        self._simulation.replica_set.pause(members)

    def release(self) -> None:
        self._simulation.replica_set.resume(SECONDARIES)

    def catch_up(self, member: str) -> None:
        self._simulation.replica_set.catch_up([member])

    def settle(self) -> None:
        pass

    @contextlib.contextmanager
    def scenario(self) -> Iterator[Deployment]:
        """Let a scenario run inside."""
        with governor.govern(self._simulation):
            yield self


class InProcess(Simulated):
    """The simulated set through the in-process front.

    Args:
        library: Holds the data: mongomock or mongomock-ng.
    """

    def __init__(self, library: Any = mongomock) -> None:
        super().__init__()
        self.client = wrap(library.MongoClient())
        self.database = self.client.scenario


class OnTheWire(Simulated):
    """The simulated set through its endpoints, and PyMongo itself.

    Args:
        client: Connected to them.
    """

    def __init__(self, client: Any) -> None:
        super().__init__()
        self.client = client
        self.database = client.scenario
        client.drop_database("scenario")


class RealSet(Deployment):
    """Three mongod processes; replication is held by a fail point.

    Args:
        mongod: The server's program.
        folder: Where it may keep data and logs; there must be nothing yet.
    """

    def __init__(self, mongod: Path, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._ports = [_free_port() for _ in MEMBERS]
        self._processes = [
            self._process(mongod, folder / name, port)
            for name, port in zip(MEMBERS, self._ports, strict=True)
        ]
        self._direct: dict[str, Any] = {}
        self.client = None
        self._held: set[str] = set()
        self._number = 0

    @classmethod
    def started(cls, mongod: Path, folder: Path) -> RealSet:
        """A running set; a start that fails is tried once more, with fresh processes and ports.

        Raises:
            RuntimeError: It did not start the second time either; the text holds the logs' ends.
        """
        try:
            return cls._try(mongod, folder / "first")
        except RuntimeError as error:
            logging.getLogger(__name__).warning("%s", error)  # shown if the next start fails too
        return cls._try(mongod, folder / "second")

    @classmethod
    def _try(cls, mongod: Path, folder: Path) -> RealSet:
        real = cls(mongod, folder)
        try:
            real._start()
        except (ExecutorError, PyMongoError, TimeoutError) as error:
            logs = "\n".join(real._logs())  # before the end of one member fills the others' logs
            real.stop()
            raise RuntimeError(f"the real replica set did not start: {error}\n{logs}") from error
        except BaseException:
            real.stop()
            raise
        return real

    def _logs(self) -> Iterator[str]:
        """The end of what each member logged."""
        for name in MEMBERS:
            yield f"--- {name}"
            log = self._folder / name / "log"
            for line in log.read_text().splitlines()[-15:] if log.exists() else ["no log"]:
                with contextlib.suppress(ValueError, KeyError):
                    row = json.loads(line)
                    line = f"{row['t']['$date']} {row['c']} {row['msg']} {row.get('attr', '')}"
                yield line[:300]

    @staticmethod
    def _process(mongod: Path, folder: Path, port: int) -> TCPExecutor:
        folder.mkdir()
        command = (
            f"{mongod} --port {port} --bind_ip 127.0.0.1 --nounixsocket --dbpath {folder} "
            f"--replSet real --logpath {folder}/log --wiredTigerCacheSizeGB 0.25 --oplogSize 64 "
            "--setParameter enableTestCommands=1 --setParameter writePeriodicNoops=false "
            "--setParameter enableFlowControl=false "
            "--setParameter shutdownTimeoutMillisForSignaledShutdown=0"
        )
        return TCPExecutor(command, host="127.0.0.1", port=port, timeout=_LISTENING)

    def _start(self) -> None:
        """Start the processes and make them a replica set."""
        for process in self._processes:
            process.start()
        with pymongo.timeout(_ASSEMBLED):
            self._assemble()

    def _assemble(self) -> None:
        """Make the running processes a replica set with a primary and two secondaries."""
        members = [
            {
                "_id": number,
                "host": f"127.0.0.1:{port}",
                "priority": 1 if name == "primary" else 0,
                "tags": {"member": name},
            }
            for number, (name, port) in enumerate(zip(MEMBERS, self._ports, strict=True))
        ]
        self._direct = {
            name: pymongo.MongoClient("127.0.0.1", port, directConnection=True, **_PATIENCE)
            for name, port in zip(MEMBERS, self._ports, strict=True)
        }
        settings = {
            "electionTimeoutMillis": 60_000,
            # Members tell each other how far they are by heartbeats; frequent ones save time.
            "heartbeatIntervalMillis": 100,
            # A secondary that copied from a held one would be held with it, and no write with
            # a majority concern would ever end.
            "chainingAllowed": False,
        }
        config = {"_id": "real", "members": members, "settings": settings}
        self._direct["primary"].admin.command("replSetInitiate", config)
        _until(self._becomes_primary, "the first member becomes primary")
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        self.client = pymongo.MongoClient(f"mongodb://{hosts}/?replicaSet=real", **_PATIENCE)
        self.client.admin.command("ping")
        _until(
            lambda: len(self.client.secondaries) == len(SECONDARIES),
            "the others become secondaries",
        )
        self.client.admin.command(
            {"setDefaultRWConcern": 1, "defaultReadConcern": {"level": "local"}}
        )

    def _becomes_primary(self) -> bool:
        """Elect the first member at once, not after the election timeout."""
        admin = self._direct["primary"].admin
        if admin.command("hello")["isWritablePrimary"]:
            return True
        with contextlib.suppress(PyMongoError):
            admin.command("replSetStepUp", 1)
        return False

    @property
    def uri(self) -> str:
        """Its connection string."""
        return f"mongodb://127.0.0.1:{self._ports[0]}/?replicaSet=real"

    def stop(self) -> None:
        """End clients and processes."""
        for client in [self.client, *self._direct.values()]:
            if client is not None:
                client.close()
        for process in self._processes:
            # Nobody needs the data, and so a held or stuck member ends too.
            process.kill()

    def hold(self, *members: str) -> None:
        for member in members:
            self._fail_point(member, "alwaysOn")
            self._held.add(member)
            waiting = {
                "waitForFailPoint": "rsSyncApplyStop",
                "timesEntered": 1,
                "maxTimeMS": 20_000,
            }
            self._direct[member].admin.command(waiting)

    def release(self) -> None:
        for member in SECONDARIES:
            self._fail_point(member, "off")
        self._held.clear()
        self.settle()

    def catch_up(self, member: str) -> None:
        newest = self._applied("primary")
        self._fail_point(member, "off")
        self._until_applied(member, newest)
        self._held.discard(member)
        self.settle()
        self.hold(member)

    def _fail_point(self, member: str, mode: str) -> None:
        command = {"configureFailPoint": "rsSyncApplyStop", "mode": mode}
        self._direct[member].admin.command(command)

    def settle(self) -> None:
        newest = self._applied("primary")
        free = [member for member in SECONDARIES if member not in self._held]
        for member in free:
            self._until_applied(member, newest)
        if len(free) + 1 > len(MEMBERS) // 2:
            # The commit point reaches the members a moment after the entries.
            for member in ["primary", *free]:
                _until(
                    lambda member=member: self._committed(member) >= newest,
                    f"{member} knows that a majority has everything",
                )

    def _until_applied(self, member: str, newest: Any) -> None:
        # A secondary may leave a source of entries that has failed it once alone for a minute.
        _until(lambda: self._applied(member) >= newest, f"{member} has all", seconds=100)

    def _applied(self, member: str) -> Any:
        status = self._direct[member].admin.command("replSetGetStatus")
        return status["optimes"]["appliedOpTime"]["ts"]

    def _committed(self, member: str) -> Any:
        status = self._direct[member].admin.command("replSetGetStatus")
        return status["optimes"]["readConcernMajorityOpTime"]["ts"]

    @contextlib.contextmanager
    def program(self) -> Iterator[Deployment]:
        """Let a program run inside; its collections' names are its own, its database is not."""
        self.database = self.client.scenario
        yield self

    @contextlib.contextmanager
    def scenario(self) -> Iterator[Deployment]:
        """Let a scenario run inside, in a database of its own."""
        self.release()  # whoever else has held them
        self._number += 1
        self.database = self.client[f"scenario{self._number}"]
        try:
            yield self
        finally:
            self.release()
            self.client.drop_database(self.database)


def observed(operation: Callable[[], Any]) -> Any:
    """What a client sees of an operation: its result, or the error's class, code and details."""
    try:
        result = operation()
    except PyMongoError as error:
        details = getattr(error, "details", None)
        if not isinstance(details, dict):
            return type(error).__name__
        told = {
            key: details[key]
            for key in ("code", "codeName", "errmsg", "errInfo", "nInserted", "writeConcernErrors")
            if key in details
        }
        return type(error).__name__, getattr(error, "code", None), told
    return list(result) if hasattr(result, "__next__") else result


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain until {what}")
        time.sleep(0.02)
