"""What crosses process borders, and which stale reads are the same."""

import json
import random
from dataclasses import replace

from pytest_replicalag.durations import FOREVER, Duration
from pytest_replicalag.records import CallSite, Fix, MissedWrite, StaleRead
from pytest_replicalag.report.identity import Identities
from pytest_replicalag.report.plain import from_plain, to_plain
from pytest_replicalag.report.run_report import (
    RunReport,
    TestReport,
    findings,
)

NAMES = Identities("/project")
WRITE = MissedWrite(
    operation="insert_one",
    namespace="shop.orders",
    text='insert_one({"_id": 7})',
    call_site=CallSite(path="/project/app.py", line=2, function="place_order"),
    age=Duration.of_us(1_000),
)
EXPIRY = replace(WRITE, operation="expire", call_site=None, text="the TTL monitor's delete")
READ = StaleRead(
    test="test_it.py::test_it",
    operation="find_one",
    namespace="shop.orders",
    text='shop.orders.find_one({"_id": 7})',
    call_site=CallSite(path="/project/app.py", line=6, function="get_order"),
    read_preference="secondaryPreferred",
    read_concern=None,
    member="secondary-2",
    behind=Duration.of_us(200_000),
    result="None",
    fresh_result='{"_id": 7}',
    missed=(EXPIRY, WRITE),
    missed_count=3,
    guarantees=("read your writes", "monotonic reads"),
    advice=(Fix(text="read it from the primary", change="read"),),
)


def test_a_report_survives_the_way_through_plain_data():
    endless = replace(READ, behind=FOREVER, is_paused=True, read_concern="majority", missed=())
    report = TestReport(
        test="test_it.py::test_it",
        reads=5,
        secondary_reads=4,
        is_checked=False,
        stale_reads=(READ, endless),
        replay="pytest test_it.py::test_it --replica-lag-seed=0",
    )
    again = from_plain(json.loads(json.dumps(to_plain(report))))
    assert again == report
    assert again.stale_reads[0].behind.text == "200 ms"
    assert again.stale_reads[1].behind.is_forever


def test_a_report_of_a_test_without_lag_needs_no_more_than_that():
    report = from_plain({"test": "test_it.py::test_it", "without_lag": True})
    assert report == TestReport(test="test_it.py::test_it", without_lag=True)


def test_reads_of_the_same_call_that_missed_the_same_calls_are_one_finding():
    other = replace(READ, test="test_it.py::test_a", text="other _id", behind=Duration.of_us(5))
    [finding] = findings([READ, other, READ], NAMES)
    assert finding.count == 3
    assert finding.tests == ("test_it.py::test_a", "test_it.py::test_it")
    assert finding.example == other


def test_reads_that_differ_in_call_or_in_what_they_missed_are_several():
    reads = [
        READ,
        replace(READ, call_site=replace(READ.call_site, line=7)),
        replace(READ, operation="find"),
        replace(READ, namespace="shop.customers"),
        replace(READ, missed=(WRITE,)),
    ]
    assert [finding.count for finding in findings(reads, NAMES)] == [1] * 5


def test_reads_that_miss_the_same_calls_more_or_less_often_are_one():
    often = replace(READ, missed=READ.missed * 2, guarantees=("monotonic reads",))
    [finding] = findings([READ, often], NAMES)
    assert finding.count == 2
    assert finding.guarantees == ("read your writes", "monotonic reads")


def test_the_order_of_tests_does_not_matter():
    reads = [
        replace(READ, test=f"test_it.py::test_{n}", call_site=replace(READ.call_site, line=n % 3))
        for n in range(9)
    ]
    expected = findings(reads, NAMES)
    for seed in range(5):
        random.Random(seed).shuffle(reads)
        assert findings(reads, NAMES) == expected


def test_a_run_counts_tests_once_and_reads_each_time():
    run = RunReport()
    lagged = TestReport(test="a", reads=3, secondary_reads=2, stale_reads=(READ,))
    run.add(lagged)
    run.add(lagged)
    run.add(TestReport(test="b", reads=1, secondary_reads=1, is_checked=False))
    run.add(TestReport(test="c", without_lag=True))
    run.add(TestReport(test="c", without_lag=True))
    assert (run.lagged, run.without_lag, run.stale_tests) == (2, 1, 1)
    assert (run.reads, run.secondary_reads, run.checked_reads) == (7, 5, 4)
