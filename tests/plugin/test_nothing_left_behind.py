"""After a lagged test no patch, thread or folder is left; and tests' own patches hold."""

import asyncio
import asyncio.tasks
import tempfile
import threading
import time

import pytest

REAL = (time.sleep, asyncio.sleep, asyncio.tasks.sleep)


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch):
    threads = threading.active_count()
    # A folder of its own: in the machine's, other processes make and remove theirs meanwhile.
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    assert (time.sleep, asyncio.sleep, asyncio.tasks.sleep) == REAL
    # Threads of other tests may end meanwhile.
    assert threading.active_count() <= threads
    assert list(folder.iterdir()) == []


def test_sleeps_are_patched_in_a_lagged_tests_call_phase_only(project):
    project.file("worker", "import time\nfrom asyncio import sleep as nap\nfrom time import sleep")
    project.file(
        "test_it",
        """
        import asyncio
        import time
        from time import sleep

        import pytest
        import worker

        REAL = (time.sleep, asyncio.sleep)

        def sleeps():
            return [time.sleep, sleep, worker.sleep, asyncio.sleep, asyncio.tasks.sleep, worker.nap]

        def are_real():
            return sleeps() == [REAL[0]] * 3 + [REAL[1]] * 3

        @pytest.fixture(autouse=True)
        def unpatched_in_fixtures():
            assert are_real()
            yield
            assert are_real()

        @pytest.mark.replica_lag("1s")
        def test_lagging():
            assert not any(sleep in REAL for sleep in sleeps())
            assert [sleep.__name__ for sleep in sleeps()] == ["sleep"] * 6

        @pytest.mark.replica_lag("1s")
        @pytest.mark.xfail(raises=KeyError, strict=True)
        def test_failing():
            raise KeyError

        def test_not_lagging():
            assert are_real()
        """,
    )
    project.run().assert_outcomes(passed=2, xfailed=1)


def test_sleeps_imported_by_name_count_once(project):
    project.file("worker", "from time import sleep as rest\n\ndef work():\n    rest(0.01)\n")
    project.file(
        "test_it",
        """
        import threading
        import time
        from time import sleep

        import pytest
        import worker

        @pytest.mark.replica_lag("1s")
        def test_it(replica_lag):
            sleep(0.01)
            assert str(replica_lag.now()) == "10ms"
            time.sleep(0.01)
            assert str(replica_lag.now()) == "20ms"
            worker.work()
            assert str(replica_lag.now()) == "30ms"
            time.sleep(0)
            with pytest.raises(ValueError):
                time.sleep(-1)
            assert str(replica_lag.now()) == "30ms"

        @pytest.mark.replica_lag("1s")
        def test_threads_that_sleep_at_the_same_time_overlap(replica_lag):
            barrier = threading.Barrier(2)

            def work():
                barrier.wait()
                time.sleep(0.05)

            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert str(replica_lag.now()) == "50ms"
        """,
    )
    project.run().assert_outcomes(passed=2)


def test_a_module_loaded_by_a_lagged_test_keeps_the_real_sleep(project):
    project.file("late", "from time import sleep\nfrom asyncio import sleep as nap")
    (project.path / "site-packages").mkdir()
    project.file("site-packages/installed_late", "from time import sleep")
    project.file(
        "test_it",
        """
        import asyncio
        import sys
        import time
        from pathlib import Path

        import pytest

        @pytest.mark.replica_lag("1s")
        def test_loading(replica_lag, monkeypatch):
            monkeypatch.syspath_prepend(Path(__file__).parent / "site-packages")
            import installed_late
            import late
            late.sleep(0.01)
            assert str(replica_lag.now()) == "10ms"

        def test_afterwards():
            import installed_late
            import late
            assert late.sleep is time.sleep
            assert late.nap is asyncio.sleep
            assert installed_late.sleep is time.sleep
        """,
    )
    project.run("-p", "no:randomly").assert_outcomes(passed=2)


def test_a_test_may_patch_sleep_itself(project):
    project.file(
        "test_it",
        """
        import time
        from unittest import mock

        import pytest

        REAL = time.sleep

        @pytest.fixture
        def fake(monkeypatch):
            monkeypatch.setattr(time, "sleep", mock.Mock())
            return time.sleep

        @pytest.mark.replica_lag("1s")
        def test_in_a_fixture(fake, replica_lag):
            time.sleep(5)
            assert time.sleep is fake
            time.sleep.assert_called_once_with(5)
            assert str(replica_lag.now()) == "0ms"

        def test_after_a_fixture():
            assert time.sleep is REAL

        @pytest.mark.replica_lag("1s")
        def test_in_the_test(monkeypatch, replica_lag):
            naps = []
            monkeypatch.setattr("time.sleep", naps.append)
            time.sleep(5)
            assert naps == [5]

        def test_after_a_test():
            assert time.sleep is REAL

        @pytest.mark.replica_lag("1s")
        def test_undone_in_the_test(replica_lag):
            with mock.patch("time.sleep") as fake:
                time.sleep(5)
            fake.assert_called_once_with(5)
            time.sleep(0.01)
            assert str(replica_lag.now()) == "10ms"

        def test_at_the_end():
            assert time.sleep is REAL
        """,
    )
    # In a process of its own: a driver's threads of other tests sleep too, and would be counted.
    project.run_apart("-p", "no:randomly").assert_outcomes(passed=6)


def test_a_patch_that_outlives_its_test_does_not_bring_a_counting_sleep_back(project):
    project.file(
        "test_it",
        """
        import time
        from unittest import mock

        import pytest

        REAL = time.sleep

        @pytest.fixture(scope="module")
        def patches():
            started = []
            yield started
            for patch in started:
                patch.stop()

        @pytest.mark.replica_lag("1s")
        def test_starting(patches):
            patches.append(mock.patch("time.sleep"))
            patches[0].start()

        def test_while_patched(patches):
            assert time.sleep is not REAL
        """,
    )
    project.run("-p", "no:randomly").assert_outcomes(passed=2)


def test_mocks_and_proxies_of_a_module_are_left_alone(project):
    project.file(
        "test_it",
        """
        from unittest.mock import ANY, MagicMock, Mock, call

        import pytest

        class Proxy:
            def __call__(self): ...

            def __getattribute__(self, name):
                raise RuntimeError("outside of an application context")

        proxy, mock, magic = Proxy(), Mock(), MagicMock()
        kept = {name: id(value) for name, value in globals().items()}

        @pytest.mark.replica_lag("1s")
        def test_lagging(db):
            db.orders.find_one()

        def test_afterwards():
            for name, identity in kept.items():
                assert id(globals()[name]) == identity
            assert mock.mock_calls == magic.mock_calls == []
        """,
    )
    project.run("-p", "no:randomly").assert_outcomes(passed=2)


def test_sleeps_of_a_driver_do_not_count(project):
    package = project.path / "site-packages" / "motor"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import time\n\ndef poll():\n    time.sleep(0.01)\n")
    project.file(
        "test_it",
        """
        import sys
        import threading
        from pathlib import Path

        import pytest

        sys.path.insert(0, str(Path(__file__).parent / "site-packages"))
        import motor

        @pytest.mark.replica_lag("1s")
        def test_it(replica_lag):
            motor.poll()
            thread = threading.Thread(target=motor.poll)
            thread.start()
            thread.join()
            assert str(replica_lag.now()) == "0ms"
        """,
    )
    project.run_apart().assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_whole_run_leaves_no_thread_process_or_folder(project, tmp_path):
    project.buggy()
    project.file(
        "conftest",
        (project.path / "conftest.py").read_text()
        + """

def pytest_unconfigure(config):
    import asyncio, threading, time
    print("threads:", [thread.name for thread in threading.enumerate()])
    print("sleeps:", time.sleep.__module__, asyncio.sleep.__module__)
    print("patched:", hasattr(time.sleep, "__wrapped__"), hasattr(asyncio.sleep, "__wrapped__"))
""",
    )
    result = project.run_apart("--replica-lag=1s", f"--basetemp={tmp_path / 'base'}")
    result.assert_outcomes(failed=1)
    assert "threads: ['MainThread']" in result.outlines
    assert "sleeps: time asyncio.tasks" in result.outlines
    assert "patched: False False" in result.outlines
