"""AWS clients as Docrelay opens them, and botocore's errors as ours."""

from __future__ import annotations

from typing import Any

from aiobotocore.config import AioConfig
from aiohttp import ClientPayloadError
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from shared.errors import BackendUnavailableError
from shared.settings import Settings

# A long poll lasts up to 20 s: a read may be quiet for longer than that.
_READ_SECONDS = 30


def client_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for `create_client`: region, endpoint, credentials and time-outs."""
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    return {
        "region_name": settings.aws_region,
        "endpoint_url": settings.aws_endpoint_url,
        "aws_access_key_id": settings.aws_access_key_id,
        "aws_secret_access_key": secret.get_secret_value() if secret else None,
        "aws_session_token": token.get_secret_value() if token else None,
        "config": AioConfig(
            connect_timeout=5,
            read_timeout=_READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 3},
            signature_version="s3v4",
            # Names us in the bucket's and AWS's own logs; botocore's own would be put together anew for each request.
            user_agent="docrelay",
            max_pool_connections=64,
            # An emulator's host name has no room for a bucket in front of it. On AWS, `auto` would presign the global
            # address, which redirects to the region of a new bucket: no browser posts a form across that.
            s3={
                "addressing_style": "path" if settings.aws_endpoint_url else "virtual",
                # TLS protects the body on its way and the checksum below it; to sign it is to hash it once more.
                "payload_signing_enabled": False,
            },
            # We hash every file ourselves; a second checksum costs a third of the client's CPU.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    }


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


class translated:  # noqa: N801 - reads as a word in `with translated("S3"):`
    """Turn botocore's errors, and a body cut off, into BackendUnavailableError that names the service."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, ClientError):
            raise BackendUnavailableError(f"{self._service} refused: {error_code(error)}") from error
        if isinstance(error, BotoCoreError | HTTPClientError | ClientPayloadError):
            raise BackendUnavailableError(f"{self._service} did not answer.") from error
