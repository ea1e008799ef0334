"""One module for each resource."""

from http import HTTPStatus
from typing import Any

from api_service.problems import title_of

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "It is what `If-None-Match` names."}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """A route's error answers for the OpenAPI document; what they look like is said there once for all."""
    return {status: {"description": title_of(HTTPStatus(status))} for status in statuses}
