"""What MongoDB's query language has and the engine refuses, by kind; for the reference.

Most of it mongomock-ng does not have; some it has in another way, such as JavaScript as Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pytest_replicalag.engines.memory.commands.operators import (
    REFUSED_CONDITIONS,
    REFUSED_EXPRESSIONS,
)

__all__ = ["LACKING", "LACKING_EXPRESSIONS", "LACKING_STAGES"]

LACKING_STAGES: Final = frozenset(
    {
        "$bucketAuto", "$collStats", "$currentOp", "$densify", "$indexStats", "$listSessions",
        "$planCacheStats", "$search", "$searchMeta",
    }
)  # fmt: skip

LACKING_EXPRESSIONS: Final = frozenset(
    {
        "$acos", "$acosh", "$asin", "$asinh", "$atan", "$atan2", "$atanh", "$binarySize",
        "$bsonSize", "$const", "$cos", "$cosh", "$dateToParts", "$degreesToRadians", "$firstN",
        "$indexOfBytes", "$indexOfCP", "$isoDayOfWeek", "$isoWeek", "$isoWeekYear", "$lastN",
        "$maxN", "$minN", "$radiansToDegrees", "$range", "$regexFind", "$regexFindAll",
        "$replaceAll", "$replaceOne", "$reverseArray", "$setField", "$sin", "$sinh", "$sortArray",
        "$strLenBytes", "$strLenCP", "$substrBytes", "$substrCP", "$tan", "$tanh", "$toBool",
        "$toHashedIndexKey", "$tsIncrement", "$tsSecond", "$unsetField", "$zip",
    }
)  # fmt: skip

LACKING: Final[Mapping[str, frozenset[str]]] = {
    "Filters": REFUSED_CONDITIONS,
    "Stages": LACKING_STAGES,
    "Expressions": LACKING_EXPRESSIONS | REFUSED_EXPRESSIONS,
}
"""Operators that are answered with error 115, by where they stand."""
