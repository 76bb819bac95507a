"""pytest-replicalag: find read-after-write bugs without real replicas.

The public names are below; see the `replica_lag` marker and fixture for the rest. They are loaded
when they are first asked for, so that a test run that needs none of them loads no database driver.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_replicalag.clients import MongoClient, wrap
    from pytest_replicalag.control import Member, ReplicaLag
    from pytest_replicalag.durations import Duration
    from pytest_replicalag.errors import (
        ClockError,
        EndlessWaitError,
        EngineError,
        NodeError,
        NoElectionError,
        NotWrappableError,
        ReplicaLagError,
        ScheduleError,
        SettingError,
        UnknownMemberError,
    )
    from pytest_replicalag.records import (
        CallSite,
        Failover,
        Fix,
        Lane,
        LostWrite,
        MissedWrite,
        StaleRead,
        Timeline,
        Witness,
    )

__all__ = [
    "CallSite",
    "ClockError",
    "Duration",
    "EndlessWaitError",
    "EngineError",
    "Failover",
    "Fix",
    "Lane",
    "LostWrite",
    "Member",
    "MissedWrite",
    "MongoClient",
    "NoElectionError",
    "NodeError",
    "NotWrappableError",
    "ReplicaLag",
    "ReplicaLagError",
    "ScheduleError",
    "SettingError",
    "StaleRead",
    "Timeline",
    "UnknownMemberError",
    "Witness",
    "__version__",
    "wrap",
]

__version__ = "0.1.0"

_HOMES = {
    "CallSite": "records",
    "Duration": "durations",
    "Failover": "records",
    "Fix": "records",
    "Lane": "records",
    "LostWrite": "records",
    "Member": "control",
    "MissedWrite": "records",
    "MongoClient": "clients",
    "ReplicaLag": "control",
    "StaleRead": "records",
    "Timeline": "records",
    "Witness": "records",
    "wrap": "clients",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}")
    return getattr(home, name)
