"""Small request bodies, read with limits. FastAPI itself would read one of any size, for ever, before it knows the
caller.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from api_service.chunks import CLOSE, next_chunk
from api_service.dependencies import services
from api_service.problems import ProblemError

_MAX_BYTES = 8_192
_FORM = "application/x-www-form-urlencoded"

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, model: type[Body], *, max_bytes: int = _MAX_BYTES) -> Body:
    """Read JSON, or a form, into the model; nothing is as good as `{}`.

    Raises RequestValidationError, or ProblemError: 413, 422, and 408 when it takes longer than `body_idle_seconds`.
    """
    body = await _whole(request, max_bytes=max_bytes)
    try:
        # curl's -d says that everything is a form.
        if request.headers.get("content-type", "").lower().startswith(_FORM) and not body.startswith(b"{"):
            return model.model_validate(dict(parse_qsl(body.decode())))
        return model.model_validate_json(body or b"{}")
    except UnicodeDecodeError as exc:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", "The body is not UTF-8.") from exc
    except ValidationError as exc:
        # Without the input: an answer must not repeat a password.
        errors = exc.errors(include_input=False, include_url=False)
        raise RequestValidationError([{**error, "loc": ("body", *error["loc"])} for error in errors]) from exc


async def _whole(request: Request, *, max_bytes: int) -> bytes:
    clock, chunks, body = asyncio.get_running_loop().time, request.stream(), bytearray()
    ends_at = clock() + services(request).settings.body_idle_seconds
    while chunk := await next_chunk(chunks, max(0.0, ends_at - clock())):
        body += chunk
        if len(body) > max_bytes:
            detail = f"The body has more than {max_bytes} bytes."
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", detail, headers=CLOSE)
    return bytes(body)


def described(model: type[BaseModel], *, required: bool = True, form: bool = False) -> dict[str, Any]:
    """The OpenAPI document's part about a body that `read_body` reads."""
    media_types = ["application/json", *([_FORM] if form else [])]
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": required, "content": {one: {"schema": schema} for one in media_types}}}
