"""`POST /documents`: one or many files in one request."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, TypedDict
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from api_service.auth import Caller
from api_service.dependencies import CallerDep, IdempotencyKeyDep, Services, ServicesDep, folder_path, known_profile
from api_service.idempotency import KeyedRequest, answered, replayed
from api_service.intake import Refusal, Upload, digest
from api_service.multipart import Part, begun, oversized, read_parts
from api_service.problems import ProblemError, invalid, status_of
from api_service.routes import problems
from api_service.schemas import UploadError, UploadItem, UploadOut
from shared.document import Document
from shared.errors import DocrelayError
from shared.profiles import DEFAULT
from shared.settings import Settings

router = APIRouter(prefix="/documents", tags=["documents"])

# What boundaries, part headers and fields may add to the files themselves.
_FORM_OVERHEAD_BYTES = 1_048_576
_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "process": {"type": "boolean", "default": True},
                        "folder": {"type": "string", "default": ""},
                        "profile": {"type": "string", "default": "default"},
                    },
                    "required": ["files"],
                }
            }
        },
    }
}


class _Options(TypedDict):
    folder: str
    process: bool
    profile: str


@router.post(
    "",
    status_code=202,
    response_model=UploadOut,
    responses=problems(401, 403, 408, 413, 415, 422, 503),
    openapi_extra=_BODY,
)
async def upload(request: Request, caller: CallerDep, services: ServicesDep, key: IdempotencyKeyDep) -> JSONResponse:
    """Upload PDF, DOCX or text files, in parts named `file` or `files`.

    Each file is accepted or refused on its own; the answer is an error only when none was accepted.
    """
    return await take_in(request, caller, services, key, process=True)


async def take_in(
    request: Request, caller: Caller, services: Services, key: str | None, *, process: bool
) -> JSONResponse:
    """Read the form and answer it; `process` is what counts when the form does not say."""
    owner = caller.user.id
    # What counts unasked is part of what was asked: with the same key, the other path wants something else.
    upload = Upload(fields={"process": str(process)})
    keyed = KeyedRequest(
        owner=owner, route="/documents", key=key, store=services.backends.idempotency, clock=services.clock
    )
    max_bytes = _max_bytes(request, services)
    body, whole = await begun(request.stream(), idle_seconds=services.settings.body_idle_seconds)
    # A small body is in memory already, whole: it waits for others like it, and for none that is large or slow.
    async with services.small_upload_slots if whole else services.upload_slots:
        hold = partial(services.intake.hold, upload)
        parts = _parts(body, request, services.settings, max_bytes=max_bytes, between=hold)
        if kept := await keyed.kept():
            return replayed(kept, request_hash=await digest(upload, parts))
        options = await _stage(upload, parts, services, owner=owner, hashed=keyed.key_hash)
    documents = await services.intake.commit(upload.documents, **options)
    answer = _answer(upload, documents)
    if record := keyed.record(answer, status=HTTPStatus.ACCEPTED, request_hash=upload.request_hash):
        first = await services.backends.idempotency.remember(record)
        # The same request, sent twice at once, may have been answered at another moment of the document's life.
        if not first and (kept := await keyed.kept()):
            return replayed(kept, request_hash=upload.request_hash)
    return answered(answer, status=HTTPStatus.ACCEPTED)


def _parts(
    body: AsyncIterator[bytes],
    request: Request,
    settings: Settings,
    *,
    max_bytes: int,
    between: Callable[[], Awaitable[None]],
) -> AsyncIterator[Part]:
    return read_parts(
        body,
        content_type=request.headers.get("content-type", ""),
        max_files=settings.max_files,
        max_file_bytes=settings.max_file_bytes,
        max_bytes=max_bytes,
        idle_seconds=settings.body_idle_seconds,
        between=between,
    )


async def _stage(
    upload: Upload, parts: AsyncIterator[Part], services: Services, *, owner: UUID, hashed: str | None
) -> _Options:
    """Stage the files and read the fields; when either is refused, nothing is left of the request."""
    try:
        max_files = services.settings.max_files
        await services.intake.stage(upload, parts, owner=owner, max_files=max_files, key_hash=hashed)
        profile = known_profile(services, upload.fields.get("profile") or DEFAULT)
        return _Options(folder=_folder(upload), process=_process(upload), profile=profile)
    except DocrelayError:
        # With a key the rows may be those of the same request sent twice: the other may need them.
        if hashed is None:
            await services.intake.abandon(upload)
        raise


def _max_bytes(request: Request, services: Services) -> int:
    """How many bytes the whole body may have. Raises ProblemError when its announced length is more."""
    limit = services.settings.max_files * services.settings.max_file_bytes + _FORM_OVERHEAD_BYTES
    if int(request.headers.get("content-length", 0)) > limit:
        raise oversized(limit)
    return limit


def _folder(upload: Upload) -> str:
    return folder_path(upload.fields.get("folder", ""))


def _process(upload: Upload) -> bool:
    value = upload.fields["process"].strip().lower()
    if value not in _TRUE | _FALSE:
        raise invalid("process", "Must be true or false.")
    return value in _TRUE


def _answer(upload: Upload, documents: list[Document]) -> dict[str, Any]:
    """The body of a 202. Raises ProblemError when no file was accepted."""
    errors = [_refused(refusal) for refusal in upload.refusals]
    if not documents:
        raise _nothing_accepted(upload, errors)
    items = [UploadItem(id=one.id, filename=one.filename, status=one.status, size=one.size) for one in documents]
    only = items[0] if len(upload.files) == 1 else None
    answer = UploadOut(items=items, errors=errors, id=only and only.id, status=only and only.status)
    return answer.model_dump(mode="json", exclude=None if only else {"id", "status"})


def _nothing_accepted(upload: Upload, errors: list[UploadError]) -> ProblemError:
    if not upload.files:
        return invalid("files", "The form has no part named file or files.")
    statuses = {status_of(refusal.error) for refusal in upload.refusals}
    return ProblemError(
        statuses.pop() if len(statuses) == 1 else HTTPStatus.UNPROCESSABLE_ENTITY,
        errors[0].code,
        errors[0].detail if len(errors) == 1 else "None of the files was accepted.",
        errors=[error.model_dump() for error in errors],
    )


def _refused(refusal: Refusal) -> UploadError:
    return UploadError(filename=refusal.filename, code=refusal.error.code, detail=str(refusal.error))
