"""The one table of options.

Flags, ini keys, the marker's words, the header line and the reference page all come from it. It
loads nothing, for every run of pytest loads it; what the words mean is in `words.py`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

__all__ = ["ALLOW_REMOTE_INI", "FIXTURES_INI", "MARKER", "OPTIONS", "TITLE", "Given", "Option"]

MARKER: Final = "replica_lag"

TITLE: Final = "replica lag"
"""What the option group, a failing test's section and the summary are called."""

FIXTURES_INI: Final = "replica_lag_fixtures"


class Option(NamedTuple):
    """One option, in all its forms.

    Attributes:
        name: As the marker says it, such as `on_stale`.
        default: What holds when nobody says anything, in the words of the option.
        metavar: What stands for the value in `--help`.
        help: One sentence.
        in_marker: Whether the marker takes it.
        is_flag: Whether it takes no value on the command line.
        is_list: Whether it may be given more than once.
    """

    name: str
    default: str | None
    metavar: str
    help: str
    in_marker: bool = True
    is_flag: bool = False
    is_list: bool = False

    @property
    def ini(self) -> str:
        """Its ini key, such as `replica_lag_on_stale`."""
        return "replica_lag" if self.name == "lag" else f"replica_lag_{self.name}"

    @property
    def flag(self) -> str:
        """Its flag, such as `--replica-lag-on-stale`."""
        return "--" + self.ini.replace("_", "-")


OPTIONS: Final = (
    Option(
        name="lag",
        default=None,
        metavar="LAG",
        help=(
            "Let secondaries lag behind the primary in tests marked replica_lag: 200ms (the "
            "majority keeps up, the rest lag), 50ms,2s (each secondary its own), 50ms..400ms "
            "(drawn for each write), inf (never catch up), 0, or off."
        ),
    ),
    Option(
        name="all",
        default="false",
        metavar="",
        help="Lag in every test, not only in marked ones.",
        in_marker=False,
        is_flag=True,
    ),
    Option(
        name="secondaries",
        default="2",
        metavar="N",
        help="How many secondaries the simulated set has.",
    ),
    Option(
        name="read_preference",
        default="primary",
        metavar="MODE",
        help="Read preference of clients that were opened without one, such as secondaryPreferred.",
    ),
    Option(
        name="write_concern",
        default="majority",
        metavar="W",
        help="Write concern of clients that were opened without one: majority, 0, 1 or N.",
    ),
    Option(
        name="choose",
        default="stalest",
        metavar="RULE",
        help="Which eligible member serves a read: stalest, alternate (in turn) or random.",
    ),
    Option(
        name="clock",
        default="virtual",
        metavar="CLOCK",
        help=(
            "virtual: simulated time moves with operations and sleeps, the same on every machine; "
            "wall: real time."
        ),
    ),
    Option(
        name="on_stale",
        default="report",
        metavar="ACTION",
        help=(
            "report stale reads; fail also fails the tests that made them, or lost acknowledged "
            "writes, although their assertions passed; ignore does not look for stale reads."
        ),
    ),
    Option(
        name="engine",
        default="memory",
        metavar="ENGINE",
        help=(
            "Where the endpoints for real drivers keep their data: memory; mongod, one real "
            "MongoDB node that plays all members; or replicaset, a real set whose secondaries are "
            "held back."
        ),
        in_marker=False,
    ),
    Option(
        name="mongod",
        default=None,
        metavar="PATH-OR-URI",
        help=(
            "The node of the engine mongod: the connection string of a running replica set of one "
            "member, or the path of a mongod to start (default: the one on PATH). For the engine "
            "replicaset: the connection string of the set."
        ),
        in_marker=False,
    ),
    Option(
        name="intercept",
        default="false",
        metavar="",
        help=(
            "Wrap every client of PyMongo, Motor and mongomock that is opened during the run, "
            "wherever that happens."
        ),
        in_marker=False,
        is_flag=True,
    ),
    Option(
        name="explore",
        default="0",
        metavar="N",
        help=(
            "Run each test under up to N replication schedules, which Hypothesis searches for one "
            "that makes it fail. A lag is then the longest that a secondary takes; without one "
            "there is no bound."
        ),
    ),
    Option(
        name="elections",
        default="false",
        metavar="",
        help=(
            "While exploring, let the primary crash before an operation, once in each test, and "
            "writes that no other member has be rolled back."
        ),
        is_flag=True,
    ),
    Option(
        name="schedule",
        default=None,
        metavar="SCHEDULE",
        help="Run one test by the schedule that the report of an exploration shows.",
        in_marker=False,
    ),
    Option(
        name="no_verdict",
        default="false",
        metavar="",
        help=(
            "Do not run a test that fails under lag again without lag, to tell whether it fails "
            "only under lag."
        ),
        in_marker=False,
        is_flag=True,
    ),
    Option(
        name="report",
        default=None,
        metavar="FILE",
        help=(
            "Write what was found to this file, too: .json, .html, .sarif, .codequality.json or "
            ".md. May be given more than once."
        ),
        in_marker=False,
        is_list=True,
    ),
    Option(
        name="baseline",
        default=None,
        metavar="FILE",
        help=(
            "The findings in this file are known: on-stale=fail lets them pass, and reports tell "
            "them from new ones."
        ),
        in_marker=False,
    ),
    Option(
        name="update_baseline",
        default="false",
        metavar="",
        help="Write the findings of this run to the baseline.",
        in_marker=False,
        is_flag=True,
    ),
    Option(
        name="show",
        default="findings",
        metavar="WHAT",
        help="What the section of a failing test has: findings, or a timeline of each, too.",
        in_marker=False,
    ),
    Option(
        name="seed",
        default="0",
        metavar="N",
        help="What random choices and ranges of lag are drawn from, with each test's node id.",
    ),
)


ALLOW_REMOTE_INI: Final = "replica_lag_allow_remote"
"""The ini key that lets the node be on another machine."""


class Given(NamedTuple):
    """A value that somebody gave an option.

    Attributes:
        source: Where, as an error names it, such as `--replica-lag` or `replica_lag_seed in ini`.
        value: As it was written.
    """

    source: str
    value: Any
