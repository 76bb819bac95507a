"""How fast a page with 10,000 findings is there, in headless Chromium; and how fast it is made.

Compared with a page of one finding, in the same browser. Needs Chromium on the path, and
`pip install playwright`.

Run: python benchmarks/html_report.py
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from report_documents import READ, document_of

from pytest_replicalag.report.formats import rendered

FINDINGS = 10_000
REPEATS = 5
REACH_S = 2.0


def document(findings: int) -> dict[str, object]:
    """A document of so many findings."""
    reads = (replace(READ, namespace=f"shop.collection{number}") for number in range(findings))
    return document_of(*reads, lost=())


def loaded_s(browser: object, uri: str) -> float:
    """The seconds until a page is loaded and drawn."""
    page = browser.new_page()
    began = time.perf_counter()
    page.goto(uri, wait_until="load")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    took = time.perf_counter() - began
    page.close()
    return took


def main() -> None:
    """Print what was measured."""
    program = shutil.which("chromium")
    if program is None:
        print("there is no chromium on the path")
        return
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        times = {}
        for findings in (1, FINDINGS):
            made = document(findings)
            began = time.perf_counter()
            text = rendered(made, "report.html")
            took = time.perf_counter() - began
            path = Path(place) / f"{findings}.html"
            path.write_text(text, encoding="utf-8")
            times[findings] = statistics.median(
                loaded_s(browser, path.as_uri()) for _ in range(REPEATS)
            )
            size = len(text) / 1_000_000
            print(f"{findings} findings: made in {took:.2f} s, {size:.1f} MB", flush=True)
        browser.close()
    many_s, ratio = times[FINDINGS], times[FINDINGS] / times[1]
    verdict = "reached" if many_s < REACH_S else "NOT reached"
    print(f"loaded and drawn in {many_s:.2f} s (< {REACH_S:.0f} s: {verdict}), {ratio:.0f}x")


if __name__ == "__main__":
    main()
