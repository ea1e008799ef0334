"""`/docs`: Swagger UI from a wheel, which works without a network, under a policy that lets it run nothing else."""

from __future__ import annotations

import base64
import hashlib
import re

import fastapi_swagger
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

_PATH = "/docs"
_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_SETTINGS = {"tryItOutEnabled": True, "persistAuthorization": False, "filter": True, "displayRequestDuration": True}


def install(app: FastAPI) -> None:
    """Add the page before the wheel's own, which answers without a policy, and then the wheel's scripts and styles."""

    @app.get(_PATH, include_in_schema=False)
    async def docs_page(request: Request) -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url=f"{request.scope.get('root_path', '')}{app.openapi_url}",
            title=f"{app.title} API",
            swagger_js_url=request.url_for("swagger_ui_bundle_js").path,
            swagger_css_url=request.url_for("swagger_ui_css").path,
            swagger_favicon_url=request.url_for("swagger_favicon_png").path,
            swagger_ui_parameters=_SETTINGS,
        )
        page.headers["Content-Security-Policy"] = _policy(bytes(page.body))
        return page

    fastapi_swagger.patch_fastapi(app, docs_url=_PATH)


def _policy(page: bytes) -> str:
    """What the page may do: run its own script and the wheel's, and call this API. Swagger UI sets styles inline."""
    digests = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE.findall(page))
    scripts = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
