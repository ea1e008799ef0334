"""SQSJobQueue: the queue of what is to be processed, and its dead-letter queue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from botocore.exceptions import ClientError

from shared.adapters.aws import error_code, translated
from shared.errors import BackendUnavailableError
from shared.messages import ProcessMessage
from shared.ports import Delivery
from shared.settings import QueueKind, QueueOrder

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.literals import QueueAttributeNameType
    from types_aiobotocore_sqs.type_defs import MessageTypeDef

# A net only: attempts are counted in the store, and far fewer.
_MAX_RECEIVE_COUNT = 20
_RETENTION_SECONDS = 4 * 24 * 3600
_DEAD_RETENTION_SECONDS = 14 * 24 * 3600
_MISSING = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
# The message is already back in the queue, or gone: whoever holds it next decides.
_STALE = {"ReceiptHandleIsInvalid", "InvalidParameterValue", "AWS.SimpleQueueService.MessageNotInflight"}


class _Place(TypedDict, total=False):
    MessageGroupId: str
    MessageDeduplicationId: str


class SQSMessageSource:
    """The messages of the queue `name`."""

    def __init__(self, *, client: SQSClient, name: str) -> None:
        self._client = client
        self._name = name
        self._known_url: str | None = None

    async def receive(self, *, limit: int, wait_seconds: int, visibility_seconds: int) -> list[Delivery]:
        with translated("SQS"):
            answer = await self._client.receive_message(
                QueueUrl=await self._url(),
                MaxNumberOfMessages=min(limit, 10),
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=visibility_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "MessageGroupId"],
            )
        return [_delivery(message) for message in answer.get("Messages", [])]

    async def extend(self, receipt: str, *, visibility_seconds: int) -> None:
        with translated("SQS"):
            try:
                await self._client.change_message_visibility(
                    QueueUrl=await self._url(), ReceiptHandle=receipt, VisibilityTimeout=visibility_seconds
                )
            except ClientError as exc:
                if error_code(exc) not in _STALE:
                    raise

    async def delete(self, receipt: str) -> None:
        with translated("SQS"):
            try:
                await self._client.delete_message(QueueUrl=await self._url(), ReceiptHandle=receipt)
            except ClientError as exc:
                if error_code(exc) not in _STALE:
                    raise

    async def _url(self) -> str:
        if self._known_url is None:
            try:
                self._known_url = (await self._client.get_queue_url(QueueName=self._name))["QueueUrl"]
            except ClientError as exc:
                if error_code(exc) in _MISSING:
                    raise BackendUnavailableError(
                        f"The queue {self._name} does not exist. Run: docrelay bootstrap"
                    ) from exc
                raise
        return self._known_url


class SQSJobQueue(SQSMessageSource):
    """A FIFO queue, whose groups decide what waits for what, or a standard one, which promises no order."""

    def __init__(self, *, client: SQSClient, name: str, kind: QueueKind, order: QueueOrder, lanes: int) -> None:
        suffix = ".fifo" if kind == "fifo" else ""
        super().__init__(client=client, name=f"{name}{suffix}")
        self.dead_letters = SQSMessageSource(client=client, name=f"{name}-dead{suffix}")
        self._dead_name = f"{name}-dead{suffix}"
        self._fifo = kind == "fifo"
        self._order = order
        self._lanes = lanes

    async def ping(self) -> None:
        with translated("SQS"):
            await self._client.get_queue_attributes(QueueUrl=await self._url(), AttributeNames=["QueueArn"])

    async def send(self, message: ProcessMessage, *, owner: UUID) -> None:
        with translated("SQS"):
            await self._client.send_message(
                QueueUrl=await self._url(),
                MessageBody=message.model_dump_json(exclude_none=True),
                **self._place(message, owner),
            )

    async def create(self) -> bool:
        """Create the queue and its dead-letter queue; False when the queue was there."""
        with translated("SQS"):
            existed = await self._exists()
            dead_url = await self._create(self._dead_name, {"MessageRetentionPeriod": str(_DEAD_RETENTION_SECONDS)})
            dead = await self._client.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])
            redrive = {"deadLetterTargetArn": dead["Attributes"]["QueueArn"], "maxReceiveCount": _MAX_RECEIVE_COUNT}
            await self._create(
                self._name,
                {"MessageRetentionPeriod": str(_RETENTION_SECONDS), "RedrivePolicy": json.dumps(redrive)},
            )
        return not existed

    async def _exists(self) -> bool:
        try:
            await self._client.get_queue_url(QueueName=self._name)
        except ClientError as exc:
            if error_code(exc) in _MISSING:
                return False
            raise
        return True

    async def _create(self, name: str, attributes: dict[QueueAttributeNameType, str]) -> str:
        kind: dict[QueueAttributeNameType, str] = {"FifoQueue": "true"} if self._fifo else {}
        answer = await self._client.create_queue(QueueName=name, Attributes={**kind, **attributes})
        return answer["QueueUrl"]

    def _place(self, message: ProcessMessage, owner: UUID) -> _Place:
        if not self._fifo:
            return {}
        return {
            "MessageGroupId": self._group(message.document_id, owner),
            "MessageDeduplicationId": message.deduplication_id,
        }

    def _group(self, document_id: UUID, owner: UUID) -> str:
        if self._order == "global":
            return "all"
        if self._order == "none":
            return str(document_id)
        return f"{owner}#{document_id.int % self._lanes}"


def _delivery(message: MessageTypeDef) -> Delivery:
    attributes = message.get("Attributes", {})
    return Delivery(
        body=message["Body"],
        receipt=message["ReceiptHandle"],
        receive_count=int(attributes.get("ApproximateReceiveCount", 1)),
        group=attributes.get("MessageGroupId"),
    )
