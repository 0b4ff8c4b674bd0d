"""`/docs` and `/openapi.json`: public, cacheable, served from this package alone, folded into window records."""

from functools import cache
from pathlib import Path
from typing import Final

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from service.http import document
from traceability.marks import implements

_STATIC: Final = Path(__file__).resolve().parent / "static"
# Every file that may be asked for; a name that is not here is 404, so that no path reaches the disk.
_FILES: Final = {
    "docs.js": ("docs.js", "text/javascript"),
    "swagger-ui.css": ("swagger-ui/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("swagger-ui/swagger-ui-bundle.js", "text/javascript"),
    "favicon-32x32.png": ("swagger-ui/favicon-32x32.png", "image/png"),
    "LICENSE": ("swagger-ui/LICENSE", "text/plain"),
    "NOTICE": ("swagger-ui/NOTICE", "text/plain"),
    "swagger-ui-bundle.js.LICENSE.txt": ("swagger-ui/swagger-ui-bundle.js.LICENSE.txt", "text/plain"),
}
_PUBLIC: Final = {"record": "window"}
_HEADERS: Final = {"cache-control": "public, max-age=3600"}
# Own scripts and styles only; the style sheet's icons are data: images.
_PAGE_HEADERS: Final = _HEADERS | {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}


@implements("REQ-SEC-021")
def pages() -> list[HTTPRouteHandler]:
    """The routes of the documentation."""

    @get("/openapi.json", opt=_PUBLIC | {"produces": "application/json"}, sync_to_thread=False)
    def openapi() -> Response[bytes]:
        return Response(document.encoded(), media_type="application/json", headers=_HEADERS)

    @get("/docs", opt=_PUBLIC | {"produces": "text/html"}, sync_to_thread=False)
    def docs() -> Response[bytes]:
        return Response(_read("docs.html"), media_type="text/html", headers=_PAGE_HEADERS)

    @get("/docs/{name:str}", opt=_PUBLIC, sync_to_thread=False)
    def docs_file(name: FromPath[str]) -> Response[bytes]:
        if name not in _FILES:
            raise NotFoundException
        path, media_type = _FILES[name]
        return Response(_read(path), media_type=media_type, headers=_HEADERS)

    return [openapi, docs, docs_file]


@cache
def _read(path: str) -> bytes:
    return (_STATIC / path).read_bytes()
