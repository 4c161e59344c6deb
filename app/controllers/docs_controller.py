"""/docs: Swagger UI from files a package installs, so that it works where there is no internet."""

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

_ASSETS = Path(fastapi_offline.__file__).parent / "static"
_ASSETS_PATH = "/docs/assets"


def install(app: FastAPI) -> None:
    """Add the page and its files."""

    async def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=f"{_ASSETS_PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS_PATH}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS_PATH}/favicon.png",
            oauth2_redirect_url=None,
        )

    app.add_api_route("/docs", page, include_in_schema=False, response_class=HTMLResponse)
    app.mount(_ASSETS_PATH, StaticFiles(directory=_ASSETS), name="docs assets")
