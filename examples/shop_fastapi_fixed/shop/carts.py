"""Carts: each change answers with the cart as it is now."""

from typing import Annotated

from fastapi import APIRouter, Body, Request
from pymongo import ReturnDocument

router = APIRouter(prefix="/carts")


@router.post("/{customer}")
async def add_to_cart(request: Request, customer: str, item: Annotated[str, Body()]) -> list[str]:
    """Put an item into a customer's cart; answers with what is in it, as the write left it."""
    cart = await request.app.state.db.carts.find_one_and_update(
        {"_id": customer},
        {"$push": {"items": item}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    return cart["items"]
