"""Which member serves a read that has come to an endpoint.

Driver specification, Server Selection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import PyMongoError
from pymongo.read_preferences import make_read_preference, read_pref_mode_from_name

from pytest_replicalag.fronts.subject import Subject
from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.selection import may_read_from_secondary

__all__ = ["ReadPreferences", "check_secondary_ok"]

_PRIMARY: Final = make_read_preference(0, None)


class ReadPreferences:
    """The read preferences that commands bring along; each is parsed once."""

    def __init__(self) -> None:
        self._preferences: dict[str, Any] = {}

    def preference(self, request: Request) -> Any:
        """The read preference of a command."""
        sent = request.command.get("$readPreference")
        if not sent:
            return _PRIMARY
        key = repr(sent)
        preference = self._preferences.get(key)
        if preference is None:
            preference = self._preferences[key] = _preference(sent)
        return preference

    def serving(
        self,
        request: Request,
        preference: Any,
        *,
        for_stream: bool = False,
        subject: Subject | None = None,
    ) -> Member:
        """The member that answers, or that serves a change stream.

        The driver has picked an endpoint by chance among the eligible ones. The set's own rule
        picks again, so that the outcome does not hang on that; a direct connection pins it.

        Raises:
            OperationFailure: A secondary was asked for what only a primary answers.
        """
        # A driver asks a secondary so over a direct connection, or if it was the primary just now.
        check_secondary_ok(request.member, preference)
        request.serving = member = self._chosen(request, preference, for_stream, subject)
        return member

    def _chosen(
        self, request: Request, preference: Any, for_stream: bool, subject: Subject | None
    ) -> Member:
        running, own = request.running, request.member
        may_be_stale = may_read_from_secondary(preference)
        if request.is_direct:
            running.member_named()
            running.count_read(may_be_stale=may_be_stale or not own.is_primary)
            return own
        try:
            return running.select(preference, for_stream=for_stream, subject=subject)
        except PyMongoError:  # the driver has chosen by an older description of the set
            running.count_read(may_be_stale=may_be_stale)
            return own


def check_secondary_ok(member: Member, preference: Any) -> None:
    """Refuse what asks a secondary for the primary's answer.

    Raises:
        OperationFailure: Error 13435.
    """
    if preference.mode == 0 and not member.is_primary:
        message = "not primary and secondaryOk=false"
        raise server_errors.operation_failure(13435, "NotPrimaryNoSecondaryOk", message)


def _preference(sent: Mapping[str, Any]) -> Any:
    """The read preference that a driver sends.

    Raises:
        OperationFailure: It is none.
    """
    try:
        mode = read_pref_mode_from_name(sent["mode"])
        return make_read_preference(mode, sent.get("tags"), sent.get("maxStalenessSeconds", -1))
    except (KeyError, ValueError, TypeError, PyMongoError) as error:
        raise server_errors.operation_failure(
            9, "FailedToParse", f"Could not parse $readPreference document {sent}: {error}"
        ) from None
