"""The tables on the reference pages, made from the package, so that they read well as they are.

On a page, a table stands between `<!-- table: NAME -->` and `<!-- table ends -->`. The tests
compare it with what this module makes; `python docs/update_outputs.py` writes it anew.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from textwrap import dedent

import pytest_replicalag
from pytest_replicalag.endpoints.memory import command_table
from pytest_replicalag.engines.memory.commands import COMMANDS, LACKING
from pytest_replicalag.errors import SettingError
from pytest_replicalag.options import OPTIONS, Given
from pytest_replicalag.settings import read_words, resolve

__all__ = ["with_tables"]

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

_PLACE = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- table ends -->)", re.DOTALL)
_ATTRIBUTE = re.compile(r"^(\w+): ", re.MULTILINE)

Row = Iterable[str]


def with_tables(page: str) -> str:
    """A page's text with its tables as they are now.

    Raises:
        KeyError: There is no table of that name.
    """

    def made(place: re.Match[str]) -> str:
        return f"{place[1]}\n{_markdown(TABLES[place[2]]())}\n\n{place[3]}"

    return _PLACE.sub(made, page)


def _markdown(rows: Iterable[Row]) -> str:
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body])


# -- options and settings ------------------------------------------------------------------------


def options() -> Iterable[Row]:
    """The options in their three forms."""
    yield "Command line", "ini key", "Marker", "Default"
    for option in OPTIONS:
        flag = option.flag if option.is_flag else f"{option.flag}={option.metavar}"
        default = _code(option.default) if option.default else "no lag" * (option.name == "lag")
        marker = _code(option.name) if option.in_marker else ""
        yield _code(flag), _code(option.ini), marker, default


def bad_settings() -> Iterable[Row]:
    """Bad values, and the message that each is answered with."""
    yield "You write", "The error says"
    for bad in BAD_SETTINGS:
        [(name, value)] = bad.items()
        option = next(option for option in OPTIONS if option.name == name)
        given = {name: Given(source=option.flag, value=value)}
        yield _code(f"{option.flag}={value}"), _message(resolve, [given])
    for args, words in BAD_MARKERS:
        listed = [*map(repr, args), *(f"{word}={value!r}" for word, value in words.items())]
        written = f"replica_lag({', '.join(listed)})".replace("'", '"')
        yield _code(written), _message(_marked, args, words)


def _marked(args, words):
    return resolve(
        [read_words(args, words, "@pytest.mark.replica_lag on test_orders.py::test_order")]
    )


def _message(function: Callable[..., object], *arguments: object) -> str:
    """The message of the error that a function raises."""
    try:
        function(*arguments)
    except SettingError as error:
        return str(error)
    raise AssertionError(f"{arguments} is not an error")


# -- what the endpoints answer -------------------------------------------------------------------


def commands() -> Iterable[Row]:
    """The commands that an endpoint answers."""
    yield "Command", "What it does here", "In transactions"
    for name, command in sorted(command_table().items(), key=lambda item: item[0].lower()):
        yield _code(name), command.summary, "yes" if command.in_transaction else ""


def command_fields() -> Iterable[Row]:
    """The fields that each data command may have."""
    yield "Command", "Supported", "Taken, changes nothing", "Refused with error 115"
    for name, fields in COMMANDS.items():
        told = fields.supported, fields.ignored, fields.refused
        if name in command_table() and any(told):
            yield _code(name), *map(", ".join, told)


def lacking_operators() -> Iterable[Row]:
    """The operators that are refused, by where they stand."""
    yield "Where", "Refused with error 115"
    for where, names in LACKING.items():
        yield where, " ".join(map(_code, sorted(names)))


# -- what a test is given ------------------------------------------------------------------------


def members_of(name: str) -> Callable[[], Iterable[Row]]:
    """The attributes of a class, and its public methods and properties in its own order."""

    def rows() -> Iterable[Row]:
        yield "Name", "What it is or does"
        yield from _attributes(name)
        for member, value in vars(getattr(pytest_replicalag, name)).items():
            if not member.startswith("_") and value.__doc__:
                is_method = inspect.isfunction(value)
                text = f"{member}{_signature(value)}" if is_method else member
                yield _code(text), inspect.getdoc(value).partition("\n\n")[0].replace("\n", " ")

    return rows


def _signature(method: Callable[..., object]) -> str:
    """How a method is called: without types."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return str(inspect.Signature(bare))


def attributes_of(name: str) -> Callable[[], Iterable[Row]]:
    """The attributes of a data class, as its docstring tells them."""

    def rows() -> Iterable[Row]:
        yield "Attribute", "What it is"
        yield from _attributes(name)

    return rows


def _attributes(name: str) -> Iterable[Row]:
    """The attributes that a class's docstring tells."""
    _, _, told = inspect.getdoc(getattr(pytest_replicalag, name)).partition("Attributes:\n")
    _, *parts = _ATTRIBUTE.split(dedent(told.partition("\n\n")[0]))
    for attribute, text in zip(parts[::2], parts[1::2], strict=True):
        yield _code(attribute), " ".join(text.split())


def _code(text: str) -> str:
    return f"`{text}`"


TABLES: Mapping[str, Callable[[], Iterable[Row]]] = {
    "options": options,
    "bad settings": bad_settings,
    "commands": commands,
    "command fields": command_fields,
    "lacking operators": lacking_operators,
    **{name: members_of(name) for name in ("ReplicaLag", "Member")},
    **{
        name: attributes_of(name)
        for name in ("StaleRead", "MissedWrite", "Witness", "Fix", "LostWrite", "Failover")
    },
}
