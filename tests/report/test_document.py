"""The report as a document: it is as its schema says, and has nothing of this machine."""

import json
from dataclasses import replace

import pytest
from report_documents import LOST, READ, WRITE, document_of, run_of

from pytest_replicalag.durations import FOREVER
from pytest_replicalag.records import CallSite
from pytest_replicalag.report.document import document, schema
from pytest_replicalag.report.identity import Identities

jsonschema = pytest.importorskip("jsonschema")


def check(made):
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(json.loads(json.dumps(made)), schema())


def test_a_document_is_as_the_schema_says():
    check(document_of())


@pytest.mark.parametrize(
    "read",
    [
        replace(READ, behind=FOREVER, timeline=None, read_concern="majority"),
        replace(READ, missed=(), missed_count=0),
        replace(READ, missed=(replace(WRITE, call_site=None, operation="expire"),)),
        replace(READ, call_site=CallSite(path="", line=0, function="", client="nodejs 6.20")),
    ],
    ids=["endless", "nothing missed", "expiry", "another process"],
)
def test_so_are_unusual_ones(read):
    check(document_of(read, lost=()))


def test_one_of_a_run_without_findings_is_valid_too():
    check(document(run_of(lost=()), {}, "0.1.0", Identities("/")))


def test_the_schema_refuses_what_it_does_not_know():
    made = document_of()
    made["tests"][0]["more"] = 1
    with pytest.raises(jsonschema.ValidationError, match="more"):
        check(made)


def test_the_same_finding_of_two_tests_is_one():
    made = document_of(READ, READ)
    lost, stale = sorted(made["findings"], key=lambda finding: finding["kind"])
    assert (stale["count"], lost["count"]) == (2, 1)
    assert stale["tests"] == [
        "tests/test_orders.py::test_order[0]",
        "tests/test_orders.py::test_order[1]",
    ]


def test_paths_are_from_the_projects_folder():
    text = json.dumps(document_of())
    assert "/project" not in text
    assert '"path": "app/orders.py"' in text


def test_the_order_of_tests_makes_no_difference():
    run, reversed_run = run_of(READ, READ), run_of(READ, READ)
    reversed_run.tests.reverse()
    made = [document(each, {}, "0.1.0", Identities("/")) for each in (run, reversed_run)]
    assert made[0] == made[1]


def test_counts():
    assert document_of()["summary"] == {
        "tests": 2,
        "tests_without_lag": 1,
        "tests_with_stale_reads": 1,
        "tests_with_lost_writes": 1,
        "reads": 3,
        "secondary_reads": 1,
        "checked_reads": 1,
    }
    assert LOST.test in [test["id"] for test in document_of()["tests"]]
