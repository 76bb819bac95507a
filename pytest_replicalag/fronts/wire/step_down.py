"""The command by which administrators let a primary step down.

MongoDB manual, replSetStepDown.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final

from pytest_replicalag.fronts.wire.endpoint_set import EndpointSet
from pytest_replicalag.fronts.wire.reads import pause
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.replicaset import elections, server_errors

__all__ = ["StepDown"]

_PERIOD_S: Final = 60
"""For how long the old primary does not stand for election, if the command does not say. Here it
never stands again by itself, so the period is checked, and changes nothing."""


class StepDown:
    """Answers `replSetStepDown`.

    Args:
        simulated_set: The set as its endpoints show it.
    """

    def __init__(self, simulated_set: EndpointSet) -> None:
        self._set = simulated_set

    def step_down(self, request: Request) -> Reply | Awaitable[Reply]:
        """Let the primary step down and another member be elected; the caller holds the lock.

        Raises:
            NotPrimaryError: A secondary was asked.
            OperationFailure: A number is bad, or no majority has caught up in time.
        """
        if not request.member.is_primary:
            raise server_errors.step_down_refused()
        force = bool(request.command.get("force"))
        period_s = _number(request.command["replSetStepDown"], _PERIOD_S)
        wait_s = _number(
            request.command.get("secondaryCatchUpPeriodSecs"),
            elections.catch_up_seconds(force=force),
        )
        if period_s < 0:
            raise _bad("stepdown period must be a positive integer")
        if wait_s < 0:
            raise _bad("secondaryCatchUpPeriodSecs period must be a positive or absent")
        if period_s < wait_s:
            raise _bad("stepdown period must be longer than secondaryCatchUpPeriodSecs")
        running = request.running
        wait = elections.start_step_down(running.replica_set, force=force, wait_s=wait_s)
        seconds = running.seconds_until(wait.until_us)
        return (
            self._later(request, wait.error, seconds) if seconds else self._end(request, wait.error)
        )

    async def _later(self, request: Request, error: Exception | None, seconds: float) -> Reply:
        await pause(seconds)
        with self._set.governor.lock:
            return self._end(request, error)

    def _end(self, request: Request, error: Exception | None) -> Reply:
        if error is not None:
            raise error
        request.running.failovers.step_down(request.by())
        return {}


def _number(value: Any, default: float) -> float:
    """A number of seconds; what is none is as good as absent for a server."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def _bad(message: str) -> Exception:
    return server_errors.operation_failure(2, "BadValue", message)
