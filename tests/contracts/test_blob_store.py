"""What every blob store promises."""

from __future__ import annotations

import asyncio
import hashlib
from io import BytesIO
from uuid import uuid4

import httpx
import pytest
from aiobotocore.session import get_session
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.adapters.aws import client_options
from shared.adapters.s3 import S3BlobStore
from shared.bootstrap import Backends, open_backends
from shared.errors import BackendUnavailableError, BlobMissingError, TooLargeError
from shared.settings import Settings


@pytest.fixture
def store() -> str:
    """A bucket is the same beside any store."""
    return "postgres"


async def test_bytes_come_back_as_they_went_in(backends: Backends) -> None:
    key, body = f"o/{uuid4()}/original", bytes(range(256)) * 1000
    await backends.blobs.put(key, body, content_type="application/pdf")
    assert await backends.blobs.get(key) == body


async def test_file_is_stored_from_its_beginning_wherever_it_stands(backends: Backends) -> None:
    key, file = f"o/{uuid4()}/original", BytesIO()
    file.write(b"written to its end")
    await backends.blobs.put(key, file, content_type="text/plain")
    assert await backends.blobs.get(key) == b"written to its end"


async def test_file_is_sent_whole_again_after_a_failure(stack_settings: Settings) -> None:
    bodies = []

    async def fail_once(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(status=503 if len(bodies) == 1 else 200)

    server = TestServer(web.Application(client_max_size=10_000_000))
    server.app.router.add_put("/{key:.*}", fail_once)
    body = bytes(range(256)) * 10_000
    async with (
        server,
        open_backends(stack_settings.model_copy(update={"aws_endpoint_url": str(server.make_url(""))})) as backends,
    ):
        await backends.blobs.put("k", BytesIO(body), content_type="text/plain")
    assert bodies == [body, body]


async def test_bytes_that_do_not_match_their_hash_are_not_stored(backends: Backends) -> None:
    key = f"o/{uuid4()}/original"
    await backends.blobs.put(key, b"good", content_type="text/plain", sha256=hashlib.sha256(b"good").hexdigest())
    with pytest.raises(BackendUnavailableError):
        await backends.blobs.put(key, b"bad", content_type="text/plain", sha256=hashlib.sha256(b"good").hexdigest())
    assert await backends.blobs.get(key) == b"good"


@pytest.mark.parametrize("size", [0, 1, 1_048_576, 2_500_000])
async def test_pieces_add_up(backends: Backends, size: int) -> None:
    key, body = f"o/{uuid4()}/text", bytes(number % 251 for number in range(size))
    await backends.blobs.put(key, body, content_type="text/plain")
    pieces = [piece async for piece in backends.blobs.pieces(key)]
    assert b"".join(pieces) == body
    assert all(len(piece) <= 1_048_576 for piece in pieces)


async def test_pieces_of_a_missing_blob_are_named(backends: Backends) -> None:
    with pytest.raises(BlobMissingError):
        await anext(backends.blobs.pieces(f"o/{uuid4()}/text"))


async def test_missing_blob_is_named(backends: Backends) -> None:
    with pytest.raises(BlobMissingError):
        await backends.blobs.get(f"o/{uuid4()}/original")


@pytest.mark.parametrize("read", ["get", "inspect"])
async def test_body_that_is_cut_off_is_a_backend_that_did_not_answer(stack_settings: Settings, read: str) -> None:
    async def cut_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()

    async with await asyncio.start_server(cut_off, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with open_backends(stack_settings.model_copy(update={"aws_endpoint_url": url})) as backends:
            reading = backends.blobs.get("k") if read == "get" else backends.blobs.inspect("k", max_bytes=1000)
            with pytest.raises(BackendUnavailableError):
                await reading


async def test_inspected_blob_tells_what_it_is(backends: Backends) -> None:
    key, body = f"o/{uuid4()}/original", bytes(range(256)) * 1000
    await backends.blobs.put(key, body, content_type="application/pdf")
    facts = await backends.blobs.inspect(key, max_bytes=len(body))
    assert (facts.size, facts.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert body.startswith(facts.head)
    assert len(facts.head) >= 1024


async def test_inspecting_stops_at_a_blob_that_is_too_large(backends: Backends) -> None:
    key = f"o/{uuid4()}/original"
    await backends.blobs.put(key, b"12345", content_type="text/plain")
    with pytest.raises(TooLargeError):
        await backends.blobs.inspect(key, max_bytes=4)
    with pytest.raises(BlobMissingError):
        await backends.blobs.inspect(f"{key}-not", max_bytes=4)


async def test_form_stores_its_object_with_its_labels(backends: Backends) -> None:
    key = f"o/{uuid4()}/original"
    form = await backends.blobs.upload_form(
        key, content_type="text/plain", max_bytes=5, labels={"process": "false"}, expires_seconds=60
    )
    async with httpx.AsyncClient() as client:
        assert (await client.post(form.url, data=dict(form.fields), files={"file": b"12345"})).is_success
    assert (await backends.blobs.inspect(key, max_bytes=5)).labels == {"process": "false"}


async def test_deleting_a_prefix_takes_everything_below_it_and_nothing_else(backends: Backends) -> None:
    prefix, other = f"o/{uuid4()}/", f"o/{uuid4()}/"
    for key in (f"{prefix}original", f"{prefix}text-1", f"{other}original"):
        await backends.blobs.put(key, b"x", content_type="text/plain")
    await backends.blobs.delete_prefix(prefix)
    await backends.blobs.delete_prefix(prefix)
    for key in (f"{prefix}original", f"{prefix}text-1"):
        with pytest.raises(BlobMissingError):
            await backends.blobs.get(key)
    assert await backends.blobs.get(f"{other}original") == b"x"


async def test_download_url_gives_the_file_under_its_name(backends: Backends) -> None:
    key = f"o/{uuid4()}/original"
    await backends.blobs.put(key, b"content", content_type="text/plain")
    url = await backends.blobs.download_url(key, filename='Übersicht "1".txt', expires_seconds=60)
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).content == b"content"
    assert "filename%2A%3DUTF-8%27%27%25C3%259Cbersicht%2520%25221%2522.txt" in url


async def test_presigned_addresses_on_aws_name_the_bucket_s_region() -> None:
    """The global address of a bucket elsewhere answers with a redirect, which no browser follows across origins."""
    settings = Settings(AWS_REGION="eu-central-1", AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret")
    async with get_session().create_client("s3", **client_options(settings)) as client:
        blobs = S3BlobStore(client=client, signer=client, bucket="documents")
        key, home = f"o/{uuid4()}/original", "https://documents.s3.eu-central-1.amazonaws.com/"
        form = await blobs.upload_form(key, content_type="application/pdf", max_bytes=5, labels={}, expires_seconds=60)
        assert form.url == home
        assert (await blobs.download_url(key, filename="a.pdf", expires_seconds=60)).startswith(f"{home}{key}?")
