"""Where the parts of a timeline stand."""

from dataclasses import replace

from report_documents import READ, TIMELINE, document_of

from pytest_replicalag.report.drawing import drawing


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
