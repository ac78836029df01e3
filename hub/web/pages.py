"""Serves the page: files of the package, compressed once, under a strict policy and a name for their version.

Owns which files there are, the addresses at which the page opens, and the headers under which a browser
gets them. A file's address changes with the contents of any file, so that browsers keep them for ever.
Never builds HTML from anybody's text.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
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

PAGES: Final = (
    "/",
    "/agents",
    "/agents/{id}",
    "/tasks",
    "/tasks/{id}",
    "/dead",
    "/push",
    "/briefings",
    "/briefings/{id}",
    "/settings",
)
"""Where the page opens; which view is shown there is its own affair (`static/views.js`)."""

SHELL: Final = "index.html"
FIRST_MODULES: Final = ("main.js", "views/live.js")
"""What the first paint needs, with all that they import: asked for at once, not one after the other."""

FIRST_STYLES: Final = ("css/tokens.css", "css/parts.css", "css/shell.css")
"""In this order, before those of the views."""

GZIP_LEVEL: Final = 9
"""Once, when the hub starts: 30 ms for all files."""

KEEP: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"

IMPORT: Final = re.compile(
    r"""^(?:import|export)\s[^;]*?from\s*"(\.[^"]+)"|^import\s+"(\.[^"]+)""", re.MULTILINE
)
"""The imports that a module cannot begin without; `import("…")` is fetched when it is wanted."""


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    compressed: bytes
    media_type: str
    etag: str


def asset_of(name: str, content: bytes) -> Asset:
    fingerprint = hashlib.sha256(content).hexdigest()[:20]
    compressed = gzip.compress(content, GZIP_LEVEL, mtime=0)
    return Asset(content, compressed, MEDIA_TYPES[name.rsplit(".", 1)[1]], fingerprint)


def found_in(folder: Traversable, above: str = "") -> dict[str, bytes]:
    """Every file of a kind that browsers get, by its path below `static/`."""
    found: dict[str, bytes] = {}
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            found |= found_in(entry, f"{above}{entry.name}/")
        elif entry.name.rsplit(".", 1)[-1] in MEDIA_TYPES:
            found[above + entry.name] = entry.read_bytes()
    return found


def graph_of(files: dict[str, bytes], roots: tuple[str, ...]) -> tuple[str, ...]:
    """These modules and all that they import, each once, in the order in which a reader meets them."""
    met: dict[str, None] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop(0)
        if name in met:
            continue
        met[name] = None
        for match in IMPORT.finditer(files[name].decode()):
            waiting.append(resolved(name, match[1] or match[2]))
    return tuple(met)


def resolved(name: str, relative: str) -> str:
    """`../lib/render.js` as seen from `views/live.js` is `lib/render.js`."""
    parts = name.split("/")[:-1]
    for piece in relative.split("/"):
        if piece == "..":
            parts.pop()
        elif piece != ".":
            parts.append(piece)
    return "/".join(parts)


def shell_of(template: str, version: str, styles: list[str], modules: list[str]) -> bytes:
    """The one HTML page, with the addresses of this version's files."""
    links = [f'<link rel="stylesheet" href="/web/{version}/{name}">' for name in styles]
    hints = [f'<link rel="modulepreload" href="/web/{version}/{name}">' for name in modules]
    page = template.replace("{styles}", "\n  ".join(links)).replace("{modules}", "\n  ".join(hints))
    return page.replace("{version}", version).encode()


@dataclass(frozen=True, slots=True)
class Site:
    """All that browsers get, as it is sent."""

    version: str
    shell: Asset
    files: dict[str, Asset]
    first: tuple[str, ...]
    """The files that the first view needs, in the order in which the shell names them."""


def build_site() -> Site:
    files = found_in(resources.files("hub.web").joinpath("static"))
    template = files.pop(SHELL).decode()
    whole = hashlib.sha256(template.encode())
    for name, content in files.items():
        whole.update(name.encode() + content)
    version = whole.hexdigest()[:12]
    others = sorted(name for name in files if name.endswith(".css") and name not in FIRST_STYLES)
    styles = [*FIRST_STYLES, *others]
    modules = list(graph_of(files, FIRST_MODULES))
    shell = asset_of(SHELL, shell_of(template, version, styles, modules))
    served = {name: asset_of(name, content) for name, content in files.items()}
    return Site(version, shell, served, (*styles, *modules))


def takes_gzip(request: Request) -> bool:
    """Does the browser say so? One that says `gzip;q=0` does not."""
    for said in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, quality = said.partition(";")
        if name.strip() in {"gzip", "*"}:
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", quality) is None
    return False


def serve_asset(request: Request, asset: Asset, keep: str) -> Response:
    is_small = takes_gzip(request) and len(asset.compressed) < len(asset.content)
    etag = f'"{asset.etag}-gz"' if is_small else f'"{asset.etag}"'
    headers = {"ETag": etag, "Cache-Control": keep, "Vary": "Accept-Encoding"}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known:
        return Response(status_code=304, headers=headers)
    if is_small:
        headers["Content-Encoding"] = "gzip"
    return Response(
        asset.compressed if is_small else asset.content, media_type=asset.media_type, headers=headers
    )


def web_routes() -> list[Route]:
    """The page at each of its addresses, and `/web/<version>/<file>`; anything else there does not exist."""
    site = build_site()

    async def shell(request: Request) -> Response:
        return serve_asset(request, site.shell, ASK_AGAIN)

    async def file(request: Request) -> Response:
        asset = site.files.get(request.path_params["name"])
        if asset is None or request.path_params["version"] != site.version:
            return Response("not found", status_code=404, headers={"Cache-Control": "no-store"})
        return serve_asset(request, asset, KEEP)

    return [
        *(Route(path, shell, methods=["GET"], name=f"page {path}") for path in PAGES),
        Route("/web/{version}/{name:path}", file, methods=["GET"], name="page file"),
    ]
