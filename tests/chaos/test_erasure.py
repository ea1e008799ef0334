"""A deleted document leaves no trace of text or name in any row, item or object, and nothing brings it back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from aiobotocore.session import get_session
from psycopg import sql

from shared.adapters.aws import client_options
from shared.adapters.dynamodb.items import unpacked
from shared.bootstrap import Backends
from shared.settings import Settings
from tests.chaos.scenarios import LATER
from tests.chaos.stage import Stage
from tests.support.builders import S
from tests.support.callers import add_user


@pytest.fixture
async def stage(staged_settings: Settings, staged_backends: Backends) -> Stage:
    """A document with canaries in name, folder and text, which is completed."""
    settings, backends = staged_settings, staged_backends
    user, canary = await add_user(backends), uuid4().hex
    stage = Stage(settings=settings, backends=backends, watched=backends, user=user, text=f"Canary {canary} sings.")
    document = await stage.document(S.UPLOADED, filename=f"{canary}.txt", folder=f"aviary/{canary}")
    stage = replace(stage, document_id=document.id)
    assert (await stage.send("POST", "/documents/{}/process")).status_code == 202
    await stage.work()
    return stage


async def rows(settings: Settings) -> list[str]:
    """Everything that the store holds, as text."""
    if settings.store == "dynamodb":
        async with get_session().create_client("dynamodb", **client_options(settings)) as client:
            pages = client.get_paginator("scan").paginate(TableName=settings.table)
            return [readable(item) for page in [page async for page in pages] for item in page["Items"]]
    url = settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        tables = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [name for (name,) in await tables.fetchall()]
        queries = [sql.SQL("SELECT one::text FROM {} AS one").format(sql.Identifier(name)) for name in names]
        return [row for query in queries for (row,) in await (await connection.execute(query)).fetchall()]


def readable(item: dict[str, Any]) -> str:
    """An item with what is compressed in it unpacked."""
    values = {name: next(iter(value.values())) for name, value in item.items()}
    return str({name: unpacked(value) if isinstance(value, bytes) else value for name, value in values.items()})


async def objects(settings: Settings) -> list[Any]:
    async with get_session().create_client("s3", **client_options(settings)) as client:
        answer = await client.list_object_versions(Bucket=settings.bucket)
        return [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]


def naming(found: list[str], stage: Stage) -> list[str]:
    canary = stage.text.split()[1]
    return [row for row in found if canary in row]


async def test_deleted_document_is_nowhere_any_more(staged_settings: Settings, stage: Stage) -> None:
    before = await stage.stored()
    assert before is not None
    assert before.status is S.COMPLETED
    assert naming(await rows(staged_settings), stage)
    assert await objects(staged_settings)

    assert (await stage.send("DELETE", "/documents/{}")).status_code == 204
    assert (await stage.send("GET", "/documents/{}")).status_code == 404
    await stage.work()

    assert naming(await rows(staged_settings), stage) == []
    assert await objects(staged_settings) == []
    left = await stage.stored()
    assert left is not None
    assert left.entombed


async def test_late_message_and_late_sweep_do_not_bring_it_back(stage: Stage) -> None:
    await stage.send("DELETE", "/documents/{}")
    await stage.work()
    tombstone = await stage.stored()
    for _ in range(2):
        await replace(stage, later=LATER).work()
        await stage.worker().reconciler.sweep(asyncio.Event())
    assert await stage.stored() == tombstone
    assert (await stage.send("POST", "/documents/{}/process")).status_code == 404


async def test_same_content_is_paid_for_anew_after_the_deletion(stage: Stage) -> None:
    """The kept answer went with the document that it was made from."""
    await stage.send("DELETE", "/documents/{}")
    await stage.work()
    again = replace(stage, document_id=(await stage.queued()).id)
    await again.work()
    document = await again.stored()
    assert document is not None
    assert document.report is not None
    assert (document.report.usage.cached, document.report.usage.calls) == (False, 1)
