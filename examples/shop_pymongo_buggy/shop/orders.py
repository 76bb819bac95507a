"""Orders: placed once, shown at once."""


def place_order(db, number, items):
    """Store an order and show its confirmation page."""
    db.orders.insert_one({"_id": number, "items": items, "status": "placed"})
    return confirmation(db, number)


def confirmation(db, number):
    """The page that thanks for an order."""
    order = db.orders.find_one({"_id": number})
    if order is None:
        return f"We know of no order {number}."
    return f"Order {number} is {order['status']}: {', '.join(order['items'])}."
