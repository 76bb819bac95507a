"""`@pytest.mark.replica_lag`: the words of the options, the nearest first."""

import pytest


def test_it_is_registered_with_help(project):
    lines = project.run("--markers").outlines
    assert (
        "@pytest.mark.replica_lag(lag, *, secondaries, read_preference, write_concern, choose, "
        "clock, on_stale, explore, elections, seed): run the test on a simulated replica set whose "
        "secondaries lag behind the primary. All words are optional; what the marker does not say "
        "comes from the command line, the ini file or the default, and with no lag from anywhere "
        'the test runs without lag. Example: @pytest.mark.replica_lag("1s", secondaries=4, '
        'on_stale="fail").'
    ) in lines


def test_it_is_known_to_strict_markers(project):
    project.buggy()
    project.run("--strict-markers").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "lags"),
    [
        ("'1s'", "0ms 1s"),
        ("lag='1s'", "0ms 1s"),
        ("'1s,2s'", "1s 2s"),
        ("['1s', '2s']", "1s 2s"),
        ("datetime.timedelta(seconds=1)", "0ms 1s"),
        ("['1s', datetime.timedelta(seconds=2)]", "1s 2s"),
        ("0", "0ms 0ms"),
        ("'1s', secondaries=1", "1s"),
        ("'1s', secondaries='1'", "1s"),
        ("lag='1s..2s', secondaries=1", "2s"),
    ],
)
def test_it_gives_a_lag_of_its_own(project, marker, lags):
    project.file(
        "test_it",
        f"""
        import datetime
        import pytest

        @pytest.mark.replica_lag({marker})
        def test_it(replica_lag):
            assert replica_lag.enabled
            assert " ".join(str(member.lag) for member in replica_lag.secondaries) == {lags!r}
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_it_takes_every_word(project):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag(
            "1s", secondaries=4, read_preference="nearest", write_concern=2, choose="random",
            clock="wall", on_stale="ignore", seed=7,
        )
        def test_it(replica_lag):
            assert repr(replica_lag) == (
                "<replica_lag: 1s, secondaries=4, read_preference=nearest, write_concern=2, "
                "choose=random, clock=wall, on_stale=ignore, seed=7>"
            )
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_the_nearest_of_markers_that_disagree_wins_word_by_word(project):
    project.file(
        "test_it",
        """
        import pytest

        pytestmark = pytest.mark.replica_lag("3s", secondaries=5, seed=3)

        @pytest.mark.replica_lag("2s", secondaries=4)
        class TestClass:
            @pytest.mark.replica_lag("1s")
            def test_of_its_own(self, replica_lag):
                assert repr(replica_lag) == "<replica_lag: 1s, secondaries=4, seed=3>"

            def test_of_the_class(self, replica_lag):
                assert repr(replica_lag) == "<replica_lag: 2s, secondaries=4, seed=3>"

            @pytest.mark.replica_lag
            def test_without_words(self, replica_lag):
                assert repr(replica_lag) == "<replica_lag: 2s, secondaries=4, seed=3>"

            @pytest.mark.replica_lag("off")
            def test_off(self, replica_lag):
                assert repr(replica_lag) == "<replica_lag: off>"

        def test_of_the_module(replica_lag):
            assert repr(replica_lag) == "<replica_lag: 3s, secondaries=5, seed=3>"
        """,
    )
    project.run().assert_outcomes(passed=5)


def test_the_nearest_of_two_on_one_function_is_the_one_written_nearest_to_it(project):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag("2s", seed=2)
        @pytest.mark.replica_lag("1s")
        def test_it(replica_lag):
            assert repr(replica_lag) == "<replica_lag: 1s, seed=2>"
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_a_parameter_can_carry_it(project):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.parametrize("lag", [
            "off", pytest.param("1s", marks=pytest.mark.replica_lag("1s")),
        ])
        def test_it(lag, replica_lag):
            assert repr(replica_lag).startswith(f"<replica_lag: {lag}")
        """,
    )
    project.run().assert_outcomes(passed=2)
