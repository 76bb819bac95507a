import pytest
from forum import answers


@pytest.mark.replica_lag
def test_no_answer_without_its_question(client):
    answers.ask(client, 1, "what is lag?")
    answers.answer(client, 1, "a moment ago")
    assert answers.thread(client, 1) in (
        [],
        ["what is lag?"],
        ["what is lag?", "a moment ago"],
    )
