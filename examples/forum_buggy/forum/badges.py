"""A lost write: the badge was awarded, the mail is on its way, and the badge is gone."""

from pymongo import ReadPreference, WriteConcern


def award(client, name, badge):
    # One member is enough, and quick: badges matter little.
    badges = client.forum.get_collection("badges", write_concern=WriteConcern(w=1))
    badges.insert_one({"user": name, "badge": badge})
    return f"{name.title()}, you have earned the badge “{badge}”"


def shown(client, name):
    badges = client.forum.get_collection("badges", read_preference=ReadPreference.PRIMARY)
    return [badge["badge"] for badge in badges.find({"user": name})]
