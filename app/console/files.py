"""Static files of the console, read and compressed once, with their ETags."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleFile:
    """A static file.

    Attributes:
        tag: ETag; weak, because plain and compressed content share it.
    """

    media_type: str
    tag: str
    plain: bytes
    compressed: bytes


def read_files(folder: Path = STATIC) -> Mapping[str, ConsoleFile]:
    """Return the files of the folder by name, each read and compressed."""
    return {path.name: _file(path) for path in folder.iterdir() if path.suffix in _MEDIA_TYPES}


def _file(path: Path) -> ConsoleFile:
    plain = path.read_bytes()
    return ConsoleFile(
        media_type=_MEDIA_TYPES[path.suffix],
        tag=f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"',
        plain=plain,
        compressed=gzip.compress(plain, mtime=0),
    )
