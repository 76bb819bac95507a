"""`--replica-lag-secondaries`."""

import pytest

COUNT = """
import pytest

@pytest.mark.replica_lag
def test_it(replica_lag):
    lags = {member.name: str(member.lag) for member in replica_lag.secondaries}
    assert lags == LAGS
    assert [member.name for member in replica_lag.members] == ["primary", *lags]
"""


def test_there_are_two_by_default_of_which_one_lags(project):
    project.file("test_it", COUNT.replace("LAGS", "{'secondary-1': '0ms', 'secondary-2': '1s'}"))
    project.run("--replica-lag=1s").assert_outcomes(passed=1)


@pytest.mark.parametrize(("count", "lagging"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (50, 25)])
def test_a_majority_keeps_up_but_one_always_lags(project, count, lagging):
    lags = ["0ms"] * (count - lagging) + ["1s"] * lagging
    names = [f"secondary-{number}" for number in range(1, count + 1)]
    project.file("test_it", COUNT.replace("LAGS", repr(dict(zip(names, lags, strict=True)))))
    project.run("--replica-lag=1s", f"--replica-lag-secondaries={count}").assert_outcomes(passed=1)


def test_as_many_lags_as_secondaries_can_be_given(project):
    lags = "{'secondary-1': '1s', 'secondary-2': '2s', 'secondary-3': '3s'}"
    project.file("test_it", COUNT.replace("LAGS", lags))
    result = project.run("--replica-lag=1s,2s,3s", "--replica-lag-secondaries=3")
    result.assert_outcomes(passed=1)


def test_it_can_be_said_in_ini(project):
    project.ini("replica_lag_secondaries = 1")
    project.file("test_it", COUNT.replace("LAGS", "{'secondary-1': '1s'}"))
    project.run("--replica-lag=1s").assert_outcomes(passed=1)
