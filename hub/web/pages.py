"""Serves the page: a handful of files from the package, with their fingerprints and a strict policy.

Owns which files there are and the headers under which a browser gets them. Never builds HTML from
anybody's text.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

SECURITY_HEADERS: Final[dict[str, str]] = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
"""On every answer of the hub: they cost nothing on JSON, and nobody can forget one on a page."""

MEDIA_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}

FILES: Final = ("index.html", "page.js", "feed.js", "story.js", "dom.js", "page.css", "icon.svg")


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    media_type: str
    etag: str


def load_asset(name: str) -> Asset:
    content = resources.files("hub.web").joinpath("static", name).read_bytes()
    fingerprint = hashlib.sha256(content).hexdigest()[:20]
    return Asset(content, MEDIA_TYPES[name.rsplit(".", 1)[1]], f'"{fingerprint}"')


def serve_asset(request: Request, asset: Asset) -> Response:
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def web_routes() -> list[Route]:
    """`/` and `/web/<file>`; anything else under `/web/` does not exist."""

    def route(path: str, name: str) -> Route:
        asset = load_asset(name)

        async def serve(request: Request) -> Response:
            return serve_asset(request, asset)

        return Route(path, serve, methods=["GET"], name=f"page {name}")

    return [
        route("/", "index.html"),
        *(route(f"/web/{name}", name) for name in FILES if name != "index.html"),
    ]
