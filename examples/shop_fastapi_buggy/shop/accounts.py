"""Accounts: payments, and the balance that they sum up to."""

from typing import Annotated

from fastapi import APIRouter, Body, Request

router = APIRouter(prefix="/accounts")


@router.post("/{customer}/payments")
async def pay(request: Request, customer: str, amount: Annotated[int, Body()]) -> int:
    """Book a payment; answers with the customer's new balance."""
    db = request.app.state.db
    await db.payments.insert_one({"customer": customer, "amount": amount})
    return await balance(db, customer)


async def balance(db, customer):
    """The sum of a customer's payments: a heavy query, for the secondaries."""
    of_customer = {"$match": {"customer": customer}}
    total = {"$group": {"_id": None, "total": {"$sum": "$amount"}}}
    rows = await db.payments.aggregate([of_customer, total])
    return sum([row["total"] async for row in rows])
