"""The gallery: one page, its script and its style, from the package."""

import hashlib
from importlib.resources import files

from fastapi import APIRouter, Request, Response

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS = {
    # Nothing but our own files runs or is loaded; thumbnails fetched with a key are blob: URLs.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
def page(request: Request) -> Response:
    """The page; what it shows is in its URL."""
    return _file("index.html", request)


@router.get("/gallery/app.js")
def script(request: Request) -> Response:
    """The page's script."""
    return _file("app.js", request)


@router.get("/gallery/style.css")
def style(request: Request) -> Response:
    """The page's style."""
    return _file("style.css", request)


@router.get("/gallery/icon.svg")
def icon(request: Request) -> Response:
    """The page's icon."""
    return _file("icon.svg", request)


def _file(name: str, request: Request) -> Response:
    content = (files("recommender.api") / "gallery" / name).read_bytes()
    headers = {**_HEADERS, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_TYPES[name], headers=headers)
