"""Which texts of a document are kept: the one that it names."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aiobotocore.session import get_session

from shared.adapters.aws import client_options
from shared.adapters.s3 import S3BlobStore
from shared.bootstrap import Backends
from shared.document import Document
from shared.errors import BackendUnavailableError, BlobMissingError
from shared.moves import commit
from shared.settings import Settings
from tests.support.builders import S, move
from tests.worker.test_handler import BODY, World
from worker_service.disposition import Ack


@pytest.fixture
def world(stack_settings: Settings, backends: Backends) -> World:
    return World(stack_settings, backends)


async def read_and_restarted(world: World) -> Document:
    """A document that was processed, and is to be once more."""
    document = await world.stored()
    await world.handle(world.handler(), document)
    again = move(await world.now(document), S.PENDING, at=world.clock(), force=True)
    return await commit(world.backends.documents, again)


async def test_another_run_leaves_its_own_text_and_the_file(world: World) -> None:
    document = await read_and_restarted(world)
    assert await world.handle(world.handler(), document) == Ack()
    done = await world.now(document)
    assert document.text_key is not None
    assert done.text_key is not None
    assert await world.backends.blobs.get(done.text_key) == BODY
    assert await world.backends.blobs.get(done.blob_key) == BODY
    with pytest.raises(BlobMissingError):
        await world.backends.blobs.get(document.text_key)


async def test_run_that_cannot_remove_the_text_before_is_none_the_worse(world: World) -> None:
    class Torn(S3BlobStore):
        async def delete_prefix(self, prefix: str) -> None:  # noqa: ARG002 - the port has it
            raise BackendUnavailableError

    document, handler = await read_and_restarted(world), world.handler()
    async with get_session().create_client("s3", **client_options(world.settings)) as s3:
        blobs = Torn(client=s3, signer=s3, bucket=world.settings.bucket)
        torn = replace(handler, pipeline=replace(handler.pipeline, blobs=blobs))
        assert await world.handle(torn, document) == Ack()
    assert (await world.now(document)).status is S.COMPLETED
