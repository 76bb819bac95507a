"""The formats of a report: what each makes of one, and of what it must not break on."""

import json
from dataclasses import replace

import pytest
from report_documents import LOST, READ, document_of

from pytest_replicalag.records import CallSite
from pytest_replicalag.report.code_quality import issues
from pytest_replicalag.report.formats import FORMATS, ending_of, rendered
from pytest_replicalag.report.github import workflow_commands
from pytest_replicalag.report.html import page
from pytest_replicalag.report.sarif import log

ELSEWHERE = replace(READ, call_site=CallSite(path="", line=0, function="", client="nodejs 6.20"))


def marked(document, *, known):
    findings = [{**each, "is_known": known} for each in document["findings"]]
    return {**document, "findings": findings}


class TestEndings:
    @pytest.mark.parametrize("ending", FORMATS)
    def test_each_is_known_whatever_its_case(self, ending):
        assert ending_of(f"out/report{ending}") == ending
        assert ending_of(f"REPORT{ending.upper()}") == ending

    @pytest.mark.parametrize("name", ["report", "report.xml", ".json", "out.json/report", ""])
    def test_another_one_is_refused(self, name):
        with pytest.raises(ValueError, match=r"does not end in one of \.codequality\.json"):
            ending_of(name)

    @pytest.mark.parametrize("ending", FORMATS)
    def test_each_makes_a_text_of_every_report(self, ending):
        for document in (
            document_of(),
            document_of(ELSEWHERE),
            marked(document_of(), known=True),
            document_of(replace(READ, timeline=None)),
        ):
            assert rendered(document, f"report{ending}").endswith("\n")


def test_sarif_has_the_read_and_relates_the_write():
    [run] = log(document_of())["runs"]
    lost, stale = sorted(run["results"], key=lambda result: result["ruleId"])
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["stale-read", "lost-write"]
    assert (lost["ruleIndex"], stale["ruleIndex"]) == (1, 0)
    [location] = stale["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "app/orders.py"
    assert location["physicalLocation"]["region"] == {"startLine": 6}
    [related] = stale["relatedLocations"]
    assert related["physicalLocation"]["region"] == {"startLine": 2}
    assert related["message"]["text"] == 'the missed write: insert_one({"_id": 7})'
    [crash] = lost["relatedLocations"]
    assert crash["message"]["text"] == "primary crashed crash_primary()"


def test_sarif_says_what_the_baseline_knows():
    for known, state in ((True, "unchanged"), (False, "new")):
        [run] = log(marked(document_of(), known=known))["runs"]
        assert {result["baselineState"] for result in run["results"]} == {state}


def test_code_quality_has_what_gitlab_asks_for():
    for issue in issues(document_of()):
        assert issue.keys() == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert issue["location"]["lines"]["begin"] >= 1
    assert len(issues(document_of())) == 2


def test_what_has_no_line_or_is_known_is_no_issue_and_no_annotation():
    for document in (document_of(ELSEWHERE, lost=()), marked(document_of(), known=True)):
        assert issues(document) == []
        assert workflow_commands(document) == []


def test_an_annotation_is_one_line_whatever_it_says():
    strange = replace(READ, text="find_one({\n%,:})", fresh_result="50 % or\r\nmore")
    [command] = workflow_commands(document_of(strange, lost=()))
    head, _, message = command.partition("::")[2].partition("::")
    assert head.startswith("warning file=app/orders.py,line=6,title=Stale read%3A ")
    assert "\n" not in command
    assert "50 %25 or%0D%0Amore" in message


def test_markdown_does_not_take_data_for_markup():
    text = rendered(document_of(), "report.md")
    assert '{"_id": 7, "note": "&lt;b>\\|&"}' in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4


def test_markdown_of_a_run_without_findings_says_so():
    document = document_of(lost=())
    none = {**document, "findings": []}
    assert rendered(none, "report.md").endswith("could go to a secondary: no finding.\n")


class TestHtml:
    def test_data_is_not_taken_for_markup(self):
        assert "<b>|&" not in page(document_of())
        assert "&lt;b&gt;|&amp;" in page(document_of())

    def test_it_asks_the_network_for_nothing(self):
        text = page(document_of())
        assert "default-src 'none'" in text
        for word in ("http://", "https://", "@import", "src="):
            assert word not in text.replace("default-src", "")

    def test_a_run_without_findings_has_a_page(self):
        document = {**document_of(lost=()), "findings": []}
        assert "No stale read and no lost write was found." in page(document)

    def test_what_is_known_is_marked(self):
        assert page(marked(document_of(), known=True)).count('class="known"') == 2
        assert 'id="known"' not in page(document_of())

    def test_a_cause_that_stale_reads_share_is_told(self):
        other = replace(READ, operation="find")
        told = "2 of 2 stale reads have read preference secondaryPreferred."
        assert told in page(document_of(READ, other))
        on_primary = [replace(read, is_primary=True) for read in (READ, other)]
        assert "stale reads have read preference" not in page(document_of(*on_primary))

    @pytest.mark.parametrize(
        ("said", "is_told"),
        [({}, True), ({"clock": "wall"}, False), ({"engine": "replicaset"}, False)],
    )
    def test_it_says_whether_times_are_simulated(self, said, is_told):
        document = document_of()
        document["settings"].update(said)
        assert ("Times are simulated" in page(document)) == is_told

    @pytest.mark.parametrize(("failing", "is_told"), [(None, True), ("AQAAAQHfeg", False)])
    def test_that_all_schedules_were_tried_is_said_where_none_fails(self, failing, is_told):
        """What was tried before one failed is not all, though the search went on."""
        document = document_of()
        document["tests"][0]["exploration"] = {
            "schedules_tried": 4,
            "failing_schedule": failing,
            "is_exhausted": True,
            "is_steady": True,
            "is_repeatable": True,
            "schedules_skipped": 0,
            "choices_left": 0,
        }
        assert ("4: there are no others" in page(document)) == is_told

    def test_a_lost_write_names_its_election(self):
        text = page(document_of(lost=(LOST,)))
        assert "secondary-1, which did not have it" in text
        assert "tests/test_badges.py:9" in text


def test_json_is_utf_8_as_people_write_it():
    text = rendered(document_of(replace(READ, result='"Zoë"')), "report.json")
    assert "Zoë" in text
    assert json.loads(text)["schema_version"] == 1


def test_every_guarantee_is_told_what_it_means():
    from pytest_replicalag import records
    from pytest_replicalag.report.wording import GUARANTEES

    names = [getattr(records, name) for name in records.__all__ if name.isupper()]
    assert sorted(GUARANTEES) == sorted(names)
