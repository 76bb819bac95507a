"""A real browser, where there is one, and what of npm is needed to judge pages and files."""

from __future__ import annotations

import shutil

import pytest
from npm_packages import npm_package


@pytest.fixture(scope="module")  # its event loop must not run on in tests that have their own
def browser():
    """Chromium, without a screen."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no chromium on the path")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def npm(tmp_path_factory):
    """The folder of a package of npm, by its name and version."""
    folder = tmp_path_factory.mktemp("npm")
    return lambda name: npm_package(name, folder) / name.rpartition("@")[0]
