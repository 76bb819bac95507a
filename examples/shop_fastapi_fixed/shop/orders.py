"""Orders: placed once, shown at once."""

from fastapi import APIRouter, Request
from pymongo import ReadPreference

router = APIRouter(prefix="/orders")


@router.post("/{number}")
async def place_order(request: Request, number: int, items: list[str]) -> str:
    """Store an order and answer with its confirmation."""
    db = request.app.state.db
    await db.orders.insert_one({"_id": number, "items": items, "status": "placed"})
    return await confirmation(db, number)


async def confirmation(db, number):
    """The text that thanks for an order; it comes right after the write, so from the primary."""
    orders = db.orders.with_options(read_preference=ReadPreference.PRIMARY)
    order = await orders.find_one({"_id": number})
    if order is None:
        return f"We know of no order {number}."
    return f"Order {number} is {order['status']}: {', '.join(order['items'])}."
