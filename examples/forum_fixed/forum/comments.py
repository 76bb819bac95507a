"""Monotonic reads: a visit is one causally consistent session."""


def add(client, post, text):
    client.forum.comments.insert_one({"post": post, "text": text})


def visit(client):
    return client.start_session(causal_consistency=True)


def count(client, post, visit):
    return client.forum.comments.count_documents({"post": post}, session=visit)
