"""`/console/releases`: the page by which a release is decided, as the release brought it. Each view is on record."""

import re
from base64 import b64encode
from hashlib import sha256
from typing import Final

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from service.http.admission import Rates
from service.http.case import case_of
from traceability.marks import implements

HTML: Final = "text/html"
_INLINE: Final = {
    "style-src": re.compile(rb"<style>(.*?)</style>", re.DOTALL),
    "script-src": re.compile(rb"<script>(.*?)</script>", re.DOTALL),
}


@implements("REQ-REL-007")
def releases_route(page: bytes | None, callers: Rates) -> HTTPRouteHandler:
    """`GET /console/releases` for `release.read`; 404 until a release brought its page. `callers` bounds how often one
    token may ask."""
    headers = {
        "content-security-policy": content_security_policy(page or b""),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }

    @get("/console/releases", opt={"produces": HTML, "scope": "release.read"}, sync_to_thread=False)
    def releases(scope: Scope) -> Response[bytes]:
        callers.take(case_of(scope).caller)
        if page is None:
            raise NotFoundException
        return Response(page, media_type=HTML, headers=headers)

    return releases


@implements("REQ-REL-007")
def content_security_policy(page: bytes) -> str:
    """Nothing but the page's own styles and scripts, each by its digest (CSP level 3, section 2.3.1), and its data."""
    parts = ["default-src 'none'", "img-src data:"]
    for directive, inline in _INLINE.items():
        digests = sorted({b64encode(sha256(text).digest()).decode() for text in inline.findall(page)})
        if digests:
            parts.append(" ".join((directive, *(f"'sha256-{digest}'" for digest in digests))))
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])
