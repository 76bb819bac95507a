"""Marker, command line, ini, default: the table of the documentation, cell by cell."""

import pytest

MARKERS = {
    "unmarked": "",
    "marked": "@pytest.mark.replica_lag",
    "marked 1s": '@pytest.mark.replica_lag("1s")',
}
OPTIONS = {
    "nothing": [],
    "200ms": ["--replica-lag=200ms"],
    "200ms, all": ["--replica-lag=200ms", "--replica-lag-all"],
    "off": ["--replica-lag=off"],
}


@pytest.mark.parametrize(
    ("marker", "option", "lag"),
    [
        ("unmarked", "nothing", "off"),
        ("unmarked", "200ms", "off"),
        ("unmarked", "200ms, all", "200ms"),
        ("unmarked", "off", "off"),
        ("marked", "nothing", "off"),
        ("marked", "200ms", "200ms"),
        ("marked", "200ms, all", "200ms"),
        ("marked", "off", "off"),
        ("marked 1s", "nothing", "1s"),
        ("marked 1s", "200ms", "1s"),
        ("marked 1s", "200ms, all", "1s"),
        ("marked 1s", "off", "off"),
    ],
)
@pytest.mark.parametrize("where", ["command line", "ini"])
def test_the_table(project, marker, option, lag, where):
    options = OPTIONS[option]
    if where == "ini" and option == "off" and marker == "marked 1s":
        lag = "1s"  # only the command line switches off what a marker asks for
    if where == "ini":
        keys = [word.removeprefix("--").replace("-", "_") for word in options]
        project.ini(*(key if "=" in key else f"{key}=true" for key in keys))
        options = []
    project.file(
        "test_it",
        f"""
        import pytest

        {MARKERS[marker]}
        def test_it(db, replica_lag):
            db.orders.insert_one({{"_id": 7}})
            assert (db.orders.find_one() is None) is {lag != "off"}
            assert repr(replica_lag).removesuffix(", seed=0>") + ">" in (
                "<replica_lag: {lag}>", "<replica_lag: {lag}>>"
            )
            assert replica_lag.enabled is {lag != "off"}
            assert str(replica_lag.lag) == {"0ms" if lag == "off" else lag!r}
        """,
    )
    project.run(*options).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("word", "marker", "command_line", "ini", "default"),
    [
        ("secondaries", "5", "4", "3", "2"),
        ("read_preference", "nearest", "secondary", "secondaryPreferred", "primary"),
        ("write_concern", "0", "1", "3", "majority"),
        ("choose", "stalest", "random", "alternate", "stalest"),
        ("clock", "virtual", "wall", "virtual", "virtual"),
        ("on_stale", "report", "fail", "ignore", "report"),
        ("seed", "3", "2", "1", "0"),
    ],
)
def test_marker_before_command_line_before_ini_before_default(
    project, word, marker, command_line, ini, default
):
    defaults = {"secondaries": "2", "choose": "stalest", "clock": "virtual"}
    defaults |= {"read_preference": "primary", "write_concern": "majority", "on_stale": "report"}

    def shown(value):
        others = [] if defaults.get(word) == value or word == "seed" else [f"{word}={value}"]
        seed = value if word == "seed" else "0"
        return f"<replica_lag: {', '.join(['1s', *others, f'seed={seed}'])}>"

    project.file(
        "test_it",
        f"""
        import pytest

        @pytest.mark.replica_lag("1s", {word}={marker!r})
        def test_marker(replica_lag):
            assert repr(replica_lag) == {shown(marker)!r}

        @pytest.mark.replica_lag("1s")
        def test_rest(replica_lag, pytestconfig):
            print("rest:", repr(replica_lag))
        """,
    )
    flag = f"--replica-lag-{word.replace('_', '-')}={command_line}"

    def rest(*arguments):
        result = project.run("-s", *arguments)
        result.assert_outcomes(passed=2)
        return next(line.split("rest: ")[1] for line in result.outlines if "rest: " in line)

    assert rest().startswith(shown(default))
    project.ini(f"replica_lag_{word} = {ini}")
    assert rest().startswith(shown(ini))
    assert rest(flag).startswith(shown(command_line))
