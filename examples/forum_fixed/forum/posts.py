"""Monotonic writes: a page is read in one causally consistent session."""


def sign_up_and_post(client, name, text):
    with client.start_session(causal_consistency=True) as session:
        client.forum.users.insert_one({"_id": name, "name": name.title()}, session=session)
        client.forum.posts.insert_one({"by": name, "text": text}, session=session)


def front_page(client):
    with client.start_session(causal_consistency=True) as session:
        lines = []
        for post in client.forum.posts.find(session=session):
            author = client.forum.users.find_one({"_id": post["by"]}, session=session)
            lines.append(f"{author['name']}: {post['text']}")
        return lines
