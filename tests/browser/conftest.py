"""A real browser, where there is one, and what of npm is needed to judge pages and files."""

from __future__ import annotations

import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
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
def npm_package(tmp_path_factory):
    """The folder of a package of npm, by its name."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm on the path")
    folder = tmp_path_factory.mktemp("npm")

    def npm_package(name):
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"]
        command = ["npm", "install", *options, "--prefix", str(folder), name]
        try:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
        except subprocess.CalledProcessError as error:
            pytest.skip(f"npm cannot install {name}: {error.stderr.strip().splitlines()[-1]}")
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm cannot install {name}: no answer within a minute")
        return folder / "node_modules" / name.rpartition("@")[0]

    return npm_package
