"""Directives whose content comes from the package: options, and what a bad value is answered."""

from docutils import nodes
from docutils.parsers.rst import Directive

from pytest_replicalag.endpoints.memory import command_table
from pytest_replicalag.engines.memory.commands import COMMANDS, LACKING
from pytest_replicalag.errors import SettingError
from pytest_replicalag.options import OPTIONS, Given
from pytest_replicalag.settings import read_marker, resolve

BAD_SETTINGS = (
    {"lag": "200"},
    {"lag": "-1s"},
    {"lag": "soon"},
    {"lag": "0.5us"},
    {"lag": "400ms..50ms"},
    {"lag": "1s..inf"},
    {"lag": "50ms,,2s"},
    {"lag": "1s,2s,3s"},
    {"secondaries": "0"},
    {"secondaries": "1000"},
    {"secondaries": "two"},
    {"read_preference": "secondry"},
    {"write_concern": "most"},
    {"write_concern": "-1"},
    {"choose": "fastest"},
    {"clock": "real"},
    {"on_stale": "warn"},
    {"engine": "mongo"},
    {"mongod": "/nowhere/mongod"},
    {"mongod": "http://127.0.0.1"},
    {"seed": "x"},
)

BAD_MARKERS = (
    (("50ms", "2s"), {}),
    (("1s",), {"lag": "2s"}),
    ((), {"secondarys": 4}),
    ((200,), {}),
    (([],), {}),
)


class Options(Directive):
    """A table of the options in their three forms, and what each does."""

    def run(self):
        rows = [("Command line", "ini key", "Marker", "Default")]
        rows += [
            (
                code(flag(option)),
                code(option.ini),
                code(option.name) if option.in_marker else "",
                code(option.default) if option.default else "no lag",
            )
            for option in OPTIONS
        ]
        items = nodes.definition_list()
        for option in OPTIONS:
            term = nodes.term("", "", code(flag(option)))
            text = nodes.paragraph("", option.help)
            item = nodes.definition_list_item("", term, nodes.definition("", text))
            item["ids"].append(option.ini.replace("_", "-"))
            items += item
        return [table(rows, (34, 30, 20, 16)), items]


class BadSettings(Directive):
    """A table of bad values, and the message that each is answered with."""

    def run(self):
        rows = [("You write", "The error says")]
        for bad in BAD_SETTINGS:
            [(name, value)] = bad.items()
            option = next(option for option in OPTIONS if option.name == name)
            given = {name: Given(source=option.flag, value=value)}
            rows.append((code(f"{option.flag}={value}"), message(resolve, [given])))
        for args, words in BAD_MARKERS:
            listed = [*map(repr, args), *(f"{word}={value!r}" for word, value in words.items())]
            written = f"replica_lag({', '.join(listed)})".replace("'", '"')
            rows.append((code(written), message(marked, args, words)))
        return [table(rows, (40, 60))]


class Commands(Directive):
    """A table of the commands that an endpoint answers."""

    def run(self):
        rows = [("Command", "What it does here", "In transactions")]
        rows += [
            (code(name), with_code(command.summary), "yes" if command.in_transaction else "")
            for name, command in sorted(command_table().items(), key=lambda item: item[0].lower())
        ]
        return [table(rows, (26, 58, 16))]


class CommandFields(Directive):
    """A table of the fields that each data command may have."""

    def run(self):
        rows = [("Command", "Supported", "Taken, changes nothing", "Refused with error 115")]
        rows += [
            (code(name), *map(", ".join, (fields.supported, fields.ignored, fields.refused)))
            for name, fields in COMMANDS.items()
            if name in command_table() and (fields.supported or fields.ignored or fields.refused)
        ]
        return [table(rows, (18, 30, 26, 26), "fields")]


class LackingOperators(Directive):
    """A table of the operators that are refused, by where they stand."""

    def run(self):
        rows = [("Where", "Refused with error 115")]
        rows += [
            (where, [part for name in sorted(names) for part in (code(name), nodes.Text(" "))])
            for where, names in LACKING.items()
        ]
        return [table(rows, (18, 82))]


def marked(args, words):
    """What a marker with these arguments means."""
    return resolve([read_marker(args, words, "test_orders.py::test_order")])


def message(function, *arguments):
    """The message of the error that a function raises."""
    try:
        function(*arguments)
    except SettingError as error:
        return str(error)
    raise AssertionError(f"{arguments} is not an error")


def flag(option):
    """An option as it is written on the command line."""
    return option.flag if option.is_flag else f"{option.flag}={option.metavar}"


def code(text):
    """Text as code."""
    return nodes.literal(text, text)


def with_code(text):
    """A text whose parts in backticks are code."""
    parts = text.split("`")
    return [code(part) if number % 2 else nodes.Text(part) for number, part in enumerate(parts)]


def table(rows, widths, *classes):
    """A table; the first row is its head, and an entry is a text, a node or several."""
    group = nodes.tgroup(cols=len(widths))
    group += [nodes.colspec(colwidth=width) for width in widths]
    head, *body = [
        nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *as_nodes(cell))) for cell in row))
        for row in rows
    ]
    group += [nodes.thead("", head), nodes.tbody("", *body)]
    return nodes.table("", group, classes=["colwidths-given", *classes])


def as_nodes(cell):
    """A cell's content as nodes."""
    if isinstance(cell, list):
        return cell
    return [nodes.Text(cell) if isinstance(cell, str) else cell]


_docstrings = {}


def keep_property(app, what, name, obj, options, lines):  # noqa: ARG001
    """Remember a property's docstring before napoleon reads `Text: more` as a type and a text."""
    if what == "property":
        _docstrings[name] = list(lines)


def restore_property(app, what, name, obj, options, lines):  # noqa: ARG001
    """Put it back."""
    if what == "property":
        lines[:] = _docstrings[name]


def setup(app):
    """Add the directives."""
    app.connect("autodoc-process-docstring", keep_property, priority=400)
    app.connect("autodoc-process-docstring", restore_property, priority=600)
    app.add_directive("replica-lag-options", Options)
    app.add_directive("replica-lag-bad-settings", BadSettings)
    app.add_directive("replica-lag-commands", Commands)
    app.add_directive("replica-lag-command-fields", CommandFields)
    app.add_directive("replica-lag-lacking-operators", LackingOperators)
    return {"version": "1", "parallel_read_safe": True}
