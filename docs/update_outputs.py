"""Writes tables, and what commands really print, into the pages: docs/update_outputs.py [PAGE…].

The tests compare, and never write. Look at the difference before you commit it.
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "docs"))
sys.path.insert(0, str(ROOT / "docs"))

from doc_pages import PageError, Reader, pages, render  # noqa: E402
from tables import with_tables  # noqa: E402


def update(page: Path) -> int:
    """Write the outputs of one page; returns how many have changed."""
    text = with_tables(page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")
    changed = []
    with tempfile.TemporaryDirectory() as folder:
        for block, actual in Reader(Path(folder)).follow(text):
            if block.text != actual:
                block.text = actual
                changed.append(block)
    if changed:
        page.write_text(render(text, changed), encoding="utf-8")
    return len(changed)


def main() -> int:
    """Update the pages named on the command line, or all."""
    code = 0
    for page in [Path(name).resolve() for name in sys.argv[1:]] or pages():
        name = page.relative_to(ROOT)
        try:
            count = update(page)
        except PageError as error:
            print(f"{name}: {error}")
            code = 1
        else:
            print(f"{name}: {count} outputs updated")
    return code


if __name__ == "__main__":
    sys.exit(main())
