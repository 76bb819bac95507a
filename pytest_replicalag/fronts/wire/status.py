"""What administrators' commands tell of the set: its members' states, optimes and configuration.

An application's own check of lag (`replSetGetStatus`) sees the simulated one.
MongoDB manual, replSetGetStatus; serverStatus.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any, Final

from bson import Int64, ObjectId

from pytest_replicalag.fronts.wire.endpoint_set import EndpointSet
from pytest_replicalag.fronts.wire.handshake import VERSION
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.replicaset.member import Member

__all__ = ["Status"]

_PRIMARY: Final = (1, "PRIMARY")
_SECONDARY: Final = (2, "SECONDARY")
_DOWN: Final = (8, "(not reachable/healthy)")
_SET_ID: Final = ObjectId("000000010000000000000000")


class Status:
    """Answers status commands.

    Args:
        simulated_set: The set as its endpoints show it.
    """

    def __init__(self, simulated_set: EndpointSet) -> None:
        self._set = simulated_set

    def replica_set_status(self, request: Request) -> Reply:
        """The members and how far each has come."""
        running, simulated = request.running, self._set
        replica_set = running.replica_set
        committed = simulated.optime(running, replica_set.commit_point())
        applied = simulated.optime(running, replica_set.applied(request.member))
        state, _ = _state(request.member)
        return {
            "set": simulated.name,
            "date": datetime.now(timezone.utc),
            "myState": state,
            "term": Int64(replica_set.oplog.term),
            "syncSourceHost": "",
            "syncSourceId": -1,
            "heartbeatIntervalMillis": Int64(2000),
            "majorityVoteCount": replica_set.majority,
            "writeMajorityCount": replica_set.majority,
            "votingMembersCount": len(replica_set.members),
            "writableVotingMembersCount": len(replica_set.members),
            "optimes": {
                "lastCommittedOpTime": committed,
                "readConcernMajorityOpTime": committed,
                "appliedOpTime": applied,
                "durableOpTime": applied,
            },
            "members": [
                self._member(request, number, host, member)
                for number, (host, member) in enumerate(
                    zip(simulated.hosts(running), replica_set.members, strict=False)
                )
            ],
        }

    def _member(self, request: Request, number: int, host: str, member: Member) -> dict[str, Any]:
        running, simulated = request.running, self._set
        applied = running.replica_set.applied(member)
        optime = simulated.optime(running, applied)
        date = simulated.last_write_date(running, applied)
        state, state_name = _state(member)
        is_self = member is request.member
        replica_set = running.replica_set
        source, source_id = "", -1
        if member.is_up and not member.is_primary:
            source = simulated.host(running, replica_set.primary)
            source_id = replica_set.members.index(replica_set.primary)
        return {
            "_id": number,
            "name": host,
            "health": 1.0 if member.is_up else 0.0,
            "state": state,
            "stateStr": state_name,
            "uptime": int(running.replica_set.clock.now_us // 1_000_000),
            "optime": optime,
            "optimeDate": date,
            "lastAppliedWallTime": date,
            "lastDurableWallTime": date,
            "syncSourceHost": source,
            "syncSourceId": source_id,
            "infoMessage": "",
            "configVersion": simulated.version,
            "configTerm": replica_set.oplog.term,
            **({"self": True} if is_self else {"pingMs": Int64(0)}),
        }

    def replica_set_config(self, request: Request) -> Reply:
        """The set's configuration."""
        members = request.running.replica_set.members
        hosts = self._set.hosts(request.running)
        return {
            "config": {
                "_id": self._set.name,
                "version": self._set.version,
                "term": request.running.replica_set.oplog.term,
                "members": [
                    {
                        "_id": number,
                        "host": host,
                        "arbiterOnly": False,
                        "buildIndexes": True,
                        "hidden": False,
                        "priority": 1,
                        "tags": dict(member.tags),
                        "secondaryDelaySecs": Int64(0),
                        "votes": 1,
                    }
                    for number, (host, member) in enumerate(zip(hosts, members, strict=False))
                ],
                "protocolVersion": Int64(1),
                "writeConcernMajorityJournalDefault": True,
                "settings": {
                    "chainingAllowed": True,
                    "heartbeatIntervalMillis": 2000,
                    "electionTimeoutMillis": 10000,
                    "getLastErrorModes": {},
                    "replicaSetId": _SET_ID,
                },
            }
        }

    def server_status(self, request: Request) -> Reply:
        """The part of a server's status that drivers and tools ask for."""
        hosts = self._set.hosts(request.running)
        is_member = request.connection.endpoint < len(hosts)
        me = self._set.host(request.running, request.member) if is_member else ""
        now = datetime.now(timezone.utc)
        return {
            "host": me,
            "version": VERSION,
            "process": "mongod",
            "pid": Int64(os.getpid()),
            "uptime": request.running.replica_set.clock.now_us / 1_000_000,
            "localTime": now,
            "repl": {
                "setName": self._set.name,
                "setVersion": self._set.version,
                "isWritablePrimary": request.member.is_primary,
                "secondary": not request.member.is_primary,
                "primary": self._set.host(request.running, request.running.replica_set.primary),
                "hosts": hosts,
                "me": me,
            },
            "storageEngine": {
                "name": "wiredTiger",
                "supportsCommittedReads": True,
                "readOnly": False,
                "persistent": False,
            },
            "security": {"authentication": {"mechanisms": {}}},
        }


def _state(member: Member) -> tuple[int, str]:
    if not member.is_up:
        return _DOWN
    return _PRIMARY if member.is_primary else _SECONDARY
