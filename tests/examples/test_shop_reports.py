"""The reports of the example shop: each format, and what of them must not change by chance."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_replicalag.report.document import schema

SHOP = Path(__file__).parents[2] / "examples" / "shop_buggy"
FORMATS = ("json", "html", "sarif", "codequality.json", "md")

pytestmark = pytest.mark.slow


def run(folder, *options):
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".hypothesis")
    if not folder.exists():
        shutil.copytree(SHOP, folder, ignore=ignored)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "--replica-lag=200ms"]
    return subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, check=False, timeout=100
    )


def ids(path):
    return [finding["id"] for finding in json.loads(path.read_text())["findings"]]


def test_every_format_has_the_three_bugs(tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    run(tmp_path / "shop", *(f"--replica-lag-report={tmp_path}/out.{name}" for name in FORMATS))
    jsonschema.validate(json.loads((tmp_path / "out.json").read_text()), schema())
    for name in FORMATS:
        text = (tmp_path / f"out.{name}").read_text(encoding="utf-8")
        for file in ("shop/accounts.py", "shop/carts.py", "shop/orders.py"):
            assert file in text
    assert len(json.loads((tmp_path / "out.codequality.json").read_text())) == 3
    [sarif] = json.loads((tmp_path / "out.sarif").read_text())["runs"]
    assert len(sarif["results"]) == 3


def test_findings_have_the_same_ids_in_two_checkouts(tmp_path):
    for name in ("one", "two"):
        run(tmp_path / name / "shop", f"--replica-lag-report={tmp_path}/{name}.json")
    assert ids(tmp_path / "one.json") == ids(tmp_path / "two.json")
    assert len(ids(tmp_path / "one.json")) == 3


def test_with_a_baseline_only_a_new_bug_fails(tmp_path):
    shop = tmp_path / "shop"
    fail = ("--replica-lag-on-stale=fail", "--replica-lag-baseline=known.json")
    shop.parent.mkdir(exist_ok=True)
    shutil.copytree(SHOP, shop)
    for file in shop.glob("tests/test_*.py"):  # the shop accepts its stale reads, for now
        text = file.read_text()
        file.write_text(text.replace("    assert ", "    assert True or "))
    assert run(shop, "--replica-lag-on-stale=fail").returncode == 1
    assert run(shop, *fail, "--replica-lag-update-baseline").returncode == 0
    assert run(shop, *fail).returncode == 0
    carts = shop / "shop" / "carts.py"
    carts.write_text(
        f"{carts.read_text()}\n\ndef count(db):\n    return db.carts.count_documents({{}})\n"
    )
    test = shop / "tests" / "test_carts.py"
    test.write_text(f"{test.read_text()}    carts.count(db)\n")
    done = run(shop, *fail)
    assert done.returncode == 1
    assert "Baseline: 1 new finding, 3 known." in done.stdout
