"""Reports and baselines that are read: what is refused, with what text, and never a traceback."""

import copy
import json
import random
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from report_documents import READ, document_of

from pytest_replicalag.command_line import main
from pytest_replicalag.records import MONOTONIC_READS, Witness
from pytest_replicalag.report.baseline import baseline_text
from pytest_replicalag.report.conformity import KEYWORDS, problem_in
from pytest_replicalag.report.document import schema
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
            (changed(REPORT, "summary"), "is not a report of pytest-replicalag: it has no 'summa"),
            (changed(REPORT, "settings"), "it has no 'settings'"),
            (changed(REPORT, "tests"), "is not a report of pytest-replicalag: it has no 'tests'"),
            (changed(REPORT, "tests", to=[5]), "tests[0] must be of type object: 5"),
            (changed(REPORT, "tests", 0, "reads", to=-1), "tests[0].reads must be 0 or more: -1"),
            (changed(REPORT, "tests", 0, "reads", to=True), "must be of type integer: true"),
            (
                changed(REPORT, "findings", 1, "id", to=[1]),
                "findings[1].id must be of type string: an array",
            ),
            (
                changed(REPORT, "findings", 1, "kind", to="lost_write"),
                "findings[1].example has no 'write_concern'",
            ),
            (
                changed(REPORT, "findings", 0, "kind", to="x\n" * 99),
                r'findings[0].kind must be one of stale_read or lost_write: "x\nx\nx\nx\nx',
            ),
            (
                changed(REPORT, "findings", 1, "example", "fixes", to=[]),
                "findings[1].example.fixes is too short: an array",
            ),
            (
                changed(REPORT, "settings", to={"a b\n": 1.5}),
                r'settings."a b\n" must be of type string or integer or boolean: 1.5',
            ),
            (
                changed(REPORT, "findings", 1, "example", "timeline", "written_at_us", to=[1, 2]),
                "has not a time for each missed write",
            ),
            (
                changed(BASELINE, "findings", 0, "where"),
                "is not a baseline of pytest-replicalag: findings[0] has no 'where'",
            ),
            (changed(BASELINE, "findings"), "it has no 'findings'"),
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


class TestSchemas:
    @pytest.mark.parametrize("kind", ["report", "baseline"])
    def test_a_keyword_that_would_not_be_checked_is_not_used(self, kind):
        used = set(_keywords(schema(kind)))
        assert used - KEYWORDS == {"$schema", "title", "description", "$defs"} & used

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_what_they_say_is_what_is_checked(self, data):
        kind, document = data.draw(st.sampled_from([("report", REPORT), ("baseline", BASELINE)]))
        made = _mutated(document, data.draw(MUTATIONS))
        problem = problem_in(made, schema(kind))
        assert bool(problem) != _validator(kind).is_valid(made), problem


@cache
def _validator(kind):
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft202012Validator(_lenient(schema(kind)))


def _lenient(node):
    """A schema that takes properties which it does not know."""
    if not isinstance(node, dict):
        return node
    return {
        name: _lenient(inner)
        for name, inner in node.items()
        if (name, inner) != ("additionalProperties", False)
    }


def _keywords(node):
    for name, inner in node.items():
        yield name
        if name in ("properties", "$defs"):
            for each in inner.values():
                yield from _keywords(each)
        elif isinstance(inner, dict):
            yield from _keywords(inner)


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
