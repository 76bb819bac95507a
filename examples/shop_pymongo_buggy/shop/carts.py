"""Carts: each change answers with the cart as it is now."""


def add_to_cart(db, customer, item):
    """Put an item into a customer's cart; returns what is in it."""
    db.carts.update_one({"_id": customer}, {"$push": {"items": item}}, upsert=True)
    cart = db.carts.find_one({"_id": customer})
    return cart["items"] if cart else []
