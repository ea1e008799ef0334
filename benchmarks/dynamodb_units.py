"""The units that DynamoDB charges for a request, from what the requests so far have left in the table."""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any

from shared.adapters.dynamodb.expressions import Item
from shared.adapters.dynamodb.schema import definition

_SET, _ADD, _REMOVE = (re.compile(pattern) for pattern in (r"#(\w+) = (:\w+)", r"#(\w+) (:\w+)", r"#(\w+)(?=,|$)"))
_KEY = ("PK", "SK")


class Units:
    """Knows an item from the first write of it; what was there before counts as nothing.

    A write costs the size of the whole item, before or after, whichever is larger; twice in a transaction, where a
    condition's check costs the same; and a unit for each entry of an index that it makes, changes or takes away.
    """

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    def of_write(self, operation: str, body: dict[str, Any]) -> int:
        """0 for what is no write."""
        if operation == "TransactWriteItems":
            return sum(self._written(action, times=2) for action in body["TransactItems"])
        verb = operation.removesuffix("Item")
        return self._written({verb: body}, times=1) if verb in {"Put", "Update", "Delete"} else 0

    def _written(self, action: dict[str, Any], *, times: int) -> int:
        ((verb, request),) = action.items()
        key = json.dumps([request.get("Item", request.get("Key"))[name] for name in _KEY])
        before = self._items.get(key, {})
        after = _after(verb, request, before)
        self._items[key] = after
        kilobytes = max(math.ceil(max(size_of(before), size_of(after)) / 1024), 1)
        return times * kilobytes + sum(_entry_writes(index, before, after) for index in _INDEXES)


def units_of_read(body: dict[str, Any], answered: bytes) -> float:
    if "RequestItems" in body:
        # Each item of a batch is rounded up by itself.
        found = [item for items in json.loads(answered)["Responses"].values() for item in items]
        return float(sum(max(math.ceil(size_of(item) / 4096), 1) for item in found))
    consistent = 1.0 if "IndexName" not in body else 0.5
    return consistent * max(math.ceil(len(answered) / 4096), 1)


def size_of(item: Item) -> int:
    """Bytes as DynamoDB counts them: names and values, a number by its digits."""
    return sum(len(name.encode()) + _size_of_value(value) for name, value in item.items())


def _size_of_value(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return len(str(content).lstrip("-")) // 2 + 2
        case "B":
            return len(base64.b64decode(content))
        case "S":
            return len(content.encode())
        case _:
            return 1


def _after(verb: str, request: dict[str, Any], before: Item) -> Item:
    match verb:
        case "Put":
            return dict(request["Item"])
        case "Delete":
            return {}
        case "Update":
            return _updated({**request["Key"], **before}, request)
        case _:
            return before


def _updated(item: Item, request: dict[str, Any]) -> Item:
    values = request.get("ExpressionAttributeValues", {})
    # Each clause is a verb and its parts, as the adapter writes them.
    for verb, parts in re.findall(r"(SET|ADD|REMOVE) (.+?)(?= SET | ADD | REMOVE |$)", request["UpdateExpression"]):
        match verb:
            case "SET":
                item |= {name: values[value] for name, value in _SET.findall(parts)}
            case "ADD":
                item |= {name: _sum(item.get(name), values[value]) for name, value in _ADD.findall(parts)}
            case _:
                item = {name: value for name, value in item.items() if name not in _REMOVE.findall(parts)}
    return item


def _sum(number: dict[str, str] | None, added: dict[str, str]) -> dict[str, str]:
    return {"N": str(int((number or {"N": "0"})["N"]) + int(added["N"]))}


def _entry_writes(index: tuple[set[str], set[str]], before: Item, after: Item) -> int:
    """A change of an entry's key takes one away and makes another."""
    keys, names = index
    old, new = ({name: item.get(name) for name in names} if keys <= item.keys() else None for item in (before, after))
    if old == new:
        return 0
    if old is None or new is None or all(old[name] == new[name] for name in keys):
        return 1
    return 2


def _indexes() -> list[tuple[set[str], set[str]]]:
    """Of each index the key's attributes, and all that it shows."""
    found = []
    for index in definition()["GlobalSecondaryIndexes"]:
        keys = {part["AttributeName"] for part in index["KeySchema"]}
        found.append((keys, {*keys, *index["Projection"]["NonKeyAttributes"]}))
    return found


_INDEXES = _indexes()
