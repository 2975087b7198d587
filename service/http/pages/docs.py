"""The page at /docs, Swagger UI from files that are installed here.

FastAPI's own page fetches it from strangers' servers: it stays blank in a network without a way
out, and elsewhere runs whatever they send, beside an operator's API key.
"""

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse
from starlette.requests import Request

FOLDER = Path(fastapi_offline.__file__).parent / "static"
FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")


def add_docs_page(app: FastAPI) -> None:
    """Give the app /docs, with links relative to it: they hold behind a proxy's prefix as well."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=f"{app.title}: API",
        swagger_js_url=f"docs/files/{FILES[0]}",
        swagger_css_url=f"docs/files/{FILES[1]}",
        swagger_favicon_url=f"docs/files/{FILES[2]}",
    )

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return page

    async def shown(request: Request) -> FileResponse:
        return FileResponse(FOLDER / request.url.path.rpartition("/")[2])

    for name in FILES:  # by name, not as a folder: nothing else can be asked for
        app.add_route(f"/docs/files/{name}", shown, methods=["GET"], include_in_schema=False)
