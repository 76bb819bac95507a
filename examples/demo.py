"""The story of the shop, told by real pytest runs; fails if a run does not end as it is told."""

# ruff: noqa: T201

import ast
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUGGY = HERE / "shop_buggy"
FIXED = HERE / "shop_fixed"
LAG = "--replica-lag=200ms"
WIDTH = 80


def main():
    sys.stdout.reconfigure(errors="replace")
    tell(
        "1. Tuesday: every test is green",
        "The shop reads from secondaries, but its tests run on mongomock, which has none.",
    )
    code, report = run_pytest(BUGGY)
    problems = outcome_problems(code, report, "3 passed")

    tell(
        "2. Wednesday: the same tests, on a replica set whose secondary lags by 200 ms",
        "Not a line of the shop has changed. Each stale read is reported with the write that it "
        "missed, both places in the code, and what would mend it.",
    )
    code, report = run_pytest(BUGGY, LAG)
    problems += outcome_problems(code, report, "3 failed")
    problems += finding_problems(report, "orders", read="find_one", write="insert_one")
    problems += finding_problems(report, "carts", read="find_one", write="update_one")
    problems += finding_problems(report, "accounts", read="aggregate", write="insert_one")

    tell(
        "3. Thursday: mended, and still lagging",
        "orders.py reads from the primary, carts.py uses the document that the write returns, "
        "accounts.py uses one causally consistent session.",
    )
    problems += different_tests()
    code, report = run_pytest(FIXED, LAG)
    problems += outcome_problems(code, report, "6 passed")
    if re.search(r"^stale read  ", report, re.MULTILINE) or "missed" in report:
        problems.append("the mended shop still makes stale reads")

    if problems:
        tell("This is not how the story goes", "")
        print("\n".join(f"- {problem}" for problem in problems))
        return 1
    tell(
        "All three runs ended as told",
        "The code: examples/shop_buggy and examples/shop_fixed.",
    )
    return 0


def tell(headline, text):
    """Print a headline and what it means."""
    print("", "#" * WIDTH, *(f"# {line}" for line in textwrap.wrap(headline, WIDTH - 2)), sep="\n")
    if text:
        print("#", *(f"# {line}" for line in textwrap.wrap(text, WIDTH - 2)), sep="\n")
    print("#" * WIDTH, "", sep="\n", flush=True)


def run_pytest(folder, *arguments):
    """Run the tests of a shop, show what pytest says, return its exit code and that."""
    options = ["--tb=short", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command = " ".join(["pytest", *arguments])
    print(f"examples/{folder.name}$ {command}", "", sep="\n", flush=True)
    environment = {
        **os.environ,
        "COLUMNS": str(WIDTH),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=False,
    )
    print(result.stdout, flush=True)
    return result.returncode, result.stdout


def different_tests():
    """The tests that the mended shop has changed; if it had, nothing would be proved."""
    return [
        f"{file.name} differs between the two shops"
        for file in sorted((BUGGY / "tests").glob("test_*.py"))
        if file.read_text() != (FIXED / "tests" / file.name).read_text()
    ]


def outcome_problems(code, report, outcome):
    """What is wrong with how a run ended."""
    expected = 0 if outcome.endswith("passed") else 1
    if code == expected and re.search(rf"=+ {outcome} in ", report):
        return []
    return [f"expected “{outcome}” and exit code {expected}; pytest ended with exit code {code}"]


def finding_problems(report, module, *, read, write, folder=BUGGY):
    """What the report fails to say of the stale read in one module of a shop."""
    file = f"shop/{module}.py"
    read_at, write_at = site(folder, file, read), site(folder, file, write)
    start_or_end = re.compile(r"^(?=stale read  |[=_]{3})", re.MULTILINE)
    blocks = start_or_end.split(report.replace("\\", "/"))
    findings = [" ".join(block.split()) for block in blocks if block.startswith("stale read  ")]
    ours = [text for text in findings if re.search(rf"{re.escape(read_at)}\b", text)]
    if not ours:
        return [f"no report of the stale read at {read_at}"]
    wanted = {
        "the read": rf"^stale read shop\.\w+\.{read}\(",
        "the missed write": rf"missed {write}\(",
        "the write's call site": rf"missed .*{re.escape(write_at)}\b",
        "a fix": r"fix .*primary",
    }
    return [
        f"the report of the stale read at {read_at} does not name {what}"
        for what, pattern in wanted.items()
        if not re.search(pattern, ours[0])
    ]


def site(folder, file, method):
    """Where a shop's module calls a method of a collection, such as `shop/orders.py:12`."""
    tree = ast.parse((folder / file).read_text())
    [line] = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == method
    ]
    return f"{file}:{line}"


if __name__ == "__main__":
    sys.exit(main())
