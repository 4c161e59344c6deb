"""The HTTP server: uvicorn with limits per client and an orderly shutdown; README.md lists what is overridden."""

from app.server.embedded_server import serve_in_background
from app.server.options import ServeOptions
from app.server.run import serve
from app.server.sockets import CannotListen, SharedSockets, listen

__all__ = [
    "CannotListen",
    "ServeOptions",
    "SharedSockets",
    "listen",
    "serve",
    "serve_in_background",
]
