"""Accounts: payments, and the balance that they sum up to."""

from typing import Annotated

from fastapi import APIRouter, Body, Request

router = APIRouter(prefix="/accounts")


@router.post("/{customer}/payments")
async def pay(request: Request, customer: str, amount: Annotated[int, Body()]) -> int:
    """Book a payment; answers with the customer's new balance."""
    db = request.app.state.db
    async with db.client.start_session(causal_consistency=True) as session:
        payment = {"customer": customer, "amount": amount}
        await db.payments.insert_one(payment, session=session)
        return await balance(db, customer, session)


async def balance(db, customer, session=None):
    """The sum of a customer's payments: a heavy query, still for the secondaries.

    In a causally consistent session, a secondary waits until it has the session's writes.
    """
    of_customer = {"$match": {"customer": customer}}
    total = {"$group": {"_id": None, "total": {"$sum": "$amount"}}}
    rows = await db.payments.aggregate([of_customer, total], session=session)
    return sum([row["total"] async for row in rows])
