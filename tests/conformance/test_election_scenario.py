"""Elections and rollback: the same steps on a real replica set and on the simulated one."""

from __future__ import annotations

import contextlib
from typing import Any

import mongomock
import pymongo
import pytest
from deployments import MEMBERS, RealSet, _until
from mongod_program import mongod_program
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import PyMongoError
from simulating import simulation_of

from pytest_replicalag.clients import wrap
from pytest_replicalag.control import ReplicaLag
from pytest_replicalag.simulation import governor


class FailingSet(RealSet):
    """A real set whose members may be elected; what is held gets no entries of the oplog at all.

    A member whose appliers are held, as other scenarios do it, still has what it has fetched.
    """

    def _assemble(self) -> None:
        super()._assemble()
        config = self._direct["primary"].admin.command("replSetGetConfig")["config"]
        config["version"] += 1
        config["settings"]["electionTimeoutMillis"] = 1_000
        for member in config["members"]:
            member["priority"] = 1
        self._direct["primary"].admin.command("replSetReconfig", config)

    def hold_all(self) -> None:
        self._producers("alwaysOn")

    def release_all(self) -> None:
        self._producers("off")

    def _producers(self, mode: str) -> None:
        for member in MEMBERS:
            with contextlib.suppress(PyMongoError):  # one may have crashed
                command = {"configureFailPoint": "stopReplProducer", "mode": mode}
                with pymongo.timeout(2):
                    self._direct[member].admin.command(command)

    def primary(self) -> str:
        """The name of the primary, once there is one."""
        found: list[str] = []

        def is_found() -> bool:
            for member in MEMBERS:
                with contextlib.suppress(PyMongoError), pymongo.timeout(2):
                    if self._direct[member].admin.command("hello")["isWritablePrimary"]:
                        found.append(member)
            return bool(found)

        _until(is_found, "a primary")
        return found[-1]

    def crash(self) -> None:
        """Kill the primary; the others elect another one."""
        self._crashed = self.primary()
        self._processes[MEMBERS.index(self._crashed)].kill()
        self.release_all()
        self.primary()

    def restart(self) -> None:
        """Start the one that was killed."""
        self._processes[MEMBERS.index(self._crashed)].start()
        self._until_all_are_there()

    def _until_all_are_there(self) -> None:
        newest = self._applied(self.primary())
        for member in MEMBERS:
            _until(lambda member=member: self._has(member, newest), f"{member} is back")

    def _has(self, member: str, newest: Any) -> bool:
        with contextlib.suppress(PyMongoError):
            return self._applied(member) >= newest
        return False

    def step_down(self, **words: Any) -> Any:
        """Run the command on the primary; the others elect another one."""
        command = {"replSetStepDown": 20, **words}
        reply = self._direct[self.primary()].admin.command(command)
        self.release_all()
        self.primary()
        return reply["ok"]

    def ids_everywhere(self) -> list[list[int]]:
        self._until_all_are_there()
        return [_ids(self._direct[member]) for member in MEMBERS]


class SimulatedSet:
    """The simulated set, by a client on the wire or in process."""

    def __init__(self, client: Any, control: ReplicaLag) -> None:
        self.client = client
        self._control = control

    def hold_all(self) -> None:
        self._control.set_lag("inf")

    def release_all(self) -> None:
        self._control.set_lag("0")

    def crash(self) -> None:
        self._control.crash_primary()
        self.release_all()

    def restart(self) -> None:
        self._control.restart()

    def step_down(self, **words: Any) -> Any:
        if isinstance(self.client, pymongo.MongoClient):
            reply = self.client.admin.command({"replSetStepDown": 20, **words})["ok"]
        else:
            self._control.step_down(force=bool(words.get("force")))
            reply = 1.0
        self.release_all()
        # A driver hears of it meanwhile from a real set; from this one by what it may send again.
        self.client.failing.c.find_one()
        return reply

    def ids_everywhere(self) -> list[list[int]]:
        tags = [{"member": member} for member in MEMBERS]
        return [_ids(self.client, pymongo.read_preferences.Nearest(tag_sets=[tag])) for tag in tags]


def _ids(client: Any, read_preference: Any = ReadPreference.PRIMARY_PREFERRED) -> list[int]:
    collection = client.failing.get_collection("c", read_preference=read_preference)
    return sorted(document["_id"] for document in collection.find())


def observe(deployment: Any) -> list[Any]:
    """Elections of all kinds; returns what a client sees of them, step for step."""
    client = deployment.client
    majority = client.failing.c
    one = client.failing.get_collection("c", write_concern=WriteConcern(w=1))
    seen: list[Any] = [_told(lambda: majority.insert_one({"_id": 0}).inserted_id)]

    deployment.hold_all()
    seen.append(_told(lambda: one.insert_one({"_id": 1}).inserted_id))
    seen.append(_told(lambda: deployment.step_down(secondaryCatchUpPeriodSecs=1)))
    deployment.hold_all()
    deployment.crash()
    seen.append(_told(lambda: one.insert_one({"_id": 2}).inserted_id))
    seen.append(_ids(client))
    deployment.restart()
    seen.append(deployment.ids_everywhere())

    with client.start_session() as session:
        session.start_transaction()
        majority.insert_one({"_id": 3}, session=session)
        seen.append(_told(deployment.step_down))
        seen.append(_told(lambda: majority.insert_one({"_id": 4}, session=session).inserted_id))
        session.abort_transaction()
    seen.append(_told(lambda: majority.update_one({"_id": 2}, {"$set": {"n": 1}}).modified_count))
    seen.append(deployment.ids_everywhere())

    deployment.hold_all()
    seen.append(_told(lambda: one.insert_one({"_id": 5}).inserted_id))
    seen.append(_told(lambda: deployment.step_down(force=True)))
    seen.append(_told(lambda: majority.insert_one({"_id": 6}).inserted_id))
    seen.append(deployment.ids_everywhere())
    return seen


def _told(operation: Any) -> Any:
    """The result of an operation, or the error's class, code and labels.

    Messages have dates and numbers of transactions in them.
    """
    try:
        return operation()
    except PyMongoError as error:
        labels = sorted(error._error_labels)
        return type(error).__name__, getattr(error, "code", None), labels


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """What a client of a real set sees."""
    folder = tmp_path_factory.mktemp("failing_set")
    real = FailingSet.started(mongod_program(folder), folder)
    try:
        return observe(real)
    finally:
        real.stop()


def test_on_the_wire(judged, wire_client):
    simulation = simulation_of(lag="0,0")
    with governor.govern(simulation):
        wire_client.failing.c.drop()
        control = ReplicaLag(simulation, enabled=True)
        assert observe(SimulatedSet(wire_client, control)) == judged


def test_in_process(judged):
    simulation = simulation_of(lag="0,0")
    with governor.govern(simulation):
        control = ReplicaLag(simulation, enabled=True)
        assert observe(SimulatedSet(wrap(mongomock.MongoClient()), control)) == judged


def test_the_scenario_has_what_it_is_about(judged):
    assert judged[2] == ("OperationFailure", 262, [])
    assert judged[4] == [0, 2]  # 1 was rolled back
    assert judged[5] == [[0, 2]] * 3
    assert judged[-1] == [[0, 2, 5, 6]] * 3
