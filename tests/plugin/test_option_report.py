"""`--replica-lag-report`: what was found, in files; and what CI services are told."""

import json
import re
import xml.etree.ElementTree as ET

import pytest

STALE = """
    import pytest

    @pytest.mark.replica_lag
    @pytest.mark.parametrize("number", range(8))
    def test_order(db, number):
        db.orders.insert_one({"_id": number})
        assert db.orders.find_one({"_id": number}) is None

    @pytest.mark.replica_lag
    def test_fine(db):
        db.orders.find_one()
"""


@pytest.fixture
def stale(project):
    project.file("test_it", STALE)
    return project


def read(project, name="out.json"):
    return json.loads((project.path / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "name", ["out.json", "out.html", "out.sarif", "o.codequality.json", "o.md"]
)
def test_each_format_is_written(stale, name):
    stale.run("--replica-lag=200ms", f"--replica-lag-report={name}").assert_outcomes(passed=9)
    assert "test_it.py" in (stale.path / name).read_text(encoding="utf-8")


def test_it_may_be_given_more_than_once_and_is_told(stale, summary):
    result = stale.run(
        "--replica-lag=200ms", "--replica-lag-report=a.json", "--replica-lag-report=b.html"
    )
    assert summary(result)[-2:] == ["wrote a.json", "wrote b.html"]
    assert (stale.path / "b.html").exists()


def test_the_ini_file_names_several_from_its_own_folder(stale):
    stale.ini("replica_lag_report = a.json b.md", "replica_lag = 200ms")
    stale.file("tests/test_more", STALE)
    stale.run("--rootdir=.", "tests")
    assert (stale.path / "a.json").exists()
    assert (stale.path / "b.md").exists()
    assert read(stale, "a.json")["settings"] == {"lag": "200ms"}


def test_the_document_has_the_outcome_and_one_finding(stale):
    stale.file("test_it", STALE.replace("is None", "is not None"))
    stale.run("--replica-lag=200ms", "--replica-lag-report=out.json").assert_outcomes(
        failed=8, passed=1
    )
    document = read(stale)
    [finding] = document["findings"]
    assert finding["count"] == 8
    assert {test["outcome"] for test in document["tests"]} == {"passed", "failed"}
    assert {test["verdict"] for test in document["tests"]} == {None, "only lag"}
    lanes = finding["example"]["timeline"]["lanes"]
    assert [lane["arrivals_us"] for lane in lanes] == [[1_000], [1_000], [201_000]]


@pytest.mark.slow
def test_it_has_as_many_findings_as_the_terminal_has_lines(project, summary):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag
        def test_it(db):
            for number in range(3):  # misses one write, two, and three
                db.orders.insert_one({"_id": number})
                db.orders.count_documents({})
            db.orders.find_one()
            db.orders.find_one()
        """,
    )
    result = project.run("--replica-lag=200ms", "--replica-lag-report=out.json")
    assert [found["count"] for found in read(project)["findings"]] == [3, 1, 1]
    assert len([line for line in summary(result) if " missed " in line]) == 3


def test_four_workers_write_the_same_report_as_one_process(stale):
    stale.run_apart("--replica-lag=200ms", "--replica-lag-report=one.json")
    stale.run_apart(
        "--replica-lag=200ms", "--replica-lag-report=four.json", "-p", "xdist", "-n", "4"
    )
    assert read(stale, "one.json") == read(stale, "four.json")


def test_it_says_what_a_test_failed_with_and_what_stands_at_each_line(stale):
    stale.file(
        "test_it",
        """
        import pytest
        from bson import ObjectId

        @pytest.mark.replica_lag
        def test_it(db):
            db.orders.insert_one({"_id": 1})
            found = db.orders.find_one(
                {"_id": 1}
            )
            assert (found, object(), ObjectId()) == 1
        """,
    )
    stale.run("--replica-lag=200ms", "--replica-lag-report=out.json").assert_outcomes(failed=1)
    [test] = read(stale)["tests"]
    assert test["failure"].startswith("AssertionError: assert (None, <object object at 0x…>, ")
    assert "ObjectId('…')) == 1" in test["failure"]
    [finding] = read(stale)["findings"]
    assert finding["example"]["call_site"]["code"] == 'found = db.orders.find_one( {"_id": 1} )'
    [write] = finding["example"]["missed"]
    assert write["call_site"]["code"] == 'db.orders.insert_one({"_id": 1})'
    assert {fix["change"] for fix in finding["example"]["fixes"]} == {
        "read",
        "write",
        "read and write",
    }


def test_a_schedule_is_in_it(stale):
    stale.file("test_it", STALE.replace("is None", "is not None").replace("range(8)", "[1]"))
    stale.run("--replica-lag-explore=50", "--replica-lag-report=out.json")
    fine, order = read(stale)["tests"]
    assert fine["exploration"]["is_exhausted"]
    assert order["exploration"]["failing_schedule"]


def test_without_a_terminal_it_is_written_all_the_same(stale):
    stale.run_apart("--replica-lag=200ms", "--replica-lag-report=out.json", "-p", "no:terminal")
    assert len(read(stale)["findings"]) == 1


def test_a_run_without_findings_has_a_report(stale):
    stale.run("--replica-lag-report=out.json")
    assert read(stale)["findings"] == []
    assert read(stale)["summary"]["tests_without_lag"] == 9


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "out.xml",
            (
                "'out.xml' does not end in one of .codequality.json, .json, .html, .sarif, .md; "
                "write replica-lag.json"
            ),
        ),
        ("no/out.json", "there is no folder '{folder}/no'; make it, or name another one"),
        (
            "sub.json",
            "'{folder}/sub.json' is a folder; name a file in it, such as sub.json/report.json",
        ),
    ],
)
def test_a_file_that_cannot_be_is_refused_before_the_tests(stale, name, problem):
    (stale.path / "sub.json").mkdir()
    assert stale.refused(f"--replica-lag-report={name}") == (
        "--replica-lag-report: " + problem.format(folder=stale.path)
    )


def test_a_file_that_cannot_be_written_does_not_lose_the_outcome(stale, summary):
    stale.file(
        "test_last",
        """
        def test_it(request):
            (request.config.rootpath / "out.json").mkdir()
        """,
    )
    result = stale.run("--replica-lag=200ms", "--replica-lag-report=out.json")
    result.assert_outcomes(passed=10)
    told = " ".join(" ".join(summary(result)).split())
    assert told.endswith(f"warning: {stale.path / 'out.json'} could not be written: Is a directory")


def test_an_error_that_is_no_text_does_not_lose_it_either(stale):
    stale.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag
        def test_it(db):
            raise ValueError("\\ud800")
        """,
    )
    stale.run("--replica-lag=200ms", "--replica-lag-report=out.json").assert_outcomes(failed=1)
    [test] = read(stale)["tests"]
    assert test["failure"] == "ValueError: \ud800"


class TestGitHub:
    @pytest.fixture(autouse=True)
    def actions(self, monkeypatch, stale):
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        self.summary = stale.path / "summary.md"
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(self.summary))

    def test_findings_are_annotations(self, stale):
        result = stale.run("--replica-lag=200ms")
        lines = [line for line in result.outlines if line.startswith("::")]
        [line] = lines
        assert line.startswith("::warning file=test_it.py,line=7,title=Stale read%3A shop.orders")

    def test_the_summary_of_the_job_is_added_to(self, stale):
        self.summary.write_text("before\n")
        stale.run("--replica-lag=200ms")
        text = self.summary.read_text(encoding="utf-8")
        assert text.startswith("before\n## Replica lag\n")
        assert "test_it.py:7" in text

    def test_a_run_without_lag_adds_nothing(self, stale):
        result = stale.run()
        assert not self.summary.exists()
        assert not [line for line in result.outlines if line.startswith("::")]


def test_junit_has_properties_of_each_test(stale):
    stale.run("--replica-lag=200ms", "--junitxml=junit.xml", "-o", "junit_family=xunit1")
    cases = ET.parse(stale.path / "junit.xml").getroot().iter("testcase")
    told = {
        case.get("name"): [
            (entry.get("name"), entry.get("value")) for entry in case.iter("property")
        ]
        for case in cases
    }
    assert told["test_fine"] == [
        ("replica_lag", "200ms, seed=0"),
        ("replica_lag_stale_reads", "0"),
        ("replica_lag_lost_writes", "0"),
    ]
    [_, _, _, (name, value)] = told["test_order[0]"]
    assert name == "replica_lag_finding"
    assert re.fullmatch("[0-9a-f]{12}", value)


def test_verbose_shows_every_stale_read(stale, summary):
    lines = summary(stale.run("--replica-lag=200ms", "-v"))
    assert (
        sum(
            "read 1 returned None from secondary-2" in " ".join(lines[n : n + 2])
            for n in range(len(lines))
        )
        >= 8
    )
    assert sum("read 1 returned" in line for line in lines) == 8


def test_a_timeline_of_a_failing_test(stale, section):
    stale.file("test_it", STALE.replace("is None", "is not None").replace("range(8)", "[1]"))
    result = stale.run("--replica-lag=200ms", "--replica-lag-show=timeline")
    lines = section(result)
    start = next(n for n, line in enumerate(lines) if line.startswith("primary  "))
    assert lines[start : start + 5] == [
        "primary      W" + "-" * 65,
        "secondary-1  a" + "-" * 65,
        "secondary-2  " + "-" * 64 + "R>",
        "             1 ms" + "2 ms".rjust(61),
        "             W written  a applied  R the stale read  > not there yet",
    ]
    assert max(map(len, lines[start : start + 5])) <= 80


@pytest.mark.parametrize(("lag", "count"), [("200ms", 3), ("1ms..2ms", 7)])
def test_a_timeline_has_a_lane_for_the_first_of_those_that_lag_alike(stale, lag, count):
    stale.run(
        f"--replica-lag={lag}",
        "--replica-lag-secondaries=10",
        "--replica-lag-report=out.json",
        "--replica-lag-report=out.html",
        "-k",
        "test_order",
    )
    [read_stale, *_] = read(stale)["tests"][0]["stale_reads"]
    timeline = read_stale["timeline"]
    members = [lane["member"] for lane in timeline["lanes"]]
    assert len(members) == count
    assert {"primary", read_stale["member"]} <= {*members}
    assert timeline["members"] == 11
    assert f"{11 - count} more members not shown" in (stale.path / "out.html").read_text()
