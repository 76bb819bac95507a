"""The renderings that inner runs do not reach: long values, many findings, odd members."""

from dataclasses import replace

from pytest_replicalag.durations import FOREVER, Duration
from pytest_replicalag.records import CallSite, Fix, MissedWrite, StaleRead
from pytest_replicalag.report.identity import Identities
from pytest_replicalag.report.run_report import RunReport, TestReport
from pytest_replicalag.report.terminal import section, summary

WRITE = MissedWrite(
    operation="insert_one",
    namespace="shop.orders",
    text='insert_one({"_id": 7})',
    call_site=CallSite(path="app.py", line=2, function="<module>"),
    age=Duration.of_us(1_000),
)
READ = StaleRead(
    test="test_it.py::test_it",
    operation="find_one",
    namespace="shop.orders",
    text='shop.orders.find_one({"_id": 7})',
    call_site=CallSite(path="app.py", line=6, function="get_order"),
    read_preference="secondary",
    read_concern=None,
    member="secondary-2",
    behind=Duration.of_us(200_000),
    result="None",
    fresh_result='{"_id": 7}',
    missed=(WRITE,),
    missed_count=1,
    guarantees=(),
    advice=(Fix(text="read it from the primary", change="read"),),
)


def block(*reads, width=100):
    test = TestReport(test="test_it.py::test_it", stale_reads=reads)
    return section(test, Identities("/"), width, str).splitlines()


def test_a_read_without_a_broken_guarantee_has_no_such_line():
    assert block(READ) == [
        'stale read  shop.orders.find_one({"_id": 7}) returned None'.ljust(79)
        + "app.py:6 in get_order",
        "served by   secondary-2, 200 ms behind; read preference secondary",
        'primary has {"_id": 7}',
        'missed      insert_one({"_id": 7}), 1 ms earlier'.ljust(92) + "app.py:2",
        "fix         read it from the primary",
    ]


def test_how_far_behind_a_member_is():
    def served(**changes):
        return block(replace(READ, **changes))[1]

    assert served(behind=FOREVER) == (
        "served by   secondary-2, which never catches up; read preference secondary"
    )
    assert served(is_paused=True) == (
        "served by   secondary-2, paused, 200 ms behind; read preference secondary"
    )
    assert served(read_concern="majority").endswith("secondary, read concern majority")


def test_a_stale_read_of_the_primary_is_compared_with_its_newest_state():
    lines = block(replace(READ, member="primary", is_primary=True, read_concern="majority"))
    assert 'newest is   {"_id": 7}' in lines
    assert not any(line.startswith("primary has") for line in lines)


def test_what_is_told_of_another_process_is_wrapped():
    client = 'nodejs 6.20.0, application "checkout service", comment "show the order once more"'
    site = CallSite(path="", line=0, function="", client=client)
    lines = block(replace(READ, call_site=site), width=80)
    assert lines[1:3] == [
        'from nodejs 6.20.0, application "checkout service", comment "show'.rjust(80),
        'the order once more"'.rjust(80),
    ]


def test_missed_writes_are_told_newest_first_and_the_rest_counted():
    older = replace(WRITE, text="update_one({})", age=Duration.of_us(3_000), call_site=None)
    lines = block(replace(READ, missed=(older, WRITE), missed_count=4))
    start = next(n for n, line in enumerate(lines) if line.startswith("missed"))
    assert lines[start].startswith('missed      insert_one({"_id": 7}), 1 ms earlier')
    assert lines[start + 1 : start + 3] == [
        "            update_one({}), 3 ms earlier",
        "            and 2 earlier changes",
    ]
    lines = block(replace(READ, missed=(WRITE,), missed_count=2))
    assert "            and 1 earlier change" in lines


def test_a_long_text_wraps_with_its_call_site_below_at_the_right():
    text = "shop.orders.find_one(" + ", ".join(f'{{"key{n}": {n}}}' for n in range(9)) + ")"
    lines = block(replace(READ, text=text), width=80)
    assert lines[0].startswith('stale read  shop.orders.find_one({"key0": 0}, ')
    assert lines[3] == "app.py:6 in get_order".rjust(80)
    assert max(map(len, lines)) <= 80


def test_a_read_that_happened_several_times_is_shown_once():
    assert block(READ, READ, width=120)[0].startswith(
        'stale read  shop.orders.find_one({"_id": 7}) returned None (2 times) '
    )


def test_ten_distinct_reads_of_a_test_are_shown_in_order_and_the_rest_counted():
    reads = [replace(READ, call_site=replace(READ.call_site, line=99 - n)) for n in range(12)]
    lines = block(*reads)
    shown = [line.split()[-3] for line in lines if line.startswith("stale read")]
    assert shown == [f"app.py:{99 - n}" for n in range(10)]
    assert lines[-1] == "and 2 more distinct stale reads"
    assert block(*reads[:11])[-1] == "and 1 more distinct stale read"


def test_a_summary_line_names_each_missed_write_once():
    expiry = replace(WRITE, call_site=None, text="the TTL monitor's delete")
    run = RunReport()
    read = replace(READ, test="a", missed=(WRITE, expiry, WRITE))
    run.add(TestReport(test="a", stale_reads=(read,)))
    what = "shop.orders.find_one missed insert_one at app.py:2 and the TTL monitor's delete"
    assert summary(run, Identities("/"), 120, str) == [
        f"app.py:6: {what} (once: a)",
        "Stale reads in 1 of 1 test with lag.",
    ]


def test_a_run_with_nothing_to_say_has_no_summary():
    assert summary(RunReport(), Identities("/"), 80, str) == []
