"""/docs: Swagger UI from locally installed files, which needs no internet access; and /openapi.json.

The page's links are relative, so that it works under any path of a proxy.
"""

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from app.requests.root_path import root_path_of

_ASSETS = Path(fastapi_offline.__file__).parent / "static"
_ASSETS_PATH = "docs/assets"
_RELATIVE_SERVER_URL = "."
"""Relative to the URL of the OpenAPI description (OpenAPI 3.1, 4.6), so that it is right behind any proxy."""


def install(app: FastAPI) -> None:
    """Add the routes of the page, its files, and the OpenAPI description."""

    async def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url=f"{_ASSETS_PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS_PATH}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS_PATH}/favicon.png",
            oauth2_redirect_url=None,
        )

    async def description(request: Request) -> Response:
        url = root_path_of(request.scope) or _RELATIVE_SERVER_URL
        return JSONResponse({**app.openapi(), "servers": [{"url": url}]})

    app.add_route("/openapi.json", description, methods=["GET"], include_in_schema=False)
    app.add_api_route("/docs", page, include_in_schema=False, response_class=HTMLResponse)
    app.mount(f"/{_ASSETS_PATH}", StaticFiles(directory=_ASSETS), name="docs assets")
