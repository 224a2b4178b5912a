"""The documentation: the OpenAPI document, and a page to read it and try it.

All addresses are relative to the page, so that it works below any prefix that a proxy adds.
"""

import asyncio
import json
from functools import cache
from importlib import resources

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from app.errors import NotFound

DOCUMENT = "/openapi.json"
_KINDS = {
    "swagger-ui-bundle.js": "application/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
PATHS = ("/", "/docs", DOCUMENT, *(f"/swagger/{name}" for name in _KINDS))
_METHODS = ["GET", "HEAD"]
_PAGE = {"persistAuthorization": True, "filter": True, "tryItOutEnabled": True}

routes = APIRouter(include_in_schema=False)


@routes.api_route("/", methods=_METHODS)
async def lead_to_docs() -> Response:
    """Lead whoever looks for a page to the one there is."""
    return Response(status_code=307, headers={"Location": "docs"})


@routes.api_route("/docs", methods=_METHODS)
async def get_docs() -> Response:
    """Return the page."""
    return get_swagger_ui_html(
        openapi_url=DOCUMENT[1:],
        title="CLM",
        swagger_js_url="swagger/swagger-ui-bundle.js",
        swagger_css_url="swagger/swagger-ui.css",
        swagger_favicon_url="swagger/favicon-32x32.png",
        swagger_ui_parameters=_PAGE,
    )


@routes.api_route(DOCUMENT, methods=_METHODS)
async def get_document(request: Request) -> Response:
    """Return the document, which is written once."""
    app: FastAPI = request.app
    if getattr(app.state, "document", None) is None:
        app.state.document = await asyncio.to_thread(_written, app)
    return Response(app.state.document, media_type="application/json")


def _written(app: FastAPI) -> bytes:
    return json.dumps(app.openapi(), ensure_ascii=False).encode()


@routes.api_route("/swagger/{name}", methods=_METHODS)
async def get_part(name: str) -> Response:
    """Return a part of the page."""
    if name not in _KINDS:
        raise NotFound("No route has this path")
    return Response(_part(name), media_type=_KINDS[name])


@cache
def _part(name: str) -> bytes:
    return resources.files("fastapi_swagger.resources").joinpath(name).read_bytes()
