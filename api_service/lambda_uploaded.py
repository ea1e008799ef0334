"""The bucket's notification that a presigned upload has arrived, as a Lambda function of its own."""

from __future__ import annotations

import re
from functools import cache
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

from shared.cold_start import importing

with importing():
    from api_service.presigned import PresignedUploads
    from api_service.quotas import Quotas
    from shared import log
    from shared.bootstrap import open_backends
    from shared.clock import utc_now, uuid7
    from shared.errors import BlobMissingError, MoveRefusedError
    from shared.lambda_environment import Environment

_log = log.get(__name__)
_KEY = re.compile(r"o/[0-9a-f-]{36}/([0-9a-f-]{36})/original")


def handler(event: dict[str, Any], _context: object) -> None:
    environment, uploads = _opened()
    for record in event["Records"]:
        key = _KEY.fullmatch(unquote_plus(record["s3"]["object"]["key"]))
        if key is not None:
            environment.run(finish(uploads, UUID(key[1])))


async def finish(uploads: PresignedUploads, document_id: UUID) -> None:
    """Finish an upload. Raises BackendUnavailableError, for Lambda to try again."""
    document = await uploads.documents.get(document_id)
    try:
        if document is not None:
            await uploads.finish(document)
    except (BlobMissingError, MoveRefusedError):
        _log.info("upload.gone", document_id=str(document_id))


@cache
def _opened() -> tuple[Environment, PresignedUploads]:
    environment = Environment(service="uploaded")
    backends = environment.open(open_backends(environment.settings))
    return environment, PresignedUploads(
        documents=backends.documents,
        blobs=backends.blobs,
        queue=backends.queue,
        quotas=Quotas.of(environment.settings, backends.documents),
        max_file_bytes=environment.settings.max_file_bytes,
        clock=utc_now,
        new_id=uuid7,
    )
