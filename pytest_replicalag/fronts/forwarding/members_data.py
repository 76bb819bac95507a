"""How members show what they have: out of one node's past, or each as a node of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from bson import Timestamp

from pytest_replicalag.engines.mongod.history import History
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.governor import ReadPlan
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.read_concern import ReadConcern

__all__ = ["Asked", "MembersData"]


class Asked(Protocol):
    """What answers commands of the plugin's own.

    Attributes:
        name: Host and port.
    """

    name: str

    def command(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Run a command, with its database as `$db`.

        Raises:
            OperationFailure: It is refused.
            NodeLostError: The node has gone.
        """

    def run(self, body: bytes) -> bytes:
        """The body of the reply to a command, as bytes.

        Raises:
            NodeLostError: The node has gone.
        """


class MembersData(Protocol):
    """Asks nodes for what members have. All of it may raise a `NodeError`: a node has gone.

    Attributes:
        are_nodes: Whether each member is a node, which lags really.
    """

    are_nodes: bool

    def primary(self, forwarded: Forwarded) -> Asked:
        """What answers as the primary does now."""

    def follow(self, forwarded: Forwarded, history: History) -> bool:
        """Let the members have what the simulation says; whether all surely answer alike."""

    def reached(
        self, forwarded: Forwarded, history: History, plan: ReadPlan, concern: ReadConcern
    ) -> ReadPlan:
        """Where a read is really answered, once its wait is over."""

    def read(
        self, forwarded: Forwarded, history: History, plan: ReadPlan, concern: ReadConcern
    ) -> bytes:
        """The reply of a member that lags, or to a read with a read concern."""

    def write_no_op(self, forwarded: Forwarded) -> Timestamp | None:
        """Let the primary write the no-op of a linearizable read that fails; returns its optime."""

    def read_newest(self, forwarded: Forwarded, member: Member) -> bytes:
        """The reply of a member that has everything."""

    def read_again(
        self, forwarded: Forwarded, member: Member, time: Timestamp
    ) -> tuple[Asked, dict[str, Any]]:
        """The same read for the plugin's own use, as a member at an optime answers it."""

    def exchange(self, forwarded: Forwarded) -> bytes:
        """The reply to a command on a cursor that a read has opened."""

    def write_body(self, forwarded: Forwarded) -> bytes | None:
        """A write that waits for nobody but the node that makes it; None for it as it came."""

    def writing(self, forwarded: Forwarded, history: History) -> AbstractContextManager[None]:
        """Let a write be made inside."""

    def close(self) -> None:
        """Let the nodes be as they were."""
