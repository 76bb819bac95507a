"""The report of the example shop: made when the pages are built, and shown on them.

Where Chromium is on the path, pictures of it are made, too.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "_static" / "generated"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PICTURES = {"report": (1000, 1150), "report-phone": (500, 1150)}


class ExampleReport(Directive):
    """A link to the report, and what it looks like."""

    def run(self):
        link = '<a href="../_static/generated/report.html">Open the report of the example shop</a>'
        shown = [f"<p>{link}.</p>"]
        if (FOLDER / "report.png").exists():
            alt = "Counts, an overview, and the first finding with its timeline and what mends it"
            shown.append(f'<img class="shot" src="../_static/generated/report.png" alt="{alt}">')
        return [nodes.raw("", "\n".join(shown), format="html")]


def make(_app):
    """Run the shop's tests with lag, and keep their report."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    page = FOLDER / "report.html"
    with tempfile.TemporaryDirectory() as place:
        shop = Path(place) / "shop"
        shutil.copytree(ROOT / "examples" / "shop_buggy", shop)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        options = ["--replica-lag=200ms", f"--replica-lag-report={page}"]
        done = subprocess.run([*command, *options], cwd=shop, capture_output=True, check=False)
        if done.returncode != 1:  # its tests fail with lag, as they are to
            raise RuntimeError(done.stdout.decode())
        program = shutil.which("chromium")
        for name, (width, height) in PICTURES.items():
            picture = FOLDER / f"{name}.png"
            picture.unlink(missing_ok=True)
            if program is not None:
                shot = [f"--window-size={width},{height}", f"--screenshot={picture}"]
                profile = f"--user-data-dir={place}/{name}"
                command = [program, *FLAGS, profile, *shot, page.as_uri()]
                subprocess.run(command, capture_output=True, check=False, timeout=60)


def setup(app):
    """Called by Sphinx."""
    app.add_directive("replica-lag-example-report", ExampleReport)
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True}
