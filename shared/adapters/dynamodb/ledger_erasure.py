"""Erasing a document from the ledger: its rows, its intent, and every kept answer that served no other document."""

from __future__ import annotations

from uuid import UUID

from shared.adapters.dynamodb import items, ledger_items
from shared.adapters.dynamodb.expressions import STORED, delete, expressed, plain, update
from shared.adapters.dynamodb.table import Table


async def forget_calls(table: Table, owner: UUID, document_id: UUID) -> None:
    """Erase a document from the ledger, and every kept answer that no other document was served by."""
    rows = await table.query(ledger_items.rows_request(document_id))
    for key in sorted({ledger_items.call_from(row).call_key for row in rows}):
        await _forget_question(table, owner, key, document_id)
    for row in rows:
        values = plain(row)
        await table.delete(delete(items.key(values["PK"], values["SK"]), condition=STORED))


async def _forget_question(table: Table, owner: UUID, key: str, document_id: UUID) -> None:
    question, given = ledger_items.question_key(owner, key), {"document_id": document_id}
    # Its own marks first, then a look for those of others: of two that are erased at once, one is the last.
    await table.delete(delete(ledger_items.use_key(owner, key, document_id), condition=STORED))
    for mark, marks in (("intent_document_id", ledger_items.NO_INTENT), ("document_id", {"document_id": None})):
        await table.update(update(question, marks, condition=f"#{mark} = :document_id", given=given))
    if await _used(table, owner, key):
        return
    nobodys, unpaid = ledger_items.NOBODYS, "attribute_not_exists(#document_id)"
    if not await table.delete(delete(question, condition=f"{nobodys} AND {unpaid}")):
        # Another document asks the same, or has paid for the answer.
        await table.update(update(question, ledger_items.NO_ANSWER, condition=f"{STORED} AND {unpaid}"))


async def _used(table: Table, owner: UUID, key: str) -> bool:
    request = expressed(
        {"cache": ledger_items.question_key(owner, key)["PK"], "use": "D#"},
        KeyConditionExpression="PK = :cache AND begins_with(SK, :use)",
    )
    return bool(await table.query({**request, "Limit": 1}, limit=1))
