"""Reads the examples on a documentation page, and runs them as a reader would.

Every fenced block of Python or console on a page, and any other block that is to be checked, stands
under a comment, invisible to readers, that says what it is:

`<!-- file: NAME -->`
    The block is this file of the page's project, a folder that starts empty.
`<!-- from: PATH -->`
    The block is an excerpt of this file of the repository, word for word.
`<!-- run -->`
    A console block: a command after `$ `, and what it prints. `pytest` and `python` commands run in
    the page's project. `<!-- run: exit 1, show section -->` also says how the command ends (0 by
    default), and which part of its output the block shows (see `VIEWS`; several with `+`).
`<!-- not run: REASON -->`
    It cannot be run here.

Besides these there are, on their own:

`<!-- project -->`
    Starts another empty project.
`<!-- project: PATH -->`
    Starts a project that is a copy of this folder of the repository.
`<!-- check: COMMAND => WORDS -->`
    Runs a command that readers are not shown; its output contains the words.
`<!-- needs: MODULE, … -->`
    The page's examples need these modules; where one is not installed, the page is skipped. Those
    that are pytest plugins are on.

Timings are the same everywhere: `0.01s`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 80

LABELLED = ("python", "console")
"""The languages whose blocks must say what they are."""

PLUGINS = {
    "xdist": "xdist.plugin",
    "pytest_asyncio": "pytest_asyncio.plugin",
    "pytest_django": "pytest_django.plugin",
    "pytest_randomly": "pytest_randomly",
    "pytest_rerunfailures": "pytest_rerunfailures",
}
"""The pytest plugin of a module that a page may need."""


class PageError(Exception):
    """A page breaks the rules above, or is wrong."""


@dataclass
class Block:
    """A fenced block.

    Attributes:
        line: The line of its opening fence, from 1.
        language: What the fence says.
        text: What is inside, without the indentation of the fence.
        label: The comment above it, without its marks; empty if there is none.
        indent: The indentation of the fence.
    """

    line: int
    language: str
    text: str
    label: str
    indent: str = ""


@dataclass
class Note:
    """A comment that stands on its own."""

    line: int
    label: str


_NOTE = re.compile(r"<!-- (project|check|needs)\b.*-->")
_COMMENT = re.compile(r"<!-- (.*) -->")


def pages() -> list[Path]:
    """All pages whose examples are run."""
    docs = (path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
    return [*map(ROOT.joinpath, ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *sorted(docs)]


def parse(text: str) -> list[Block | Note]:
    """The blocks and notes of a page, in order."""
    found: list[Block | Note] = []
    lines = text.split("\n")
    number = 0
    label = ""
    while number < len(lines):
        line = lines[number].strip()
        fence = re.match(r"(\s*)(`{3,})(.*)", lines[number])
        if _NOTE.fullmatch(line):
            found.append(Note(number + 1, line[5:-4]))
            label = ""
        elif fence:
            end = number + 1
            while lines[end].strip() != fence[2]:
                end += 1
            inside = [line.removeprefix(fence[1]) for line in lines[number + 1 : end]]
            body = "".join(f"{line}\n" for line in inside)
            found.append(Block(number + 1, fence[3].strip(), body, label, fence[1]))
            number = end
            label = ""
        elif line:
            comment = _COMMENT.fullmatch(line)
            label = comment[1] if comment else ""
        number += 1
    return found


def render(text: str, blocks: list[Block]) -> str:
    """A page with the texts of these blocks in place of what they showed."""
    lines = text.split("\n")
    for block in reversed(blocks):
        end = block.line
        while lines[end].strip() != "```":
            end += 1
        lines[block.line : end] = [
            (block.indent + line).rstrip() for line in block.text.removesuffix("\n").split("\n")
        ]
    return "\n".join(lines)


# -- what a console block shows ----------------------------------------------------------------


def _between(first: str, last: str) -> re.Pattern[str]:
    return re.compile(rf"^{first}.*?(?={last})", re.MULTILINE | re.DOTALL)


_RULE = r"^[=_]{3}"

VIEWS = {
    "all": re.compile(r".*", re.DOTALL),
    "header": re.compile(r"^replica lag: .*\n(?:  .*\n)*", re.MULTILINE),
    "failures": _between(r"=+ FAILURES =+\n", r"^=+ (?:replica lag|short test summary)"),
    "section": _between(r"-+ replica lag -+\n", rf"{_RULE}|^-+ replica lag: "),
    "schedule": _between(r"-+ replica lag: minimal schedule -+\n", _RULE),
    "summary": _between(r"=+ replica lag =+\n", rf"{_RULE}"),
    "last": re.compile(r"^=* ?\d+ (?:failed|passed).*\n\Z", re.MULTILINE),
    "error": re.compile(r"^ERROR: .*\n(?:.+\n)*", re.MULTILINE),
    "help": _between(r"replica lag: find", r"^\S"),
    "nothing": re.compile(r"(?!)"),
}
"""Parts of what pytest prints, by name: the header line of the plugin, the failures with their
sections, the section of the first failure and that of its schedule, the summary of the run, the
last line, a usage error, the plugin's options."""


def view(output: str, names: str) -> str:
    """The parts of an output that a block shows."""
    parts = []
    for name in names.split(" + "):
        match = VIEWS[name].search(output)
        if match is None and name != "nothing":
            raise PageError(f"there is no {name} in this output:\n{output}")
        if match is not None:
            parts.append(match[0].strip("\n") + "\n")
    return "".join(parts)


def normalise(output: str) -> str:
    """An output without what differs from run to run, or with a version."""
    output = re.sub(r"^ *\^+\n", "", output, flags=re.MULTILINE)
    output = re.sub(r" at 0x[0-9a-f]+", " at 0x7f00", output)
    output = re.sub(r"\bPyMongo \d[\w.]*", "PyMongo 4.20.0", output)
    output = re.sub(r" in \d+\.\d\ds(?= |$)", " in 0.01s", output, flags=re.MULTILINE)
    output = re.sub(r"^=+ (.* in 0\.01s) =+$", _centred, output, flags=re.MULTILINE)
    output = re.sub(r"^ +(from PyMongo )[\d.]+(.*)$", _at_the_right, output, flags=re.MULTILINE)
    return "".join(f"{line.rstrip()}\n" for line in output.split("\n")).rstrip("\n") + "\n"


def _at_the_right(match: re.Match[str]) -> str:
    return f"{match[1]}4.20.0{match[2]}".rjust(WIDTH)


def _centred(match: re.Match[str]) -> str:
    return f" {match[1]} ".center(WIDTH, "=")


# -- running -----------------------------------------------------------------------------------


class Reader:
    """Follows a page: makes its files, runs its commands.

    Args:
        folder: An empty one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._projects = 0
        self._not_run_yet: set[str] = set()
        self._modules: list[str] = []
        self._start()

    def follow(self, text: str) -> Iterator[tuple[Block, str]]:
        """Each console block that was run, with the text that it should have.

        Raises:
            PageError: The page breaks the rules, or a command ends otherwise than it says.
        """
        for item in parse(text):
            actual = self._take(item)
            if actual is not None and isinstance(item, Block):
                yield item, actual
        self._finish()

    def _take(self, item: Block | Note) -> str | None:
        """Do what an item says; returns what it should show, if it shows an output."""
        try:
            return self._note(item.label) if isinstance(item, Note) else self._block(item)
        except PageError as error:
            raise PageError(f"line {item.line}: {error}") from None

    def _start(self, source: Path | None = None) -> None:
        self._projects += 1
        self.project = self._folder / f"{self._projects}" / "project"
        if source is None:
            self.project.mkdir(parents=True)
        else:
            skipped = shutil.ignore_patterns("__pycache__", ".pytest_cache")
            shutil.copytree(source, self.project, ignore=skipped)
        self._not_run_yet = set()

    def _finish(self) -> None:
        if self._not_run_yet:
            raise PageError(f"no command runs {', '.join(sorted(self._not_run_yet))}")

    def _note(self, label: str) -> None:
        kind, _, argument = label.partition(": ")
        if kind == "project":
            self._finish()
            self._start(ROOT / argument if argument else None)
        elif kind == "needs":
            self._modules = needs(label)
        else:
            command, _, words = argument.partition(" => ")
            _, output = self._run(command, 0)
            if words not in output:
                raise PageError(f"{command}: “{words}” is not in\n{output}")

    def _block(self, block: Block) -> str | None:
        kind, _, argument = block.label.partition(": ")
        if kind == "run" or kind.startswith("run"):
            return self._console(block, argument)
        if kind == "file":
            file = self.project / argument
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
            if file.suffix == ".py" and file.name != "conftest.py":
                self._not_run_yet.add(argument)
        elif kind == "from":
            if block.text not in (ROOT / argument).read_text():
                raise PageError(f"this is not in {argument}")
        elif kind == "not run" and argument:
            pass
        elif block.language in LABELLED:
            raise PageError(f"a block of {block.language} says neither file, from, run nor not run")
        return None

    def _console(self, block: Block, argument: str) -> str:
        match = re.fullmatch(r"(?:exit (\d+))?(?:, )?(?:show (.*))?", argument)
        if match is None:
            raise PageError(f"what is “{argument}”?")
        commands = re.findall(r"^\$ (.*)\n", block.text, re.MULTILINE)
        if len(commands) != 1 or not block.text.startswith("$ "):
            raise PageError("a console block has one command, after “$ ”")
        _, output = self._run(commands[0], int(match[1] or 0))
        return f"$ {commands[0]}\n{view(output, match[2] or 'all')}"

    def _run(self, command: str, code: int) -> tuple[int, str]:
        program, *arguments = shlex.split(command)
        if program == "pytest":
            arguments = ["-m", "pytest", "-p", "no:cacheprovider", *arguments]
        elif program != "python":
            raise PageError(f"{program} is neither pytest nor python")
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.project,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
            timeout=60,
        )
        if result.returncode != code:
            said = f"{command} ended with exit code {result.returncode}, not {code}:"
            raise PageError(f"{said}\n{result.stdout}")
        self._not_run_yet = set()
        return result.returncode, normalise(result.stdout)

    def _environment(self) -> dict[str, str]:
        """No plugin but ours and those that the page needs, and no colours."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "COV_", "PY_COLORS", "FORCE_COLOR", "CI"))
        }
        plugins = ["pytest_replicalag.plugin"]
        plugins += [PLUGINS[name] for name in self._modules if name in PLUGINS]
        return {
            **environment,
            "COLUMNS": str(WIDTH),
            "NO_COLOR": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": ",".join(plugins),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": "utf-8",
        }


def needs(text: str) -> list[str]:
    """The modules that a page's examples need."""
    return [
        name.strip()
        for names in re.findall(r"needs: ([\w, ]+)", text)
        for name in names.split(",")
        if name.strip()
    ]
