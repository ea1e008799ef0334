"""Whose document a delivery is likely to be about, by its group, in each order of the queue."""

from __future__ import annotations

from typing import Literal
from uuid import UUID, uuid4

import pytest

from shared.adapters.sqs import SQSJobQueue
from shared.clock import utc_now
from shared.messages import ProcessMessage
from shared.ports import Delivery
from worker_service.deliveries import owner_of

OWNER = uuid4()


def delivered(group: str | None) -> Delivery:
    return Delivery(body="", receipt="", receive_count=1, group=group)


@pytest.mark.parametrize(("order", "owner"), [("owner", OWNER), ("global", None), ("none", None)])
def test_group_names_the_owner_where_owners_have_lanes(
    order: Literal["owner", "global", "none"], owner: UUID | None
) -> None:
    queue = SQSJobQueue(client=None, name="jobs", kind="fifo", order=order, lanes=3)  # type: ignore[arg-type]
    message = ProcessMessage(document_id=uuid4(), run=1, send=1, at=utc_now())
    assert owner_of(delivered(queue._place(message, OWNER)["MessageGroupId"])) == owner


@pytest.mark.parametrize("group", [None, "somebody#0"])
def test_other_groups_name_nobody(group: str | None) -> None:
    assert owner_of(delivered(group)) is None
