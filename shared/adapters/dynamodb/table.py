"""The table as the stores use it: requests, bounded retries, and DynamoDB's errors as ours. Knows no item."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast
from uuid import uuid4

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from shared.adapters.aws import client_options, error_code, translated
from shared.adapters.dynamodb.expressions import Item, Key, Request, item
from shared.errors import BackendUnavailableError
from shared.settings import Settings

# No request here takes a second. The other clients' 30 s are for long polls.
_READ_SECONDS = 5
_TRIES = 25
_PAUSE_SECONDS_MIN = 0.01
_PAUSE_SECONDS_MAX = 0.25
BATCH_GET_KEYS = 100

REFUSED = "ConditionalCheckFailed"
# Somebody else's transaction or the table's throughput was in the way, which says nothing about the conditions.
_BUSY = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}

Answer = Awaitable[dict[str, Any]]
Operation = Callable[..., Answer]
Action = tuple[str, Request]


class Client(Protocol):
    """What of DynamoDB is used, and so what a role has to allow: first at run time, then to set the table up."""

    def get_item(self, **request: Any) -> Answer: ...
    def batch_get_item(self, **request: Any) -> Answer: ...
    def query(self, **request: Any) -> Answer: ...
    def put_item(self, **request: Any) -> Answer: ...
    def update_item(self, **request: Any) -> Answer: ...
    def delete_item(self, **request: Any) -> Answer: ...
    def transact_write_items(self, **request: Any) -> Answer: ...

    def create_table(self, **request: Any) -> Answer: ...
    def get_waiter(self, name: str) -> Any: ...
    def describe_time_to_live(self, **request: Any) -> Answer: ...
    def update_time_to_live(self, **request: Any) -> Answer: ...
    def update_continuous_backups(self, **request: Any) -> Answer: ...


class CanceledError(Exception):
    """A transaction was not written: a condition refused it, or it was in another's way and may be tried again.

    `codes` says which, for each of its actions in order; `found` are the items that the refusing conditions met, where
    the request asks to be shown them.
    """

    def __init__(self, codes: Sequence[str], found: Sequence[Item | None]) -> None:
        super().__init__(f"The transaction was canceled: {', '.join(codes)}.")
        self.codes = codes
        self.found = found


def pauses(tries: int = _TRIES) -> Iterator[float]:
    """How long to wait after each try, in seconds; random, so that those who collided do not meet again."""
    for tried in range(tries):
        yield random.uniform(0, min(_PAUSE_SECONDS_MIN * 2**tried, _PAUSE_SECONDS_MAX))  # noqa: S311


@asynccontextmanager
async def open_client(settings: Settings, session: AioSession) -> AsyncIterator[Client]:
    options = client_options(settings)
    quick = options["config"].merge(AioConfig(read_timeout=_READ_SECONDS))
    async with session.create_client("dynamodb", **options | {"config": quick}) as client:
        yield cast("Client", client)


class Table:
    """Reads are strongly consistent unless an index is named. Throttling is retried by the client itself."""

    def __init__(self, *, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    async def get(self, key: Key) -> Item | None:
        answer = await self._call(self._client.get_item, TableName=self._name, Key=item(key), ConsistentRead=True)
        return answer.get("Item")

    async def get_many(self, keys: Sequence[Key]) -> list[Item]:
        """The items that exist, in any order. `keys` must not repeat one."""
        found = []
        for start in range(0, len(keys), BATCH_GET_KEYS):
            found += await self._get_batch(keys[start : start + BATCH_GET_KEYS])
        return found

    async def query(self, request: Request, *, limit: int | None = None) -> list[Item]:
        """Read on until there are `limit` items or no more. An index is only eventually consistent."""
        consistent = {} if "IndexName" in request else {"ConsistentRead": True}
        start: dict[str, Item] = {}
        found: list[Item] = []
        while True:
            answer = await self._call(self._client.query, TableName=self._name, **request, **consistent, **start)
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer or (limit is not None and len(found) >= limit):
                return found[:limit]
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def put(self, request: Request) -> bool:
        """False when the condition refused it; so with update and delete."""
        return await self._write(self._client.put_item, request)

    async def update(self, request: Request) -> bool:
        return await self._write(self._client.update_item, request)

    async def delete(self, request: Request) -> bool:
        return await self._write(self._client.delete_item, request)

    async def transact(self, *actions: Action) -> None:
        """Write all or nothing. Raises CanceledError.

        The token makes the client's own retries of this try harmless: a try whose reply was lost is answered, not
        written again. Each call is a try of its own.
        """
        items = [{verb: {"TableName": self._name, **request}} for verb, request in actions]
        await self._call(self._client.transact_write_items, TransactItems=items, ClientRequestToken=str(uuid4()))

    async def _get_batch(self, keys: Sequence[Key]) -> list[Item]:
        found: list[Item] = []
        left: dict[str, Any] = {self._name: {"Keys": [item(key) for key in keys], "ConsistentRead": True}}
        for pause in pauses():
            answer = await self._call(self._client.batch_get_item, RequestItems=left)
            found += answer["Responses"].get(self._name, [])
            left = answer.get("UnprocessedKeys", {})
            if not left:
                return found
            await asyncio.sleep(pause)
        raise BackendUnavailableError("DynamoDB leaves keys unread.")

    async def _write(self, operation: Operation, request: Request) -> bool:
        for pause in pauses():
            try:
                await self._call(operation, TableName=self._name, **request)
            except _RefusedError:
                return False
            except _ConflictError:
                await asyncio.sleep(pause)
            else:
                return True
        raise BackendUnavailableError("DynamoDB refused: TransactionConflictException")

    async def _call(self, operation: Operation, **request: Any) -> dict[str, Any]:
        with translated("DynamoDB"):
            try:
                return await operation(**request)
            except ClientError as exc:
                raise self._meaning(exc) from exc

    def _meaning(self, error: ClientError) -> Exception:
        match error_code(error):
            case "ConditionalCheckFailedException":
                return _RefusedError()
            case "TransactionConflictException":
                return _ConflictError()
            case "TransactionCanceledException":
                return _cancellation(error)
            case "ResourceNotFoundException":
                return BackendUnavailableError(f"The table {self._name} does not exist. Run: docrelay bootstrap")
            case _:
                return error


def _cancellation(error: ClientError) -> Exception:
    reasons: list[dict[str, Any]] = [dict(one) for one in error.response["CancellationReasons"]]
    codes = [reason.get("Code", "None") for reason in reasons]
    if others := set(codes) - {"None", REFUSED, *_BUSY}:
        return BackendUnavailableError(f"DynamoDB refused: {', '.join(sorted(others))}")
    return CanceledError(codes, [reason.get("Item") for reason in reasons])


class _RefusedError(Exception):
    """The condition of a single write did not hold."""


class _ConflictError(Exception):
    """A transaction holds the item of a single write."""
