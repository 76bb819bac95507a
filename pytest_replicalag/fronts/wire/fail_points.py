"""Fail points: a server's own way to make commands fail for a test.

`failCommand` lets commands fail, or their connection close, or their answer wait; drivers' test
suites use it, and so can tests of an application's retries. `rsSyncApplyStop` stops a secondary
from applying, as `replica_lag.pause` does.
Driver specifications, `failCommand`; the server's documentation, The failCommand Fail Point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pymongo.errors import OperationFailure

from pytest_replicalag.fronts.wire.kinds import ENDINGS
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.replicaset.error_labels import (
    RESUMABLE_STREAM,
    RESUMABLE_STREAM_CODES,
    RETRYABLE_WRITE,
    RETRYABLE_WRITE_CODES,
    TRANSIENT_TRANSACTION,
    TRANSIENT_TRANSACTION_CODES,
)
from pytest_replicalag.replicaset.server_errors import max_time_expired, operation_failure

__all__ = ["FailPoints", "Fault"]


_NAMES: Final = {
    2: "BadValue",
    6: "HostUnreachable",
    7: "HostNotFound",
    8: "UnknownError",
    11: "UserNotFound",
    24: "LockTimeout",
    46: "LockBusy",
    50: "MaxTimeMSExpired",
    64: "WriteConcernFailed",
    79: "UnknownReplWriteConcern",
    89: "NetworkTimeout",
    91: "ShutdownInProgress",
    100: "UnsatisfiableWriteConcern",
    112: "WriteConflict",
    134: "ReadConcernMajorityNotAvailableYet",
    189: "PrimarySteppedDown",
    246: "SnapshotUnavailable",
    251: "NoSuchTransaction",
    262: "ExceededTimeLimit",
    263: "OperationNotSupportedInTransaction",
    267: "PreparedTransactionInProgress",
    9001: "SocketException",
    10107: "NotWritablePrimary",
    11600: "InterruptedAtShutdown",
    11601: "Interrupted",
    11602: "InterruptedDueToReplStateChange",
    13388: "StaleConfig",
    13435: "NotPrimaryNoSecondaryOk",
    13436: "NotPrimaryOrSecondary",
}


@dataclass(slots=True, kw_only=True)
class _FailCommand:
    """One member's `failCommand`, while it is on.

    Attributes:
        data: Which commands, and what becomes of them.
        left: How many times it still fires; None for always.
        skip: How many times it lets pass first.
    """

    data: Mapping[str, Any]
    left: int | None
    skip: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one command.

    Attributes:
        error: The reply in place of running it, or None.
        closes: Whether its connection is closed instead.
        applies: Whether it is run before its connection is closed.
        wait_s: How long it waits first, in seconds.
        write_concern_error: What is added to its reply, or None.
        labels: The error labels that its reply has in place of its own, or None.
    """

    error: OperationFailure | None = None
    closes: bool = False
    applies: bool = False
    wait_s: float = 0.0
    write_concern_error: Mapping[str, Any] | None = None
    labels: list[str] | None = field(default=None)

    def changed(self, reply: Reply) -> Reply:
        """The reply of a command that has run."""
        if self.write_concern_error is None:
            return reply
        error = dict(self.write_concern_error)
        error.setdefault("codeName", _NAMES.get(error.get("code", 0), ""))
        labels = {} if self.labels is None else {"errorLabels": self.labels}
        return {**reply, "writeConcernError": error, **labels}


_Concerns: TypeAlias = Callable[[Mapping[str, Any], Request], bool]
_Makes: TypeAlias = Callable[[Mapping[str, Any], Request], Fault]


class FailPoints:
    """The fail points of all members."""

    def __init__(self) -> None:
        self._points: dict[tuple[str, int], _FailCommand] = {}
        self._fired = 0

    def clear(self) -> None:
        """Switch all off: another test's set takes over."""
        self._points.clear()

    def configure(self, request: Request) -> Reply:
        """Answer `configureFailPoint`.

        Raises:
            OperationFailure: There is no such fail point, or no such mode.
        """
        name, mode = request.command["configureFailPoint"], request.command.get("mode")
        if name == "rsSyncApplyStop":
            self._stop_applying(request, mode)
            return {"count": 0}
        if name not in _FAULTS:
            raise operation_failure(
                15891,
                "Location15891",
                f"{name} not found; pytest-replicalag has {', '.join(_FAULTS)} and rsSyncApplyStop",
            )
        key, data = (name, request.connection.endpoint), request.command.get("data") or {}
        if mode == "off":
            self._points.pop(key, None)
        elif mode == "alwaysOn":
            self._points[key] = _FailCommand(data=data, left=None)
        elif isinstance(mode, Mapping) and isinstance(mode.get("times"), int):
            self._points[key] = _FailCommand(data=data, left=mode["times"])
        elif isinstance(mode, Mapping) and isinstance(mode.get("skip"), int):
            self._points[key] = _FailCommand(data=data, left=None, skip=mode["skip"])
        else:
            raise operation_failure(
                9,
                "FailedToParse",
                f"unknown mode {mode!r}; write 'off', 'alwaysOn', {{times: N}} or {{skip: N}}",
            )
        return {"count": self._fired}

    def _stop_applying(self, request: Request, mode: Any) -> None:
        member, replica_set = request.member, request.running.replica_set
        if member.is_primary:
            return  # it applies nothing
        if mode == "off":
            replica_set.resume([member.name])
        else:
            replica_set.pause([member.name])

    def fault(self, request: Request) -> Fault | None:
        """What happens to a command; None for nothing out of the ordinary."""
        if not self._points:
            return None
        for name, (concerns, fault) in _FAULTS.items():
            key = (name, request.connection.endpoint)
            point = self._points.get(key)
            if (
                point is not None
                and concerns(point.data, request)
                and self._fires(key, point, request)
            ):
                return fault(point.data, request)
        return None

    def _fires(self, key: tuple[str, int], point: _FailCommand, request: Request) -> bool:
        count = _statements(request) if key[0] == "onPrimaryTransactionalWrite" else 1
        if point.skip >= count:
            point.skip -= count
            return False
        if point.left is not None:
            point.left -= 1
            if point.left <= 0:
                del self._points[key]
        self._fired += 1
        return True


def _concerns(data: Mapping[str, Any], request: Request) -> bool:
    name, named = request.name, data.get("failCommands", [])
    if name not in named:
        return False
    application = request.connection.client.get("application", {}).get("name")
    return "appName" not in data or data["appName"] == application


def _fault(data: Mapping[str, Any], request: Request) -> Fault:
    labels = data.get("errorLabels")
    wait_s = data.get("blockTimeMS", 0) / 1_000 if data.get("blockConnection") else 0.0
    code = data.get("errorCode")
    error = None
    if code is not None:
        error = operation_failure(
            code,
            _NAMES.get(code, f"Location{code}"),
            "Failing command via 'failCommand' failpoint",
        )
        labels = _labels(code, request) if labels is None else labels
        if labels:
            error.details["errorLabels"] = labels  # type: ignore[index]
    return Fault(
        error=error,
        closes=bool(data.get("closeConnection")),
        wait_s=wait_s,
        write_concern_error=data.get("writeConcernError"),
        labels=_labels_of_concern(data, request),
    )


def _labels(code: int, request: Request) -> list[str]:
    """The labels that a server gives an error by itself."""
    is_ending, may_be_sent_again = request.name in ENDINGS, code in RETRYABLE_WRITE_CODES
    if request.in_transaction and (
        code in TRANSIENT_TRANSACTION_CODES or (may_be_sent_again and not is_ending)
    ):
        return [TRANSIENT_TRANSACTION]
    is_retryable = "txnNumber" in request.command or is_ending
    return [RETRYABLE_WRITE] if is_retryable and may_be_sent_again else []


def _labels_of_concern(data: Mapping[str, Any], request: Request) -> list[str] | None:
    if "errorLabels" in data:
        return list(data["errorLabels"])
    if request.in_transaction and request.name not in ENDINGS:
        return None  # a statement of a transaction does not wait for its write concern
    error = data.get("writeConcernError")
    if isinstance(error, Mapping) and isinstance(error.get("code"), int):
        return _labels(error["code"], request) or None
    return None


# -- the others ----------------------------------------------------------------------------------


def _is_retryable_write(_: Mapping[str, Any], request: Request) -> bool:
    return "txnNumber" in request.command and "autocommit" not in request.command


def _statements(request: Request) -> int:
    """How many documents, updates or deletes a write has."""
    lists = (request.command.get(name) for name in ("documents", "updates", "deletes"))
    return next((len(statements) for statements in lists if statements), 1)


def _transactional_write(data: Mapping[str, Any], _: Request) -> Fault:
    """A retryable write fails and is not applied, or is applied and not answered."""
    code, closes = data.get("failBeforeCommitExceptionCode"), data.get("closeConnection", True)
    if code is None:
        return Fault(closes=bool(closes), applies=True)
    message = "Failing write due to failpoint. The write must not be reflected."
    labels = [RETRYABLE_WRITE] if code in RETRYABLE_WRITE_CODES else []
    error = operation_failure(code, _NAMES.get(code, f"Location{code}"), message, labels)
    return Fault(error=error, closes=bool(closes))


def _is_get_more(_: Mapping[str, Any], request: Request) -> bool:
    return request.name == "getMore"


def _get_more(data: Mapping[str, Any], _: Request) -> Fault:
    """The next batch fails; streams are told where they may be resumed."""
    code = data.get("errorCode")
    if code is None:
        return Fault(closes=bool(data.get("closeConnection")))
    message = "Hit the 'failGetMoreAfterCursorCheckout' failpoint"
    labels = [RESUMABLE_STREAM] if code in RESUMABLE_STREAM_CODES else []
    name = _NAMES.get(code, f"Location{code}")
    return Fault(error=operation_failure(code, name, message, labels))


def _has_limit(_: Mapping[str, Any], request: Request) -> bool:
    return bool(request.command.get("maxTimeMS"))


def _time_out(_: Mapping[str, Any], __: Request) -> Fault:
    return Fault(error=max_time_expired())


_FAULTS: Final[Mapping[str, tuple[_Concerns, _Makes]]] = {
    "failCommand": (_concerns, _fault),
    "onPrimaryTransactionalWrite": (_is_retryable_write, _transactional_write),
    "failGetMoreAfterCursorCheckout": (_is_get_more, _get_more),
    "maxTimeAlwaysTimeOut": (_has_limit, _time_out),
}
"""The fail points there are: which commands each concerns, and what becomes of those."""
