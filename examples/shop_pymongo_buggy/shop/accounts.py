"""Accounts: payments, and the balance that they sum up to."""


def pay(db, customer, amount):
    """Book a payment; returns the customer's new balance."""
    db.payments.insert_one({"customer": customer, "amount": amount})
    return balance(db, customer)


def balance(db, customer):
    """The sum of a customer's payments: a heavy query, for the secondaries."""
    of_customer = {"$match": {"customer": customer}}
    total = {"$group": {"_id": None, "total": {"$sum": "$amount"}}}
    return sum(row["total"] for row in db.payments.aggregate([of_customer, total]))
