"""Stops and resumes the replication of real secondaries, by a fail point.

A member is held when it has everything, so that nothing is on its way to it, and it moves by being
let go until it has everything again: there is nothing in between.
MongoDB source, `rsSyncApplyStop`; MongoDB manual, replSetGetStatus.
"""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Event
from typing import Any, Final

import pymongo
from bson import Timestamp
from pymongo.errors import OperationFailure, PyMongoError

from pytest_replicalag.engines.replicaset.real_set import FAIL_POINT, PATIENCE_MS, RealSet
from pytest_replicalag.errors import NodeError, NodeLostError

__all__ = ["HeldMembers"]

_PATIENCE_S: Final = 30
_OFTEN_S: Final = 0.005


class HeldMembers:
    """The members of a real set. One thread at a time may use it.

    Args:
        real: The set.
    """

    def __init__(self, real: RealSet) -> None:
        self._addresses = [(real.primary.host, real.primary.port), *real.secondaries]
        self._clients: list[Any] = [
            pymongo.MongoClient(
                host,
                port,
                directConnection=True,
                serverSelectionTimeoutMS=PATIENCE_MS,
            )
            for host, port in self._addresses
        ]
        self._held: set[int] = set()

    def hold(self, number: int) -> None:
        """Let a member apply nothing more; one that is held stays so.

        Args:
            number: Its number; 0 is the primary, which is never held.

        Raises:
            NodeLostError: It has gone.
        """
        if number not in self._held:
            self._fail_point(number, "alwaysOn")
            self._held.add(number)

    def let_go(self, number: int) -> None:
        """Let a member apply all there is.

        Raises:
            NodeLostError: It has gone.
        """
        if number in self._held:
            self._fail_point(number, "off")
            self._held.discard(number)

    def bring(self, number: int, optime: Timestamp) -> None:
        """Let a member go, and wait until it has applied an optime.

        Raises:
            NodeError: It has gone, or does not replicate.
        """
        self.let_go(number)
        self._wait(number, "opTime", optime)

    def learn(self, number: int, optime: Timestamp) -> None:
        """Wait until a member knows that a majority has applied an optime.

        Raises:
            NodeError: It has gone, or does not come to know it.
        """
        self._wait(number, "majorityOpTime", optime)

    def _wait(self, number: int, what: str, optime: Timestamp) -> None:
        end_s = time.monotonic() + _PATIENCE_S
        while self._command(number, {"hello": 1})["lastWrite"][what]["ts"] < optime:
            if time.monotonic() > end_s:
                raise NodeError(
                    f"the member at {self._name(number)} has not replicated for {_PATIENCE_S} s"
                )
            Event().wait(_OFTEN_S)  # not time.sleep, which counts as the code under test sleeping

    def close(self) -> None:
        """Let all members go."""
        for number in sorted(self._held):
            with suppress(NodeError):  # it has gone, and is not held by anything
                self.let_go(number)
        for client in self._clients:
            client.close()

    def _fail_point(self, number: int, mode: str) -> None:
        self._command(number, {"configureFailPoint": FAIL_POINT, "mode": mode})

    def _command(self, number: int, command: dict[str, Any]) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = self._clients[number].admin.command(command)
        except OperationFailure as error:
            raise NodeError(f"the member at {self._name(number)} refuses: {error}") from None
        except PyMongoError as error:
            raise NodeLostError(f"the member at {self._name(number)} has gone: {error}") from None
        return reply

    def _name(self, number: int) -> str:
        host, port = self._addresses[number]
        return f"{host}:{port}"
