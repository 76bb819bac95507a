"""Values as a server's messages show them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from bson import Binary, Decimal128, ObjectId, Regex, Timestamp

__all__ = ["shown"]

_UUID_SUBTYPE: Final = 4


def shown(value: Any) -> str:
    """A value as a server's message shows it, such as `{ a: 1, b: "x" }`."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{name}: {shown(item)}" for name, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (list, tuple)):
        return f"[ {', '.join(map(shown, value))} ]" if value else "[]"
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return f"new Date({round(aware.timestamp() * 1000)})"
    for kind, text in _TEXTS:
        if isinstance(value, kind):
            return str(text(value))
    return str(value)


def _double(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        return f"{value}.0"
    text = f"{value:.16g}"
    return text if any(letter in text for letter in ".e") else f"{text}.0"


_TEXTS: Final[tuple[tuple[Any, Any], ...]] = (
    (type(None), lambda _: "null"),
    (bool, lambda value: "true" if value else "false"),
    (float, _double),
    (str, lambda value: f'"{value}"'),
    (ObjectId, lambda value: f"ObjectId('{value}')"),
    (Decimal128, str),
    (
        Binary,
        lambda value: (
            f'UUID("{value.as_uuid()}")'
            if value.subtype == _UUID_SUBTYPE
            else f"BinData({value.subtype}, {value.hex().upper()})"
        ),
    ),
    (bytes, lambda value: f"BinData(0, {value.hex().upper()})"),
    (Timestamp, lambda value: f"Timestamp({value.time}, {value.inc})"),
    (Regex, lambda value: f"/{value.pattern}/"),
)
