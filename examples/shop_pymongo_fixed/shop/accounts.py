"""Accounts: payments, and the balance that they sum up to."""


def pay(db, customer, amount):
    """Book a payment; returns the customer's new balance."""
    with db.client.start_session(causal_consistency=True) as session:
        db.payments.insert_one({"customer": customer, "amount": amount}, session=session)
        return balance(db, customer, session)


def balance(db, customer, session=None):
    """The sum of a customer's payments: a heavy query, still for the secondaries.

    In a causally consistent session, a secondary waits until it has the session's writes.
    """
    of_customer = {"$match": {"customer": customer}}
    total = {"$group": {"_id": None, "total": {"$sum": "$amount"}}}
    rows = db.payments.aggregate([of_customer, total], session=session)
    return sum(row["total"] for row in rows)
