"""Commands about logical sessions: their start, their ends, and which there are."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from bson import Binary
from bson.binary import UUID_SUBTYPE

from pytest_replicalag.engines.types import wrong_type
from pytest_replicalag.fronts.wire.cursors import Cursors
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.fronts.wire.sessions import TIMEOUT_MINUTES, ServerSession, Sessions
from pytest_replicalag.replicaset import transaction_errors

__all__ = ["SessionCommands"]

_NOBODY: Final = hashlib.sha256(b"").digest()
"""What a server without users has for the user of a session."""


class SessionCommands:
    """Answers them.

    Args:
        sessions: The sessions that there are.
        cursors: The cursors that are open.
    """

    def __init__(self, sessions: Sessions, cursors: Cursors) -> None:
        self._sessions = sessions
        self._cursors = cursors

    def start(self, request: Request) -> Reply:
        """A new session."""
        lsid = {"id": Binary(uuid.uuid4().bytes, UUID_SUBTYPE)}
        self._sessions.get(lsid)
        return {"id": lsid, "timeoutMinutes": TIMEOUT_MINUTES}

    def end(self, request: Request) -> Reply:
        """Let snapshots go; a server only forgets sessions some day, with what they have open."""
        for session in self._sessions.known(_ids(request)):
            session.let_go(request.running)
        return {}

    def kill(self, request: Request) -> Reply:
        """Abort what sessions have under way; all of them if none is named."""
        lsids = _ids(request)
        for session in self._sessions.known(lsids) if lsids else self._sessions.all:
            self._kill(request, session)
        return {}

    def kill_all(self, request: Request) -> Reply:
        """Abort what all sessions have under way."""
        for session in self._sessions.all:
            self._kill(request, session)
        return {}

    def _kill(self, request: Request, session: ServerSession) -> None:
        session.abort()
        session.let_go(request.running)
        self._cursors.close_session(session)

    def list_in_place(self, request: Request) -> None:
        """Put the sessions there are in place of a pipeline's stage that asks for them.

        Raises:
            OperationFailure: It is a transaction that asks.
        """
        pipeline = request.command["pipeline"]
        if not pipeline or "$listLocalSessions" not in pipeline[0] or request.collection:
            return
        if request.in_transaction:
            raise transaction_errors.stage_not_permitted("$listLocalSessions")
        now = datetime.now(timezone.utc)
        sessions = [
            {"_id": {"id": session.lsid["id"], "uid": _NOBODY}, "lastUse": now}
            for session in self._sessions.all
        ]
        request.command["pipeline"] = [{"$documents": sessions}, *pipeline[1:]]


def _ids(request: Request) -> list[Mapping[str, Any]]:
    """The session ids that a command names.

    Raises:
        OperationFailure: They are none.
    """
    lsids = request.command[request.name]
    path = f"{request.name}.{request.name}"
    if not isinstance(lsids, list):
        raise wrong_type(path, lsids, ("array",))
    for number, lsid in enumerate(lsids):
        if not isinstance(lsid, dict):
            raise wrong_type(f"{path}.{number}", lsid, ("object",))
        if not isinstance(lsid.get("id"), bytes):
            raise wrong_type(f"{path}.id", lsid.get("id"), ("binData",))
    return lsids
