"""Small request bodies, read with a limit. FastAPI itself would read one of any size, before it knows the caller."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from api_service.problems import ProblemError

_MAX_BYTES = 8_192
_FORM = "application/x-www-form-urlencoded"

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, model: type[Body], *, max_bytes: int = _MAX_BYTES) -> Body:
    """Read JSON, or a form, into the model; nothing is as good as `{}`. Raises ProblemError, RequestValidationError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "too_large",
                f"The body has more than {max_bytes} bytes.",
                headers={"Connection": "close"},
            )
    try:
        if request.headers.get("content-type", "").startswith(_FORM):
            return model.model_validate(dict(parse_qsl(body.decode())))
        return model.model_validate_json(bytes(body) or b"{}")
    except UnicodeDecodeError as exc:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", "The body is not UTF-8.") from exc
    except ValidationError as exc:
        # Without the input: an answer must not repeat a password.
        errors = exc.errors(include_input=False, include_url=False)
        raise RequestValidationError([{**error, "loc": ("body", *error["loc"])} for error in errors]) from exc


def described(model: type[BaseModel], *, required: bool = True, form: bool = False) -> dict[str, Any]:
    """The OpenAPI document's part about a body that `read_body` reads."""
    media_types = ["application/json", *([_FORM] if form else [])]
    content = {
        media_type: {"schema": model.model_json_schema(ref_template="#/components/schemas/{model}")}
        for media_type in media_types
    }
    return {"requestBody": {"required": required, "content": content}}
