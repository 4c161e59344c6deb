"""The URL path of the service as seen by the client, set by the `RootPath` middleware."""

from starlette.types import Scope

ROOT_PATH = "root_path"
"""Key of the scope's state: the root path, without a trailing slash."""
LACKS_SLASH = "lacks_slash"
"""Key of the scope's state: whether the request is for the root path without its trailing slash."""


def root_path_of(scope: Scope) -> str:
    """Return the URL path of the service as seen by the client, without a trailing slash; empty if unknown."""
    root_path: str = scope["state"].get(ROOT_PATH, "")
    return root_path


def lacks_slash(scope: Scope) -> bool:
    """Return whether the request is for the root path without its trailing slash, where relative links would be wrong."""
    return bool(scope["state"].get(LACKS_SLASH, False))
