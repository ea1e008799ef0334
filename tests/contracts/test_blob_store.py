"""What every blob store promises."""

from __future__ import annotations

import hashlib
from uuid import uuid4

import httpx
import pytest

from shared.bootstrap import Backends
from shared.errors import BackendUnavailableError, BlobMissingError


@pytest.fixture
def store() -> str:
    """A bucket is the same beside any store."""
    return "postgres"


async def test_bytes_come_back_as_they_went_in(backends: Backends) -> None:
    key, body = f"o/{uuid4()}/original", bytes(range(256)) * 1000
    await backends.blobs.put(key, bytearray(body), content_type="application/pdf")
    assert await backends.blobs.get(key) == body


async def test_bytes_that_do_not_match_their_hash_are_not_stored(backends: Backends) -> None:
    key = f"o/{uuid4()}/original"
    await backends.blobs.put(key, b"good", content_type="text/plain", sha256=hashlib.sha256(b"good").hexdigest())
    with pytest.raises(BackendUnavailableError):
        await backends.blobs.put(key, b"bad", content_type="text/plain", sha256=hashlib.sha256(b"good").hexdigest())
    assert await backends.blobs.get(key) == b"good"


async def test_missing_blob_is_named(backends: Backends) -> None:
    with pytest.raises(BlobMissingError):
        await backends.blobs.get(f"o/{uuid4()}/original")


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
