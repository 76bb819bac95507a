"""Operators that a server refuses, and operators that the library does not have or has otherwise.

The library looks at an operator when a document comes to it; a server looks at all of them before
it reads any. So filters, pipelines and expressions are looked through here, and nothing more: what
they mean is the library's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.conditions import check_operand
from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.memory.commands.stages import check_stage
from pytest_replicalag.engines.types import type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = [
    "CONDITIONS",
    "EXPRESSIONS",
    "REFUSED_CONDITIONS",
    "REFUSED_EXPRESSIONS",
    "check_expression",
    "check_filter",
    "check_pipeline",
]

_LOGICAL: Final = ("$and", "$or", "$nor")

_REFUSED_AT_TOP: Final = frozenset(
    {"$where", "$text", "$jsonSchema", "$alwaysTrue", "$alwaysFalse", "$sampleRate"}
)
"""The library evaluates `$where` as Python, and has no search and no schemas."""

CONDITIONS: Final = frozenset(
    {
        "$all", "$elemMatch", "$eq", "$exists", "$geoIntersects", "$geoWithin", "$geometry", "$gt",
        "$gte", "$in", "$lt", "$lte", "$maxDistance", "$minDistance", "$ne", "$near",
        "$nearSphere", "$nin", "$not", "$options", "$regex", "$size", "$type",
    }
)  # fmt: skip
_REFUSED_CONDITIONS: Final = frozenset(
    {
        "$bitsAllClear", "$bitsAllSet", "$bitsAnyClear", "$bitsAnySet", "$mod", "$within",
        "$geoNear", "$uniqueDocs",
    }
)  # fmt: skip

REFUSED_CONDITIONS: Final = _REFUSED_AT_TOP | _REFUSED_CONDITIONS
"""Operators of filters that are refused."""

_STAGES: Final = frozenset(
    {
        "$addFields", "$bucket", "$bucketAuto", "$changeStream", "$collStats", "$count",
        "$currentOp", "$densify", "$documents", "$facet", "$fill", "$geoNear", "$graphLookup",
        "$group", "$indexStats", "$limit", "$listLocalSessions", "$listSessions", "$lookup",
        "$match", "$merge", "$out", "$planCacheStats", "$project", "$redact", "$replaceRoot",
        "$replaceWith", "$sample", "$search", "$searchMeta", "$set", "$setWindowFields", "$skip",
        "$sort", "$sortByCount", "$unionWith", "$unset", "$unwind",
    }
)  # fmt: skip

EXPRESSIONS: Final = frozenset(
    {
        "$abs", "$accumulator", "$acos", "$acosh", "$add", "$addToSet", "$allElementsTrue",
        "$and", "$anyElementTrue", "$arrayElemAt", "$arrayToObject", "$asin", "$asinh", "$atan",
        "$atan2", "$atanh", "$avg", "$binarySize", "$bottom", "$bottomN", "$bsonSize", "$ceil",
        "$cmp", "$concat", "$concatArrays", "$cond", "$const", "$convert", "$cos", "$cosh",
        "$count", "$covariancePop", "$covarianceSamp", "$dateAdd", "$dateDiff", "$dateFromParts",
        "$dateFromString", "$dateSubtract", "$dateToParts", "$dateToString", "$dateTrunc",
        "$dayOfMonth", "$dayOfWeek", "$dayOfYear", "$degreesToRadians", "$denseRank",
        "$derivative", "$divide", "$documentNumber", "$eq", "$exp", "$expMovingAvg", "$filter",
        "$first", "$firstN", "$floor", "$function", "$getField", "$gt", "$gte", "$hour",
        "$ifNull", "$in", "$indexOfArray", "$indexOfBytes", "$indexOfCP", "$integral", "$isArray",
        "$isNumber", "$isoDayOfWeek", "$isoWeek", "$isoWeekYear", "$last", "$lastN", "$let",
        "$linearFill", "$literal", "$ln", "$locf", "$log", "$log10", "$lt", "$lte", "$ltrim",
        "$map", "$max", "$maxN", "$mergeObjects", "$meta", "$millisecond", "$min", "$minN",
        "$minute", "$mod", "$month", "$multiply", "$ne", "$not", "$objectToArray", "$or", "$pow",
        "$push", "$radiansToDegrees", "$rand", "$range", "$rank", "$reduce", "$regexFind",
        "$regexFindAll", "$regexMatch", "$replaceAll", "$replaceOne", "$reverseArray", "$round",
        "$rtrim", "$sampleRate", "$second", "$setDifference", "$setEquals", "$setField",
        "$setIntersection", "$setIsSubset", "$setUnion", "$shift", "$sin", "$sinh", "$size",
        "$slice", "$sortArray", "$split", "$sqrt", "$stdDevPop", "$stdDevSamp", "$strLenBytes",
        "$strLenCP", "$strcasecmp", "$substr", "$substrBytes", "$substrCP", "$subtract", "$sum",
        "$switch", "$tan", "$tanh", "$toBool", "$toDate", "$toDecimal", "$toDouble",
        "$toHashedIndexKey", "$toInt", "$toLong", "$toLower", "$toObjectId", "$toString",
        "$toUpper", "$top", "$topN", "$trim", "$trunc", "$tsIncrement", "$tsSecond", "$type",
        "$unsetField", "$week", "$year", "$zip",
    }
)  # fmt: skip
"""The operators of expressions that a server has; where the library has one not, it says so."""

REFUSED_EXPRESSIONS: Final = frozenset(
    {"$accumulator", "$function", "$meta", "$rand", "$sampleRate", "$strcasecmp"}
)
"""The library runs `$function` as Python, has no text scores, and compares strings otherwise."""

_VERBATIM: Final = ("$literal", "$const")
_DATABASE_REFERENCE: Final = ("$ref", "$id", "$db")


# -- filters -------------------------------------------------------------------------------------


def check_filter(filter: Any) -> None:
    """Look through a filter.

    Raises:
        OperationFailure: Error 2 for what a server refuses, 115 for what the library does not have.
    """
    if not isinstance(filter, Mapping):
        return
    for name, value in filter.items():
        if name in _LOGICAL:
            _check_alternatives(name, value)
        elif name == "$expr":
            check_expression(value)
        elif name[:1] != "$":
            _check_condition(value, name)
        elif name in _REFUSED_AT_TOP:
            raise not_supported(f"the operator {name}")
        elif name != "$comment" and name not in _DATABASE_REFERENCE:
            raise _bad(
                f"unknown top level operator: {name}. If you have a field name that starts with a "
                "'$' symbol, consider using $getField or $setField."
            )


def _check_alternatives(name: str, value: Any) -> None:
    if not isinstance(value, list):
        raise _bad(f"{name} must be an array")
    if not value:
        raise _bad("$and/$or/$nor must be a nonempty array")
    for one in value:
        if not isinstance(one, Mapping):
            raise _bad("$or/$and/$nor entries need to be full objects")
        check_filter(one)


def _check_condition(condition: Any, field: str) -> None:
    if not _has_operators(condition):
        return
    for name, value in condition.items():
        if name in _REFUSED_CONDITIONS:
            raise not_supported(f"the operator {name}")
        if name not in CONDITIONS:
            raise _bad(f"unknown operator: {name}")
        check_operand(name, value, field, condition)
        if name == "$not":
            _check_condition(value, field)
        elif name == "$elemMatch":
            is_condition = _has_operators(value) and next(iter(value)) not in (*_LOGICAL, "$expr")
            _check_condition(value, field) if is_condition else check_filter(value)
        elif name == "$all":
            for one in value:
                _check_condition(one, field)


def _has_operators(condition: Any) -> bool:
    if not isinstance(condition, Mapping):
        return False
    first = next(iter(condition), "")
    return first[:1] == "$" and first not in _DATABASE_REFERENCE


def _bad(message: str) -> OperationFailure:
    return operation_failure(2, "BadValue", message)


# -- pipelines -----------------------------------------------------------------------------------


def check_pipeline(pipeline: Any) -> None:
    """Look through a pipeline.

    Raises:
        OperationFailure: What a server answers, or 115 for what the library does not have.
    """
    if not isinstance(pipeline, (list, tuple)):
        message = f"A pipeline must be an array, but found {type_name(pipeline)}"
        raise operation_failure(14, "TypeMismatch", message)
    for number, stage in enumerate(pipeline, 1):
        if not isinstance(stage, Mapping):
            raise operation_failure(
                14, "TypeMismatch", "Each element of the 'pipeline' array must be an object"
            )
        if len(stage) != 1:
            raise _located(
                40323, "A pipeline stage specification object must contain exactly one field."
            )
        [(name, value)] = stage.items()
        if name not in _STAGES:
            raise _located(40324, f"Unrecognized pipeline stage name: '{name}'")
        if name == "$documents" and number > 1:
            raise _located(40602, f"{name} is only valid as the first stage in a pipeline")
        if name in ("$out", "$merge") and number < len(pipeline):
            raise _located(40601, f"{name} can only be the final stage in the pipeline")
        _check_stage(name, value)


def _check_stage(name: str, value: Any) -> None:
    check_stage(name, value, EXPRESSIONS)
    if name == "$match":
        check_filter(value)
    elif name == "$facet" and isinstance(value, Mapping):
        for inner in value.values():
            check_pipeline(inner)
    elif name in ("$lookup", "$unionWith") and isinstance(value, Mapping):
        check_pipeline(value.get("pipeline") or ())
    elif name == "$graphLookup" and isinstance(value, Mapping):
        check_filter(value.get("restrictSearchWithMatch"))
    elif name == "$geoNear" and isinstance(value, Mapping):
        check_filter(value.get("query"))
    elif name in ("$addFields", "$set", "$project", "$replaceRoot", "$replaceWith", "$redact"):
        check_expression(value)
        _check_fields(name, value)


def _check_fields(stage: str, value: Any) -> None:
    """Refuse fields that the library would make otherwise than a server."""
    if not isinstance(value, Mapping):
        return
    for path, expression in value.items():
        if stage in ("$addFields", "$set") and expression == "$$REMOVE":
            raise not_supported(f"$$REMOVE in {stage}")
        if stage == "$project" and "." in path and not isinstance(expression, (int, float)):
            raise not_supported("a computed field with a dotted path in $project")


def check_expression(expression: Any) -> None:
    """Look through an expression, or a document of expressions.

    Raises:
        OperationFailure: Error 168 for an operator that no server has, 115 for one that the
            library has otherwise.
    """
    if isinstance(expression, list):
        for one in expression:
            check_expression(one)
    if not isinstance(expression, Mapping):
        return
    for name, value in expression.items():
        if name in REFUSED_EXPRESSIONS:
            raise not_supported(f"the operator {name}")
        if name[:1] == "$" and len(expression) == 1 and name not in EXPRESSIONS:
            raise operation_failure(
                168, "InvalidPipelineOperator", f"Unrecognized expression '{name}'"
            )
        if name not in _VERBATIM:
            check_expression(value)


def _located(code: int, message: str) -> OperationFailure:
    return operation_failure(code, f"Location{code}", message)
