"""One module for each resource."""

from __future__ import annotations

from typing import Any

from api_service.problems import MEDIA_TYPE
from api_service.schemas import Problem


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of a route's error answers."""
    schema = {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}
    return {status: {"model": Problem, "content": {MEDIA_TYPE: schema}} for status in statuses}
