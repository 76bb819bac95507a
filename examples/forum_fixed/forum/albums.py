"""Read your writes: what belongs to the album is written first, and read in the same session."""


def publish(client, name, pictures):
    client.forum.pictures.insert_many([{"album": name, "title": title} for title in pictures])
    client.forum.albums.insert_one({"_id": name, "pictures": len(pictures)})


def page(client, name):
    with client.start_session(causal_consistency=True) as session:
        album = client.forum.albums.find_one({"_id": name}, session=session)
        if album is None:  # the secondary does not have it yet
            return "not yet"
        shown = client.forum.pictures.count_documents({"album": name}, session=session)
        return f"{name}: {shown} of {album['pictures']} pictures"
