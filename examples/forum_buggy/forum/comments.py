"""Monotonic reads: a comment that was there is gone when the page is loaded again."""


def add(client, post, text):
    client.forum.comments.insert_one({"post": post, "text": text})


def visit(client):
    return client.start_session(causal_consistency=False)


def count(client, post, visit):
    return client.forum.comments.count_documents({"post": post}, session=visit)
