"""Read your writes: the album is there, and its pictures are not."""


def publish(client, name, pictures):
    client.forum.albums.insert_one({"_id": name, "pictures": len(pictures)})
    client.forum.pictures.insert_many([{"album": name, "title": title} for title in pictures])


def page(client, name):
    album = client.forum.albums.find_one({"_id": name})
    if album is None:  # the secondary does not have it yet
        return "not yet"
    shown = client.forum.pictures.count_documents({"album": name})
    return f"{name}: {shown} of {album['pictures']} pictures"
