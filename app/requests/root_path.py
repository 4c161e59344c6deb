"""The path under which the client sees the service, as the `RootPath` middleware found it."""

from starlette.types import Scope

ROOT_PATH = "root_path"
"""Key of the scope's state: the path, without a slash at its end."""
LACKS_SLASH = "lacks_slash"
"""Key of the scope's state: the request is for the root path without its slash."""


def root_path_of(scope: Scope) -> str:
    """Return the path under which the client sees the service, without a slash at its end; empty where none is known."""
    root_path: str = scope["state"].get(ROOT_PATH, "")
    return root_path


def lacks_slash(scope: Scope) -> bool:
    """Return whether the request is for the root path without its slash, where relative links would be wrong."""
    return bool(scope["state"].get(LACKS_SLASH, False))
