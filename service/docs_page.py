"""The page at /docs, Swagger UI from files that are installed here.

FastAPI's own page fetches it from strangers' servers: it stays blank in a network without a way
out, and elsewhere runs whatever they send, beside an operator's API key.
"""

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

FILES = Path(fastapi_offline.__file__).parent / "static"


def add_docs_page(app: FastAPI) -> None:
    """Give the app /docs, with links relative to it: they hold behind a proxy's prefix as well."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=f"{app.title}: API",
        swagger_js_url="docs/files/swagger-ui-bundle.js",
        swagger_css_url="docs/files/swagger-ui.css",
        swagger_favicon_url="docs/files/favicon.png",
    )

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return page

    app.mount("/docs/files", StaticFiles(directory=FILES), name="docs")
