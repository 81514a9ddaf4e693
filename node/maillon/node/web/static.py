"""Serve the files of the package: stylesheets, scripts, pictures, the font.

The digest of all of them stands in their address, so that a browser keeps them for a year and never
shows a page with the files of another version. They refer to each other by relative addresses.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from litestar import Response

from maillon.node.web import bounds

PREFIX: Final = "/static/"
TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".png": "image/png",
    ".txt": "text/plain",
    ".json": "application/json",
    ".geojson": "application/geo+json",
}
_PACKED: Final = frozenset({".css", ".js", ".svg", ".txt", ".json", ".geojson"})


@dataclass(frozen=True, slots=True)
class File:
    """One file: `packed` is its gzip form, None where that is no smaller."""

    body: bytes
    packed: bytes | None
    media_type: str


class Assets:
    """All files, read once."""

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        digest = hashlib.sha256()
        for name, data in sorted(_walk(files("maillon.node.web") / "static", "")):
            suffix = name[name.rfind(".") :]
            digest.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
            # The same bytes each time: mtime 0.
            packed = gzip.compress(data, 9, mtime=0) if suffix in _PACKED else None
            self._files[name] = File(data, packed, TYPES[suffix])
        self.digest = digest.hexdigest()[:16]

    def url(self, name: str) -> str:
        """Return the address of a file. Raises: KeyError, when a page names what is not there."""
        self._files[name]
        return f"{PREFIX}{self.digest}/{name}"

    def names(self) -> list[str]:
        """Return the names of all files."""
        return list(self._files)

    def file(self, name: str) -> File:
        """Return a file. Raises: KeyError."""
        return self._files[name]

    def answer(self, path: str, accepts: str) -> Response[bytes] | None:
        """Return the file at a path below /static/, packed where the browser takes that."""
        digest, _slash, name = path.lstrip("/").partition("/")
        found = self._files.get(name)
        if found is None or digest != self.digest:
            return None
        headers = {
            "Cache-Control": f"public, max-age={bounds.STATIC_S}, immutable",
            "Vary": "Accept-Encoding",
            # A picture that a page opens by itself must not run anything either.
            "Content-Security-Policy": "default-src 'none'; style-src 'self'; sandbox",
        }
        packed = found.packed is not None and "gzip" in accepts.lower()
        if packed:
            headers["Content-Encoding"] = "gzip"
        body = found.packed if packed and found.packed is not None else found.body
        return Response(body, media_type=found.media_type, headers=headers)


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name[entry.name.rfind(".") :] in TYPES:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
