"""A delivery's two ends: what its message says, and what is done with it once its disposition is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from shared import log
from shared.errors import BackendUnavailableError
from shared.messages import ProcessMessage
from shared.ports import Delivery, MessageSource
from worker_service.disposition import Disposition, Retry

_log = log.get(__name__)

# SQS hides a message for at most 12 hours.
_MAX_VISIBILITY_SECONDS = 43_200


def read(delivery: Delivery) -> ProcessMessage | None:
    """The message, or None when it is not one that this version knows."""
    message = _message_in(delivery)
    if message is None:
        _log.error("message.unknown", receive_count=delivery.receive_count)
    return message


def _message_in(delivery: Delivery) -> ProcessMessage | None:
    try:
        return ProcessMessage.model_validate_json(delivery.body)
    except ValidationError:
        return None


async def settle(delivery: Delivery, verdict: Disposition, *, queue: MessageSource) -> None:
    """Delete the message, or let it come back when its disposition says."""
    try:
        if isinstance(verdict, Retry):
            seconds = min(max(math.ceil(verdict.after_seconds), 0), _MAX_VISIBILITY_SECONDS)
            await queue.extend(delivery.receipt, visibility_seconds=seconds)
        else:
            await queue.delete(delivery.receipt)
    except BackendUnavailableError as exc:
        # The message comes again after its visibility time-out and finds its work done.
        _log.warning("queue.settle_failed", cause=str(exc))


def in_groups(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """What has to be done one after the other: the messages of one FIFO group, in order. Others stand alone.

    So does one of a group that is not known here: it comes back until the queue gives up on it, and would take with
    it, untouched, whatever is behind it.
    """
    ordered = [one for one in deliveries if one.group and _message_in(one)]
    alone = [[one] for one in deliveries if one not in ordered]
    named = sorted(ordered, key=lambda one: one.group or "")
    return [list(group) for _, group in groupby(named, key=lambda one: one.group)] + alone


def owner_of(delivery: Delivery) -> UUID | None:
    """Whose document it probably is, where a group is one of an owner's lanes: `<owner>#<lane>`."""
    owner, _, lane = (delivery.group or "").partition("#")
    try:
        return UUID(owner) if lane else None
    except ValueError:
        return None


def of_event(event: Mapping[str, Any]) -> dict[str, Delivery]:
    """The messages of an SQS event, as Lambda gets them, by their ids."""
    return {record["messageId"]: _of_record(record) for record in event["Records"]}


def _of_record(record: Mapping[str, Any]) -> Delivery:
    attributes = record["attributes"]
    return Delivery(
        body=record["body"],
        receipt=record["receiptHandle"],
        receive_count=int(attributes["ApproximateReceiveCount"]),
        group=attributes.get("MessageGroupId"),
    )
