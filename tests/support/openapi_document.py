"""The API's description as text. `python -m tests.support.openapi_document` prints what docs/openapi.json has to be."""

from __future__ import annotations

import json
import sys

from api_service.app import routed
from shared.settings import Settings


def document() -> str:
    """With every route, those included that a setting switches on."""
    app = routed(Settings(_env_file=None, admin_stream_tick_seconds=1))
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
