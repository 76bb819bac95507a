"""Elections by a schedule: whatever it chooses, a real set could have done it."""

from itertools import count

import mongomock
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import AutoReconnect, WriteConcernError

from pytest_replicalag import NoElectionError, wrap
from pytest_replicalag.strategies import schedules, simulated

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from([1, 2, 3, "majority"])),
        st.tuples(st.just("read"), st.just(None)),
        st.tuples(st.just("crash"), st.just(None)),
        st.tuples(st.just("step down"), st.just(None)),
        st.tuples(st.just("restart"), st.just(None)),
    ),
    max_size=10,
)


class Application:
    """Writes numbers, and knows which of them it was told are safe."""

    def __init__(self, control, members):
        self.control = control
        self.majority = members // 2 + 1
        self.client = wrap(mongomock.MongoClient())
        self.numbers = count()
        self.safe, self.doubtful = set(), set()

    def write(self, w):
        number = next(self.numbers)
        concern = WriteConcern(w=w, **({"wtimeout": 1} if w != 1 else {}))
        try:
            self._numbers(write_concern=concern).insert_one({"_id": number})
        except WriteConcernError:
            self.doubtful.add(number)
            return
        is_safe = w == "majority" or w >= self.majority
        (self.safe if is_safe else self.doubtful).add(number)

    def read(self, _):
        found = self.found(ReadPreference.SECONDARY)
        assert found <= self.safe | self.doubtful

    def crash(self, _):
        try:
            self.control.crash_primary()
        except NoElectionError:
            return
        lost = (self.safe | self.doubtful) - self.found(ReadPreference.PRIMARY)
        assert lost <= self.doubtful
        self.doubtful -= lost

    def step_down(self, _):
        try:
            self.control.step_down(force=True)
        except NoElectionError:
            return
        assert self.found(ReadPreference.PRIMARY) == self.safe | self.doubtful

    def restart(self, _):
        self.control.restart()

    def found(self, read_preference):
        numbers = self._numbers(read_preference=read_preference)
        try:
            return {document["_id"] for document in numbers.find()}
        except AutoReconnect:
            return self.found(read_preference)

    def _numbers(self, **options):
        return self.client.shop.get_collection("numbers", **options)


@given(steps=STEPS, schedule=schedules(), secondaries=st.sampled_from([1, 2, 3, 4]))
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_what_a_majority_has_acknowledged_is_never_lost(steps, schedule, secondaries):
    with simulated(schedule, secondaries=secondaries) as control:
        application = Application(control, secondaries + 1)
        for kind, argument in steps:
            getattr(application, kind.replace(" ", "_"))(argument)
        assert application.found(ReadPreference.PRIMARY) == (
            application.safe | application.doubtful
        )
        # Members that are up catch up with the primary, and have what it has.
        control.restart()
        control.catch_up()
        everything = application.safe | application.doubtful
        assert application.found(ReadPreference.SECONDARY) == everything


@given(steps=STEPS, lag=st.sampled_from(["0,0", "1ms,5ms", "inf,inf", "0,inf", "1ms..9ms"]))
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_nor_is_it_by_any_lag(steps, lag):
    with simulated(lag=lag) as control:
        application = Application(control, 3)
        for kind, argument in steps:
            getattr(application, kind.replace(" ", "_"))(argument)
        everything = application.safe | application.doubtful
        assert application.found(ReadPreference.PRIMARY) == everything
