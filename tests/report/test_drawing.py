"""Where the parts of a timeline stand."""

from dataclasses import replace

from report_documents import LOST, READ, TIMELINE, document_of

from pytest_replicalag.durations import Duration
from pytest_replicalag.records import Witness
from pytest_replicalag.report.drawing import drawing, drawing_of_lost

EARLIER = Witness(
    guarantee="monotonic reads",
    text="shop.orders.find_one({})",
    call_site=READ.call_site,
    at=Duration.of_us(1_500),
    member="secondary-1",
)


def drawn(timeline):
    [finding] = document_of(replace(READ, timeline=timeline), lost=())["findings"]
    return drawing(finding["example"], finding["example"]["timeline"])


def test_time_is_to_scale_from_the_write_to_the_last_arrival():
    made = drawn(TIMELINE)
    primary, first, second = made.lanes
    assert [mark.x for lane in (primary, first) for mark in lane.marks] == [3.0, 3.0]
    assert [(mark.kind, mark.x) for mark in second.marks] == [("applied", 97.0), ("read", 3.47)]
    assert (made.first, made.last) == ("1 ms", "201 ms")


def test_a_way_ends_where_the_write_is_applied_and_is_late_after_the_read():
    made = drawn(TIMELINE)
    ends = [(way.to_x, way.to_y, way.is_late) for way in made.ways]
    assert ends == [(3.0, made.lanes[1].y, False), (97.0, made.lanes[2].y, True)]


def test_the_way_of_a_write_that_is_not_there_ends_short_of_its_own_lane():
    lanes = tuple(
        lane if lane.is_primary else replace(lane, arrivals=(None,)) for lane in TIMELINE.lanes
    )
    made = drawn(replace(TIMELINE, lanes=lanes))
    heights = [lane.y for lane in made.lanes]
    for number, way in enumerate(made.ways, 1):
        assert way.is_late
        assert heights[number - 1] < way.to_y < heights[number]


def test_an_earlier_read_stands_on_its_member_and_a_later_write_on_the_primary():
    written = replace(
        EARLIER, guarantee="monotonic writes", text="shop.carts.insert_one({})", member=""
    )
    read = replace(READ, witnesses=(EARLIER, written))
    [finding] = document_of(read, lost=())["findings"]
    lanes = drawing(finding["example"], finding["example"]["timeline"]).lanes
    primary, first, second = ([mark.kind for mark in lane.marks] for lane in lanes)
    assert primary == ["write", "write"]
    assert first == ["applied", "seen"]
    assert second == ["applied", "read"]
    assert "had read it" in lanes[1].marks[-1].text
    assert "shop.carts.insert_one({})" in lanes[0].marks[-1].text


def test_a_lost_write_ends_short_of_the_member_that_was_elected():
    finding = document_of(lost=(LOST,))["findings"][0]
    made = drawing_of_lost(finding["example"])
    former, elected = made.lanes
    assert [mark.kind for mark in former.marks] == ["write", "crash"]
    assert (former.note, elected.note) == ("crashed", "elected primary")
    [way] = made.ways
    assert way.is_late
    assert former.y < way.to_y < elected.y


def test_what_was_read_before_the_first_write_that_is_shown_has_a_place():
    seen = replace(EARLIER, at=Duration.of_us(500))
    [finding] = document_of(replace(READ, witnesses=(seen,)), lost=())["findings"]
    made = drawing(finding["example"], finding["example"]["timeline"])
    marks = {mark.kind: mark.x for lane in made.lanes for mark in lane.marks}
    assert marks["seen"] == 3.0 < marks["write"]
    assert made.first == "500 us"
