"""The endpoints in front of MongoDB nodes and sets, and the node that the run has started."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import RLock
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from pymongo.uri_parser import parse_uri

from pytest_replicalag.engine_choice import REPLICASET, EngineChoice
from pytest_replicalag.engines.mongod.early import early_node
from pytest_replicalag.engines.mongod.node import Node, check_address, credentials, look_at, reach
from pytest_replicalag.engines.mongod.process import MongodProcess
from pytest_replicalag.engines.mongod.program import find_program
from pytest_replicalag.engines.replicaset.real_set import RealSet, look_at_set
from pytest_replicalag.errors import NodeError, NodeLostError
from pytest_replicalag.fronts.forwarding.front import ForwardingFront
from pytest_replicalag.fronts.forwarding.listener import Listener
from pytest_replicalag.fronts.forwarding.members_data import MembersData
from pytest_replicalag.fronts.forwarding.one_node import OneNode
from pytest_replicalag.fronts.forwarding.own_nodes import OwnNodes
from pytest_replicalag.fronts.forwarding.upstream import Upstream
from pytest_replicalag.fronts.wire.callers import Callers
from pytest_replicalag.simulation import governor

__all__ = ["MongodEndpoints"]


class _Started(NamedTuple):
    """The endpoints in front of one node."""

    front: ForwardingFront
    listener: Listener


class MongodEndpoints:
    """The endpoints in front of each node in use.

    Args:
        callers: Finds the lines of code behind commands of this process.
    """

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._started: dict[tuple[str, int], _Started] = {}
        self._nodes: dict[EngineChoice, Node | RealSet | NodeError] = {}
        self._process: MongodProcess | None = None

    @property
    def are_started(self) -> bool:
        """Whether any listen."""
        return bool(self._started)

    def chosen(self, choice: EngineChoice) -> list[int]:
        """The ports in front of the run's node; starts what that needs.

        Raises:
            NodeError: The node cannot be used. It is not tried again: each test would wait for it.
        """
        known = self._nodes.get(choice)
        if known is None:
            try:
                known = self._node(choice)
            except NodeError as error:
                known = error
            self._nodes[choice] = known
        if isinstance(known, NodeError):
            raise known
        return self.in_front_of(known)

    def login(self, choice: EngineChoice) -> tuple[str, str]:
        """Who logs in at the run's node, as parts of a connection string: before and after."""
        is_uri = choice.mongod is not None and "://" in choice.mongod
        return _login(choice.mongod) if is_uri and choice.mongod else ("", "")

    def _node(self, choice: EngineChoice) -> Node | RealSet:
        if choice.engine == REPLICASET:
            return _real_set(choice.mongod or "", choice)
        if choice.mongod is not None and "://" in choice.mongod:
            return reach(choice.mongod, allow_remote=choice.allow_remote)
        if self._process is None:
            early = early_node.take(choice.mongod)
            process = early or MongodProcess(find_program(choice.mongod))
            self._process = process.ready()
        return reach(self._process.uri)

    def named(
        self,
        seeds: Sequence[tuple[str, int]],
        uri: str | None,
        login: Mapping[str, Any],
        choice: EngineChoice,
    ) -> list[int]:
        """The ports in front of the server that a client names.

        A server is looked at once; what is not up then may be later.

        Raises:
            NodeError: It cannot play a set.
        """
        for host, _ in seeds:
            check_address(host, allow_remote=choice.allow_remote)
        host, port = seeds[0]
        started = self._started.get((host, port))
        if started is not None:
            return self._listen(started)
        if choice.engine == REPLICASET:
            # A user in the arguments is refused as one in the connection string is.
            user = f"{quote_plus(login['username'])}@" if login.get("username") else ""
            return self.in_front_of(_real_set(uri or f"mongodb://{user}{host}:{port}", choice))
        node = look_at(host, port, {**(credentials(uri) if uri else {}), **login})
        return self.in_front_of(node)

    def in_front_of(self, behind: Node | RealSet) -> list[int]:
        """The ports of the members in front of a node, or a set; starts what that needs."""
        node = behind.primary if isinstance(behind, RealSet) else behind
        started = self._started.get((node.host, node.port))
        if started is None:
            explain = partial(self._explain, node)
            data: Callable[[RLock], MembersData]
            if isinstance(behind, RealSet):
                connect, data = _to_member(behind), partial(OwnNodes, behind)
            else:
                connect, data = _to_node(node), OneNode
            front = ForwardingFront(governor, node, self._callers, explain, data)
            started = _Started(front, Listener(front.answer, front.ended, connect))
            self._started[node.host, node.port] = started
        return self._listen(started)

    def _explain(self, node: Node, error: NodeLostError) -> NodeLostError:
        """Say how the node has ended, if it is the run's own one."""
        process = self._process
        if process is None or process.port != node.port or (ending := process.ending) is None:
            return error
        return NodeLostError(f"{error}; {ending}")

    def make_room(self) -> None:
        """Listen for every member of the set there is now."""
        for started in self._started.values():
            self._listen(started)

    def _listen(self, started: _Started) -> list[int]:
        ports = started.listener.listen(len(governor.current.replica_set.members))
        with governor.lock:
            known = started.front.endpoint_set.ports
            known.extend(ports[len(known) :])
            self._callers.ports.update(ports)
        return ports

    def stop(self) -> None:
        """Stop them, and the node that was started for them."""
        started, self._started = self._started, {}
        self._nodes.clear()
        for endpoints in started.values():
            endpoints.listener.stop()
            endpoints.front.close()
        process, self._process = self._process, None
        if process is not None:
            process.stop()


def _real_set(uri: str, choice: EngineChoice) -> RealSet:
    """The set that is named, if it can lag for this run alone.

    Raises:
        NodeError: It cannot.
    """
    if os.environ.get("PYTEST_XDIST_WORKER"):
        raise NodeError(
            "the members of one real replica set cannot lag for several workers at once; run "
            "pytest without -n"
        )
    real = look_at_set(uri, allow_remote=choice.allow_remote)
    real.address(len(governor.current.replica_set.secondaries))
    return real


def _to_node(node: Node) -> Callable[[int], Upstream]:
    return lambda _endpoint: Upstream(node.host, node.port)


def _to_member(real: RealSet) -> Callable[[int], Upstream]:
    return lambda endpoint: Upstream(*real.address(endpoint))


def _login(uri: str) -> tuple[str, str]:
    """Who logs in at the node, as the beginning and the options of a connection string."""
    parsed = parse_uri(uri, warn=True)
    if parsed["username"] is None:
        return "", ""
    user = quote_plus(parsed["username"])
    password = quote_plus(parsed["password"] or "")
    options = parsed["options"]
    source = options.get("authsource") or parsed["database"] or "admin"
    mechanism = options.get("authmechanism")
    chosen = f"&authMechanism={mechanism}" if mechanism else ""
    return f"{user}:{password}@", f"&authSource={quote_plus(source)}{chosen}"
