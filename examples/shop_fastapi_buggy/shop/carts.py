"""Carts: each change answers with the cart as it is now."""

from typing import Annotated

from fastapi import APIRouter, Body, Request

router = APIRouter(prefix="/carts")


@router.post("/{customer}")
async def add_to_cart(request: Request, customer: str, item: Annotated[str, Body()]) -> list[str]:
    """Put an item into a customer's cart; answers with what is in it."""
    carts = request.app.state.db.carts
    await carts.update_one({"_id": customer}, {"$push": {"items": item}}, upsert=True)
    cart = await carts.find_one({"_id": customer})
    return cart["items"] if cart else []
