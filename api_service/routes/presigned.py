"""Uploads past the API, straight to the bucket: a form to begin with, and the word that the file is there."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request

from api_service.bodies import described, read_body
from api_service.dependencies import CallerDep, DocumentDep, ServicesDep, folder_path, known_profile
from api_service.problems import not_uploaded
from api_service.requests import PresignedIn
from api_service.routes import problems
from api_service.schemas import Schema, StatusOut
from shared.errors import BlobMissingError

router = APIRouter(prefix="/documents", tags=["documents"])


class PresignedOut(Schema):
    """A form that stores one file in the bucket."""

    id: UUID
    url: str
    fields: dict[str, str]
    expires_at: datetime


@router.post(
    "/uploads",
    status_code=201,
    responses=problems(401, 403, 408, 413, 415, 422, 503),
    openapi_extra=described(PresignedIn),
)
async def begin_upload(request: Request, caller: CallerDep, services: ServicesDep) -> PresignedOut:
    """Get a form for one file: POST its `fields`, and the file last as `file`, to its `url` before it expires.

    Then say so with `POST /documents/{id}/uploaded`. What is never uploaded is forgotten after a quarter of an hour.
    """
    asked = await read_body(request, PresignedIn)
    begun = await services.presigned.begin(
        owner=caller.user.id,
        filename=asked.filename,
        size=asked.size,
        content_type=asked.content_type,
        folder=folder_path(asked.folder),
        process=asked.process,
        profile=known_profile(services, asked.profile),
    )
    return PresignedOut(
        id=begun.document.id, url=begun.form.url, fields=dict(begun.form.fields), expires_at=begun.expires_at
    )


@router.post("/{document_id}/uploaded", status_code=202, responses=problems(401, 404, 409, 503))
async def finish_upload(document: DocumentDep, services: ServicesDep) -> StatusOut:
    """Say that the file is there. It is read through and checked; one that is not what it should be fails.

    Saying it again, or after the bucket has said it, changes nothing.
    """
    try:
        return StatusOut.of(await services.presigned.finish(document))
    except BlobMissingError:
        raise not_uploaded() from None
