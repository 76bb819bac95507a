"""What the `replica_lag` fixture gives a test: a view of the simulated set, and control over it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from pytest_replicalag.call_sites import caller
from pytest_replicalag.durations import ZERO, Duration, as_duration
from pytest_replicalag.engine_choice import MEMORY, chosen
from pytest_replicalag.errors import ClockError, EngineError, SettingError, UnknownMemberError
from pytest_replicalag.records import LostWrite, StaleRead
from pytest_replicalag.replicaset.elections import crash_secondary, start_step_down
from pytest_replicalag.replicaset.member import Member as ModelMember
from pytest_replicalag.replicaset.optime import OpTime
from pytest_replicalag.simulation import Simulation, governor
from pytest_replicalag.words import Off, parse_lags

__all__ = ["Member", "ReplicaLag"]

_Client = TypeVar("_Client")


class Member:
    """One member of the simulated replica set, as it is at the moment of asking."""

    def __init__(self, simulation: Simulation, member: ModelMember) -> None:
        self._simulation = simulation
        self._member = member

    @property
    def name(self) -> str:
        """`primary`, `secondary-1`, …."""
        return self._member.name

    @property
    def lag(self) -> Duration:
        """How long it takes to apply a write; of a range, the longest."""
        return self._member.lag.high

    @property
    def optime(self) -> OpTime:
        """The optime of the newest write that it has applied."""
        with governor.lock:
            replica_set = self._simulation.replica_set
            return replica_set.oplog.optime(replica_set.applied(self._member))

    @property
    def behind(self) -> Duration:
        """How long ago the primary's state was what this member shows; zero if it has all."""
        with governor.lock:
            return self._simulation.replica_set.behind(self._member)

    @property
    def paused(self) -> bool:
        """Whether its replication is stopped."""
        return self._member.paused

    @property
    def is_primary(self) -> bool:
        """Whether it is the primary."""
        return self._member.is_primary

    @property
    def is_up(self) -> bool:
        """Whether it is in reach: it has not crashed."""
        return self._member.is_up

    def __repr__(self) -> str:
        state = "" if self.is_up else "crashed, "
        state += "paused, " if self.paused else ""
        return f"<{self.name}: {state}lag {self.lag}, {self.behind} behind, optime {self.optime}>"


class ReplicaLag:
    """The running test's simulated replica set.

    With lag off it is a set without lag that no client uses, so that a test runs either way.

    Attributes:
        enabled: Whether the test runs with lag.
    """

    def __init__(self, simulation: Simulation, *, enabled: bool) -> None:
        self._simulation = simulation
        self.enabled = enabled

    @property
    def lag(self) -> Duration:
        """The lag that the test was started with: the longest, if there are several."""
        lags = self._simulation.settings.lags
        return max((lag.high for lag in lags), default=ZERO)

    def wrap(self, client: _Client) -> _Client:
        """A client of the simulated set; see `pytest_replicalag.wrap`."""
        from pytest_replicalag.clients import wrap  # loads what only wrapped clients need

        return wrap(client)

    @property
    def uri(self) -> str:
        """The connection string of the simulated set, for any MongoDB driver.

        It names an endpoint on 127.0.0.1 for each member; they are started on first use.
        """
        from pytest_replicalag.endpoints import endpoints

        return endpoints.uri

    # -- time ------------------------------------------------------------------------------

    def now(self) -> Duration:
        """Simulated time since the test's call phase began; on the wall clock, real time."""
        return Duration.of_us(self._simulation.replica_set.clock.now_us)

    def advance(self, duration: str | timedelta) -> None:
        """Let simulated time pass; costs no real time.

        Args:
            duration: Such as `"50ms"`, or a `timedelta`.

        Raises:
            ClockError: The duration is negative or endless, or the test runs on the wall clock.
            SettingError: It is no duration.
        """
        if _is_negative(duration):
            raise ClockError(f"simulated time cannot go back: advance({duration!r})")
        try:
            length = as_duration(duration)
        except (TypeError, ValueError) as error:
            raise SettingError("advance", duration, str(error)) from None
        if length.is_forever:
            raise ClockError("simulated time cannot advance by inf; use catch_up(), or a duration")
        with governor.lock:
            self._simulation.replica_set.clock.advance(length.us)

    # -- members ---------------------------------------------------------------------------

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, in the order of their names: the first primary, then the secondaries."""
        return self._views(self._simulation.replica_set.members)

    @property
    def primary(self) -> Member:
        """The primary; after an election it is one that was a secondary, and keeps its name."""
        return self._views([self._simulation.replica_set.primary])[0]

    @property
    def secondaries(self) -> tuple[Member, ...]:
        """The secondaries, in the order of their names."""
        return self._views(self._simulation.replica_set.secondaries)

    def _views(self, members: Sequence[ModelMember]) -> tuple[Member, ...]:
        return tuple(Member(self._simulation, member) for member in members)

    def pause(self, member: str | Member | None = None) -> None:
        """Stop replication on one secondary, or on all.

        Raises:
            UnknownMemberError: No secondary has that name.
        """
        with governor.lock:
            self._simulation.replica_set.pause(self._names(member))

    def resume(self, member: str | Member | None = None) -> None:
        """Let replication go on; what is overdue is applied at once.

        Raises:
            UnknownMemberError: No secondary has that name.
        """
        with governor.lock:
            self._simulation.replica_set.resume(self._names(member))

    def catch_up(self, member: str | Member | None = None) -> None:
        """Let one secondary, or all, apply every write there is, paused or not.

        Raises:
            UnknownMemberError: No secondary has that name.
        """
        with governor.lock:
            self._simulation.replica_set.catch_up(self._names(member))

    def set_lag(self, lag: str | timedelta, member: str | Member | None = None) -> None:
        """Change the lag of one secondary, or of all.

        Args:
            lag: Such as `"1s"`, `"50ms..400ms"`, `"inf"` or `"0"`.
            member: A secondary; all of them if it is None.

        Raises:
            UnknownMemberError: No secondary has that name.
            SettingError: The lag is not one.
        """
        try:
            lags: Any = parse_lags(lag)
        except (TypeError, ValueError) as error:
            raise SettingError("set_lag", lag, str(error)) from None
        if lags is Off.OFF or len(lags) != 1:
            raise SettingError("set_lag", lag, f"{lag!r} is not one lag; write one, such as 1s")
        with governor.lock:
            self._simulation.replica_set.set_lag(lags[0], self._names(member))

    # -- elections -------------------------------------------------------------------------

    def step_down(self, *, force: bool = False) -> Member:
        """Let the primary step down, as `replSetStepDown` does, and another member be elected.

        It waits until a majority has every write, for up to 10 simulated seconds, so nothing is
        lost. Clients hear of it with the next operation that they send to the old primary: what a
        driver retries, it sends to the new one; all else fails with `NotPrimaryError`.

        Args:
            force: Whether it steps down although no majority has every write; the new primary then
                copies from the old one what it lacks.

        Returns:
            The new primary. The old one is a secondary, and takes over the lag of the new one.

        Raises:
            OperationFailure: Error 262: no majority has every write in time; it stays the primary.
            NoElectionError: Without the primary there is no majority.
            EngineError: The data are not in the memory engine.
        """
        self._check_engine("step_down()")
        with governor.lock:
            wait = start_step_down(self._simulation.replica_set, force=force)
        self._simulation.wait_until(wait.until_us)
        if wait.error is not None:
            raise wait.error
        with governor.lock:
            self._simulation.failovers.step_down(caller())
        return self.primary

    def crash_primary(self) -> Member:
        """Let the primary be gone, and another member be elected.

        The newest of the others is. What it does not have is rolled back; if it was acknowledged,
        that is a finding: see `lost_writes`. Clients hear of it with the next operation that they
        send to the old primary: what a driver retries, it sends to the new one; all else fails with
        `AutoReconnect`.

        Returns:
            The new primary. The old one is not in reach before `restart`.

        Raises:
            NoElectionError: Without the primary there is no majority.
            EngineError: The data are not in the memory engine.
        """
        self._check_engine("crash_primary()")
        with governor.lock:
            self._simulation.failovers.crash_primary("crash_primary()", caller())
        return self.primary

    def crash(self, member: str | Member) -> None:
        """Let a secondary be gone, or the primary: see `crash_primary`.

        Clients do not reach it, and it applies nothing, before `restart`. A read that no other
        member may serve fails with the driver's own `ServerSelectionTimeoutError`. A member that
        crashes before the test's first write, and is restarted later, is one that joins late.

        Args:
            member: The member, or its name.

        Raises:
            UnknownMemberError: No member has that name.
            NoElectionError: There would be no majority any more, and so no primary.
            EngineError: The data are not in the memory engine.
        """
        name = member.name if isinstance(member, Member) else member
        if name == self._simulation.replica_set.primary.name:
            self.crash_primary()
            return
        self._check_engine("crash()")
        with governor.lock:
            crash_secondary(self._simulation.replica_set, name)

    def restart(self, member: str | Member | None = None) -> None:
        """Let one member that has crashed, or all, come back as a secondary.

        Raises:
            UnknownMemberError: No secondary has that name.
        """
        with governor.lock:
            self._simulation.replica_set.bring_back(self._names(member))

    def _check_engine(self, method: str) -> None:
        engine = chosen().engine
        if engine != MEMORY:
            raise EngineError(
                f"{method} needs the memory engine, which can undo writes; leave out "
                f"--replica-lag-engine={engine} for this test, or skip it there"
            )

    def _names(self, member: str | Member | None) -> Sequence[str]:
        names = [secondary.name for secondary in self._simulation.replica_set.secondaries]
        if member is None:
            return names
        name = member.name if isinstance(member, Member) else member
        if name not in names:
            if name == self._simulation.replica_set.primary.name:
                raise UnknownMemberError(name, names, "the primary does not replicate; ")
            raise UnknownMemberError(name, names)
        return [name]

    # -- findings --------------------------------------------------------------------------

    @property
    def stale_reads(self) -> list[StaleRead]:
        """The stale reads of the test so far, in order."""
        return list(self._simulation.stale_reads)

    @property
    def lost_writes(self) -> list[LostWrite]:
        """The acknowledged writes that elections have cost so far, in order."""
        return list(self._simulation.failovers.lost_writes)

    def __repr__(self) -> str:
        if not self.enabled:
            return "<replica_lag: off>"
        return f"<replica_lag: {self._simulation.settings}>"


def _is_negative(duration: object) -> bool:
    if isinstance(duration, str):
        return duration.strip().startswith("-")
    if isinstance(duration, (int, float)):
        return duration < 0
    return isinstance(duration, timedelta) and duration < ZERO
