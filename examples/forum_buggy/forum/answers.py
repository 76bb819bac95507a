"""Writes follow reads: an answer is there, and the question that it was written for is not."""

from pymongo import ReadPreference

PRIMARY = ReadPreference.PRIMARY


def ask(client, number, text):
    client.forum.questions.insert_one({"_id": number, "text": text})


def answer(client, number, text):
    with client.start_session(causal_consistency=True) as session:
        questions = client.forum.get_collection("questions", read_preference=PRIMARY)
        if questions.find_one({"_id": number}, session=session) is not None:
            reply = {"question": number, "text": text}
            client.forum.answers.insert_one(reply, session=session)


def thread(client, number):
    with client.start_session(causal_consistency=False) as session:
        replies = list(client.forum.answers.find({"question": number}, session=session))
        question = client.forum.questions.find_one({"_id": number}, session=session)
        asked = [] if question is None else [question]
        return [part["text"] for part in [*asked, *replies]]
