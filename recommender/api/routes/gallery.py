"""The gallery: one page, its scripts and its style, from the package."""

import hashlib
from importlib.resources import files
from pathlib import PurePath

from fastapi import APIRouter, HTTPException, Request, Response

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
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
    return asset("index.html", request)


@router.get("/gallery/{name}")
def asset(name: str, request: Request) -> Response:
    """A file of the page; only those that the package holds can be named."""
    folder = files("recommender.api") / "gallery"
    if name not in {entry.name for entry in folder.iterdir()}:
        raise HTTPException(404)
    content = (folder / name).read_bytes()
    headers = {**_HEADERS, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_TYPES[PurePath(name).suffix], headers=headers)
