"""Reports for tests: of one stale read and one lost write, and variations of them."""

from __future__ import annotations

from dataclasses import replace

from pytest_replicalag.durations import Duration
from pytest_replicalag.records import (
    CallSite,
    Failover,
    Fix,
    Lane,
    LostWrite,
    MissedWrite,
    StaleRead,
    Timeline,
)
from pytest_replicalag.report.document import document
from pytest_replicalag.report.identity import Identities
from pytest_replicalag.report.run_report import Exploration, RunReport, TestReport, Verdict

ROOT = "/project"

WRITE = MissedWrite(
    operation="insert_one",
    namespace="shop.orders",
    text='insert_one({"_id": 7})',
    call_site=CallSite(path=f"{ROOT}/app/orders.py", line=2, function="place_order"),
    age=Duration.of_us(1_000),
)
TIMELINE = Timeline(
    members=3,
    read_at=Duration.of_us(2_000),
    written_at=(Duration.of_us(1_000),),
    lanes=(
        Lane(
            name="primary",
            is_primary=True,
            is_up=True,
            is_paused=False,
            lag="0",
            arrivals=(Duration.of_us(1_000),),
        ),
        Lane(
            name="secondary-1",
            is_primary=False,
            is_up=True,
            is_paused=False,
            lag="0",
            arrivals=(Duration.of_us(1_000),),
        ),
        Lane(
            name="secondary-2",
            is_primary=False,
            is_up=True,
            is_paused=False,
            lag="200ms",
            arrivals=(Duration.of_us(201_000),),
        ),
    ),
)
READ = StaleRead(
    test="tests/test_orders.py::test_order",
    operation="find_one",
    namespace="shop.orders",
    text='shop.orders.find_one({"_id": 7})',
    call_site=CallSite(path=f"{ROOT}/app/orders.py", line=6, function="get_order"),
    read_preference="secondaryPreferred",
    read_concern=None,
    member="secondary-2",
    behind=Duration.of_us(200_000),
    result="None",
    fresh_result='{"_id": 7, "note": "<b>|&"}',
    missed=(WRITE,),
    missed_count=1,
    guarantees=("read your writes",),
    advice=(
        Fix(
            text="read it from the primary (read preference primary)",
            change="read",
            cost="it adds to the load of the primary",
        ),
        Fix(text="use one session", change="read and write"),
        Fix(text="write with w: 3", change="write"),
        Fix(text="use the document", change="read"),
    ),
    number=1,
    timeline=TIMELINE,
)
LOST = LostWrite(
    test="tests/test_badges.py::test_badge",
    operation="insert_one",
    namespace="shop.badges",
    text='shop.badges.insert_one({"_id": 1})',
    call_site=CallSite(path=f"{ROOT}/app/badges.py", line=3, function="award"),
    write_concern="w: 1",
    age=Duration.of_us(0),
    failover=Failover(
        reason="crash_primary()",
        call_site=CallSite(path=f"{ROOT}/tests/test_badges.py", line=9, function="test_badge"),
        former="primary",
        elected="secondary-1",
        crashed=True,
    ),
    advice=Fix(text="write with w: majority", change="write"),
)


def run_of(*reads, lost=(LOST,)) -> RunReport:
    """A run with a test for each of these stale reads, and one for lost writes."""
    run = RunReport()
    for number, read in enumerate(reads):
        test = f"{read.test}[{number}]" if len(reads) > 1 else read.test
        run.add(
            TestReport(
                test=test,
                outcome="failed",
                reads=2,
                secondary_reads=1,
                stale_reads=(replace(read, test=test),),
                replay=f"pytest {test} --replica-lag=200ms --replica-lag-seed=0",
                verdict=Verdict.ONLY_LAG,
            )
        )
    if lost:
        run.add(
            TestReport(
                test=LOST.test,
                outcome="failed",
                reads=1,
                failovers=(LOST.failover,),
                lost_writes=tuple(lost),
                exploration=Exploration(tried=4, failing="AQABg7M"),
            )
        )
    run.add(TestReport(test="tests/test_marked.py::test_it", without_lag=True))
    return run


def document_of(*reads, **options):
    """The document of a run; of the stale read and the lost write above if nothing is said."""
    run = run_of(*(reads or (READ,)), **options)
    return document(run, {"lag": "200ms"}, "0.1.0", Identities(ROOT))
