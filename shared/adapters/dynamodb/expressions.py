"""DynamoDB's wire values and expressions, built from plain names and values. Pure; knows no document.

Every attribute name in an expression is written `#name`, because hundreds of names are reserved words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

Value = str | int | bool | bytes | datetime | UUID
Values = Mapping[str, Value | None]
Key = dict[str, Value | None]
# Attributes as they are on the wire: {"status": {"S": "pending"}}.
Item = dict[str, Any]
Request = dict[str, Any]

NEW = "attribute_not_exists(PK)"
STORED = "attribute_exists(PK)"
# Merged into a request of a transaction: the item that refuses it comes back with the refusal, instead of by a read.
SHOWN: Request = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}

_NAME = re.compile(r"#(\w+)")


def iso(at: datetime) -> str:
    """UTC with microseconds, always 27 characters: the order of the texts is the order of the times."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def item(values: Values) -> Item:
    """The attributes that have a value."""
    return {name: _encoded(value) for name, value in values.items() if value is not None}


def plain(stored: Item) -> dict[str, Any]:
    return {name: _decoded(attribute) for name, attribute in stored.items()}


def put(values: Values, *, condition: str, given: Values | None = None) -> Request:
    return {"Item": item(values), **expressed(given or {}, ConditionExpression=condition)}


def update(key: Key, changes: Values, *, condition: str, given: Values | None = None) -> Request:
    """Set the attributes of `changes`, remove those that are None, if `condition` holds."""
    kept = {name: value for name, value in changes.items() if value is not None}
    clauses = {
        "SET": [f"#{name} = :new_{name}" for name in kept],
        "REMOVE": [f"#{name}" for name in changes if name not in kept],
    }
    return {
        "Key": item(key),
        **expressed(
            {**(given or {}), **{f"new_{name}": value for name, value in kept.items()}},
            UpdateExpression=" ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts),
            ConditionExpression=condition,
        ),
    }


def add(
    key: Key, numbers: Mapping[str, int], changes: Values, *, condition: str = "", given: Values | None = None
) -> Request:
    """Add to the numbers, which begin at 0, and set the attributes of `changes`, if `condition` holds."""
    clauses = {
        "ADD": [f"#{name} :add_{name}" for name in numbers],
        "SET": [f"#{name} = :new_{name}" for name in changes],
    }
    values: dict[str, Value | None] = {f"add_{name}": number for name, number in numbers.items()}
    values |= {f"new_{name}": value for name, value in changes.items()}
    return {
        "Key": item(key),
        **expressed(
            {**(given or {}), **values},
            UpdateExpression=" ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts),
            ConditionExpression=condition,
        ),
    }


def check(key: Key, *, condition: str, given: Values | None = None) -> Request:
    """For a transaction: nothing is written, but it is canceled unless `condition` holds."""
    return {"Key": item(key), **expressed(given or {}, ConditionExpression=condition)}


def delete(key: Key, *, condition: str, given: Values | None = None) -> Request:
    return {"Key": item(key), **expressed(given or {}, ConditionExpression=condition)}


def expressed(given: Values, **expressions: str) -> Request:
    """The expressions with their placeholders: `#name` for attributes, `:name` for the values of `given`."""
    names = _NAME.findall(" ".join(expressions.values()))
    request = {
        **expressions,
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {f":{name}": value for name, value in item(given).items()},
    }
    return {name: part for name, part in request.items() if part}


def _encoded(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case datetime():
            return {"S": iso(value)}
        case _:
            return {"S": str(value)}


def _decoded(attribute: dict[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    return int(value) if kind == "N" else value
