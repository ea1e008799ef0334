"""S3BlobStore: one private bucket. Keys hold ids only, never a user's text."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import quote

from botocore.exceptions import ClientError

from shared.adapters.aws import error_code, translated
from shared.errors import BackendUnavailableError, BlobMissingError, TooLargeError
from shared.filetype import SNIFFED_BYTES
from shared.ports import BlobFacts, UploadForm

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import GetObjectOutputTypeDef

_PIECE_BYTES = 1_048_576
_MISSING = {"NoSuchKey", "404", "NotFound"}
_EMPTY = "InvalidRange"
_EXISTING = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


class S3BlobStore:
    """`signer` makes what clients use by themselves; it may know the bucket under another address."""

    def __init__(self, *, client: S3Client, signer: S3Client, bucket: str) -> None:
        self._client = client
        self._signer = signer
        self._bucket = bucket

    async def ping(self) -> None:
        with translated("S3"):
            try:
                await self._client.head_bucket(Bucket=self._bucket)
            except ClientError as exc:
                if error_code(exc) not in _MISSING:
                    raise
                raise BackendUnavailableError(f"S3 has no bucket {self._bucket}. Run: docrelay bootstrap") from exc

    async def put(self, key: str, body: bytes | BytesIO, *, content_type: str, sha256: str | None = None) -> None:
        checksum = {"ChecksumSHA256": b64encode(bytes.fromhex(sha256)).decode()} if sha256 else {}
        # A file is sent piece by piece; bytes the client would copy twice as a whole. A file of bytes shares them.
        file = body if isinstance(body, BytesIO) else BytesIO(body)
        file.seek(0)
        with translated("S3"):
            await self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=file,
                ContentType=content_type,
                **checksum,  # type: ignore[arg-type]
            )

    async def get(self, key: str) -> bytes:
        with translated("S3"):
            async with (await self._open(key))["Body"] as stream:
                return await stream.read()

    async def pieces(self, key: str) -> AsyncGenerator[bytes]:
        start, size = 0, 1
        while start < size:
            with translated("S3"):
                try:
                    answer = await self._open(key, Range=f"bytes={start}-{start + _PIECE_BYTES - 1}")
                except ClientError as exc:
                    if error_code(exc) != _EMPTY:
                        raise
                    return
                async with answer["Body"] as stream:
                    piece = await stream.read()
            yield piece
            start, size = start + len(piece), int(answer["ContentRange"].rpartition("/")[2])

    async def upload_form(
        self, key: str, *, content_type: str, max_bytes: int, labels: Mapping[str, str], expires_seconds: int
    ) -> UploadForm:
        fields = {"Content-Type": content_type, **{f"x-amz-meta-{name}": value for name, value in labels.items()}}
        with translated("S3"):
            form = await self._signer.generate_presigned_post(
                Bucket=self._bucket,
                Key=key,
                Fields=fields,
                Conditions=[["content-length-range", 1, max_bytes], *({name: fields[name]} for name in fields)],
                ExpiresIn=expires_seconds,
            )
        return UploadForm(url=form["url"], fields=form["fields"])

    async def inspect(self, key: str, *, max_bytes: int) -> BlobFacts:
        digest, head, size = hashlib.sha256(), b"", 0
        with translated("S3"):
            answer = await self._open(key)
            async with answer["Body"] as stream:
                if answer["ContentLength"] > max_bytes:
                    stream.close()
                    raise TooLargeError(
                        f"The file has {answer['ContentLength']} bytes. The limit is {max_bytes} bytes."
                    )
                async for chunk in stream.iter_chunks(SNIFFED_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
                    # The first chunk may be no more than what the first packet has brought.
                    if len(head) < SNIFFED_BYTES:
                        head += chunk
        return BlobFacts(size=size, sha256=digest.hexdigest(), head=head, labels=answer["Metadata"])

    async def _open(self, key: str, **options: str) -> GetObjectOutputTypeDef:
        try:
            return await self._client.get_object(Bucket=self._bucket, Key=key, **options)  # type: ignore[arg-type]
        except ClientError as exc:
            if error_code(exc) in _MISSING:
                raise BlobMissingError from exc
            raise

    async def delete_prefix(self, prefix: str) -> None:
        with translated("S3"):
            pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix)
            async for page in pages:
                for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    await self._client.delete_object(
                        Bucket=self._bucket, Key=version["Key"], VersionId=version["VersionId"]
                    )

    async def download_url(self, key: str, *, filename: str, expires_seconds: int) -> str:
        with translated("S3"):
            return await self._signer.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
                },
                ExpiresIn=expires_seconds,
            )

    async def create(self, *, region: str) -> None:
        """Create the bucket, private, unless it exists."""
        with translated("S3"):
            try:
                if region == "us-east-1":
                    await self._client.create_bucket(Bucket=self._bucket)
                else:
                    await self._client.create_bucket(
                        Bucket=self._bucket,
                        CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
                    )
            except ClientError as exc:
                if error_code(exc) not in _EXISTING:
                    raise
            await self._client.put_public_access_block(
                Bucket=self._bucket,
                PublicAccessBlockConfiguration={
                    "BlockPublicAcls": True,
                    "IgnorePublicAcls": True,
                    "BlockPublicPolicy": True,
                    "RestrictPublicBuckets": True,
                },
            )
