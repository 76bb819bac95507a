"""Carts: each change answers with the cart as it is now."""

from pymongo import ReturnDocument


def add_to_cart(db, customer, item):
    """Put an item into a customer's cart; returns what is in it, as the write left it."""
    cart = db.carts.find_one_and_update(
        {"_id": customer},
        {"$push": {"items": item}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    return cart["items"]
