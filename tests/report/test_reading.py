"""Reports and baselines that are read: what is refused, with what text, and never a traceback."""

import copy
import json
import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from report_documents import READ, document_of

from pytest_replicalag.command_line import main
from pytest_replicalag.records import MONOTONIC_READS, Witness
from pytest_replicalag.report.baseline import baseline_text
from pytest_replicalag.report.reading import read_document

WITNESS = Witness(
    guarantee=MONOTONIC_READS,
    text="shop.orders.find({})",
    call_site=READ.call_site,
    at=READ.timeline.read_at,
    member="secondary-1",
)
REPORT = document_of(replace(READ, witnesses=(WITNESS,)))
BASELINE = json.loads(baseline_text(REPORT))


@pytest.fixture
def read(tmp_path):
    """Reads a document from a file."""

    def read(document):
        path = tmp_path / "read.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return read_document(path)

    return read


def changed(document, *path, to=None):
    """A document with another value at a place; without the place, if no value is given."""
    made = copy.deepcopy(document)
    at = made
    for step in path[:-1]:
        at = at[step]
    if to is None:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return made


class TestRefusals:
    @pytest.mark.parametrize(
        ("document", "problem"),
        [
            (
                changed(REPORT, "summary"),
                "not a report of pytest-replicalag: must contain ['summary']",
            ),
            (changed(REPORT, "settings"), "must contain ['settings']"),
            (
                changed(REPORT, "tests"),
                "must contain ['tests']",
            ),
            (changed(REPORT, "tests", to=[5]), "tests[0] must be object"),
            (
                changed(REPORT, "tests", 0, "reads", to=-1),
                "tests[0].reads must be bigger than",
            ),
            (changed(REPORT, "tests", 0, "reads", to=True), "tests[0].reads must be integer"),
            (
                changed(REPORT, "findings", 1, "id", to=[1]),
                "findings[1].id must be string",
            ),
            (
                changed(REPORT, "findings", 1, "kind", to="lost_write"),
                "findings[1].example must contain",
            ),
            (
                changed(REPORT, "findings", 0, "kind", to="x\n" * 99),
                "findings[0].kind must be one of ['stale_read', 'lost_write']",
            ),
            (
                changed(REPORT, "findings", 1, "example", "fixes", to=[]),
                "findings[1].example.fixes must contain at least 1 items",
            ),
            (
                changed(REPORT, "settings", to={"a b\n": 1.5}),
                r"settings.a b\n must be string or integer or boolean",
            ),
            (
                changed(REPORT, "findings", 1, "example", "timeline", "written_at_us", to=[1, 2]),
                "has not a time for each missed write",
            ),
            (
                changed(BASELINE, "findings", 0, "where"),
                "is not a baseline of pytest-replicalag: findings[0] must contain ['where']",
            ),
            (changed(BASELINE, "findings"), "must contain ['findings']"),
            (changed(BASELINE, "schema_version", to=0), "has version 0 of the schema"),
            (changed(BASELINE, "schema_version", to=-1), "has version -1 of the schema"),
            (changed(BASELINE, "schema_version", to=True), "is not a report of pytest-replicalag"),
            ("null", "is not a report of pytest-replicalag"),
            ("1" * 5000, "is not JSON: "),
            ("[" * 200_000, "nests too deeply"),
            ({**REPORT, "more": json.loads("[" * 300 + "]" * 300)}, "nests too deeply"),
        ],
    )
    def test_one_line_says_what_is_wrong(self, read, document, problem):
        with pytest.raises(ValueError, match=r"read\.json") as refusal:
            read(document)
        assert problem in str(refusal.value)
        assert str(refusal.value).isprintable()

    def test_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "read.json").write_bytes(b"\xff\xfe")
        with pytest.raises(ValueError, match=r"read\.json' is not JSON: 'utf-8' codec"):
            read_document(tmp_path / "read.json")


def test_what_a_newer_version_may_add_is_no_problem(read):
    assert read({**REPORT, "more": 1})["more"] == 1
    assert read(changed(BASELINE, "findings", 0, "note", to="mended soon"))


# -- a fuzzed command ----------------------------------------------------------------------------

# Numbers with a point that are whole are integers for JSON Schema; none are written.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 10**30)
    | st.sampled_from([0.5, float("nan"), "", "0" * 12, "\ud800", "stale_read", "lost_write"])
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
MUTATIONS = st.lists(
    st.tuples(st.integers(0, 2**32), st.sampled_from(["delete", "twice"]) | VALUES),
    min_size=1,
    max_size=3,
)
"""Which places of a document are changed, and how: deleted, doubled, or replaced by a value."""


def _places(node):
    """Where a value can be changed: each container with each of its keys."""
    for key, inner in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(inner, (dict, list)):
            yield from _places(inner)


def _mutated(document, mutations):
    made = copy.deepcopy(document)
    for seed, change in mutations:
        places = list(_places(made))
        if not places:
            return made
        node, key = random.Random(seed).choice(places)
        if change == "delete":
            del node[key]
        elif change == "twice" and isinstance(node, list):
            node.append(copy.deepcopy(node[key]))
        else:
            node[key] = change
    return made


@pytest.mark.slow
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(mutations=MUTATIONS, of_report=st.booleans())
@example(mutations=[], of_report=True)
@example(mutations=[], of_report=False)
def test_the_command_never_raises(tmp_path, capsys, mutations, of_report):
    """Of a file that the command takes, it makes every format."""
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(REPORT))
    bad.write_text(json.dumps(_mutated(REPORT if of_report else BASELINE, mutations)))
    capsys.readouterr()
    code = main(["diff", str(bad), str(good)])
    refusal = capsys.readouterr().err
    assert code in (0, 1) if not refusal else code == 2
    assert not refusal or refusal.startswith(f"pytest-replicalag: {str(bad)!r} ")
    assert refusal.count("\n") <= 1
    assert main(["diff", str(good), str(bad)]) in (0, 1, 2)
    for ending in ("json", "html", "sarif", "codequality.json", "md"):
        merged = main(["merge", str(good), str(bad), f"--output={tmp_path / 'out'}.{ending}"])
        assert merged == (0 if of_report and not refusal else 2), capsys.readouterr().err
