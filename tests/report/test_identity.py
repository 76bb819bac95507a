"""Names of findings: the same for the same code, whatever else differs."""

import shutil
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from report_documents import LOST, READ, WRITE

from pytest_replicalag.records import CallSite
from pytest_replicalag.report import identity
from pytest_replicalag.report.identity import Identities, statement_at

SOURCE = """
    class Orders:
        def place(self):
            self.orders.insert_one(
                {"_id": 7},
            )

        def get(self):
            with self.client.start_session() as session:
                return [
                    order
                    for order in self.orders.find(session=session)
                ]

    top = 1
"""


@pytest.fixture
def project(tmp_path):
    def project(name, source=SOURCE):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "app.py").write_text(textwrap.dedent(source))
        return folder

    return project


def of(folder: Path, read_line=12, write_line=4):
    site = CallSite(path=str(folder / "app.py"), line=read_line, function="get")
    wrote = CallSite(path=str(folder / "app.py"), line=write_line, function="place")
    read = replace(READ, call_site=site, missed=(replace(WRITE, call_site=wrote),))
    return Identities(str(folder)).of_stale_read(read)


def test_it_is_the_same_in_two_checkouts(project):
    assert of(project("one")) == of(project("two"))


def test_lines_that_come_before_change_nothing(project):
    moved = "\n\n# a comment\nimport os\n" + textwrap.dedent(SOURCE)
    assert of(project("one")) == of(project("two", moved), 16, 8)


def test_a_line_of_a_long_statement_is_as_good_as_another(project):
    folder = project("one")
    assert of(folder, write_line=4) == of(folder, write_line=5)
    assert of(folder, read_line=10) == of(folder, read_line=12)


def test_other_code_has_another_name(project):
    other = project("two", SOURCE.replace("find(session", "find({}, session"))
    assert of(project("one")) != of(other)
    assert of(project("three")) != of(project("four", SOURCE.replace("place(", "put(")))


def test_another_call_on_the_same_line_has_another_name():
    names = Identities("/project")
    assert names.of_stale_read(READ) != names.of_stale_read(replace(READ, operation="find"))
    assert names.of_stale_read(READ) != names.of_stale_read(replace(READ, missed=()))
    assert names.of_lost_write(LOST) != names.of_lost_write(replace(LOST, write_concern="w: 2"))


def test_what_a_test_reads_makes_no_difference():
    names = Identities("/project")
    other = replace(READ, text="find_one(8)", result="1", test="test_other", member="secondary-1")
    assert names.of_stale_read(READ) == names.of_stale_read(other)


TWICE = """
    def get(orders):
        first = orders.find_one()
        print(first)
        first = orders.find_one()

    def get_again(orders):
        first = orders.find_one()
"""


def test_the_second_of_two_statements_that_read_the_same_has_another_name(project):
    folder = project("one", TWICE)
    names = [of(folder, read_line=line) for line in (3, 5, 8)]
    assert len(set(names)) == 3
    alone = project(
        "two", TWICE.replace("print(first)\n        first = orders.find_one()", "print(first)")
    )
    assert of(alone, read_line=3) == names[0]


def test_code_that_cannot_be_read_is_told_apart_by_line():
    names = Identities("/project")
    other = replace(READ, call_site=replace(READ.call_site, line=READ.call_site.line + 1))
    assert names.of_stale_read(READ) != names.of_stale_read(other)


def test_how_often_a_line_was_missed_makes_no_difference():
    names = Identities("/project")
    assert names.of_stale_read(READ) == names.of_stale_read(replace(READ, missed=READ.missed * 2))


def test_statements(project):
    path = str(project("one") / "app.py")
    assert statement_at(path, 4).text == 'self.orders.insert_one( {"_id": 7}, )'
    assert statement_at(path, 4).scope == "Orders.place"
    assert statement_at(path, 9).text == "with self.client.start_session() as session:"
    assert statement_at(path, 11).scope == "Orders.get"
    assert statement_at(path, 15) == identity.Statement("", "top = 1")
    assert statement_at(path, 99) == identity.Statement("", "")


@pytest.mark.parametrize("source", ["def (", "\udcff", None])
def test_a_file_that_cannot_be_read_does_no_harm(tmp_path, source):
    path = tmp_path / "app.py"
    if source is not None:
        path.write_text(source, errors="surrogateescape")
    assert statement_at(str(path), 1) == identity.Statement("", "")


def test_paths(tmp_path):
    names = Identities(str(tmp_path))
    assert names.path(str(tmp_path / "app" / "orders.py")) == "app/orders.py"
    installed = "/opt/venv/lib/python3.12/site-packages/shop/orders.py"
    assert names.path(installed) == "shop/orders.py"
    assert names.path("/elsewhere/orders.py") == "orders.py"
    assert names.path("") == ""


def test_it_is_the_same_for_every_python(project):
    # One that was recorded; the run of each Python compares itself with it.
    folder = project("one")
    assert of(folder) == "02bbea5ecbdd"
    shutil.rmtree(folder)
