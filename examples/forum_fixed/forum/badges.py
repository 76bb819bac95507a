"""A lost write: a majority has the badge before anybody is told of it."""

from pymongo import ReadPreference, WriteConcern


def award(client, name, badge):
    badges = client.forum.get_collection("badges", write_concern=WriteConcern(w="majority"))
    badges.insert_one({"user": name, "badge": badge})
    return f"{name.title()}, you have earned the badge “{badge}”"


def shown(client, name):
    badges = client.forum.get_collection("badges", read_preference=ReadPreference.PRIMARY)
    return [badge["badge"] for badge in badges.find({"user": name})]
