"""The table's set-up: keys, indexes, time to live, point-in-time recovery. May run any number of times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from botocore.exceptions import ClientError

from shared import log
from shared.adapters.aws import error_code, translated
from shared.adapters.dynamodb.items import DUE_INDEX, LIST_INDEX
from shared.adapters.dynamodb.table import Client

_log = log.get(__name__)

# DynamoDB prepares backups for some seconds after the table is there.
_PREPARING_TRIES = 10
_PREPARING_SECONDS = 2


async def create(client: Client, *, table: str) -> None:
    """Create the table unless it exists, and switch on what protects and cleans it."""
    with translated("DynamoDB"):
        try:
            await client.create_table(TableName=table, **definition())
        except ClientError as exc:
            if error_code(exc) != "ResourceInUseException":
                raise
        await client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 2, "MaxAttempts": 60})
    await _tolerated("time_to_live", _expire_items(client, table))
    await _tolerated("point_in_time_recovery", _keep_backups(client, table))


def definition() -> dict[str, Any]:
    names = ("PK", "SK", "due_shard", "due_order", "owner", "list_order")
    return {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
        "KeySchema": _keys("PK", "SK"),
        "GlobalSecondaryIndexes": [
            _index(DUE_INDEX, "due_shard", "due_order", holds=["status", "lease_holder"]),
            _index(LIST_INDEX, "owner", "list_order", holds=["status", "folder"]),
        ],
    }


def _index(name: str, partition: str, sort: str, *, holds: list[str]) -> dict[str, Any]:
    projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": holds}
    return {"IndexName": name, "KeySchema": _keys(partition, sort), "Projection": projection}


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


async def _expire_items(client: Client, table: str) -> None:
    found = await client.describe_time_to_live(TableName=table)
    if found["TimeToLiveDescription"]["TimeToLiveStatus"] in {"DISABLED", "DISABLING"}:
        await client.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
        )


async def _keep_backups(client: Client, table: str) -> None:
    for _ in range(_PREPARING_TRIES):
        try:
            await client.update_continuous_backups(
                TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
            )
        except ClientError as exc:
            if error_code(exc) != "ContinuousBackupsUnavailableException":
                raise
            await asyncio.sleep(_PREPARING_SECONDS)
        else:
            return


async def _tolerated(option: str, switched_on: Awaitable[None]) -> None:
    """The store works without it, and not every emulator or role knows it."""
    try:
        await switched_on
    except ClientError as exc:
        _log.warning("table.option_refused", option=option, cause=error_code(exc))
