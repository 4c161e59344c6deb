"""The process's own HTTP server: uvicorn, with limits on what a client may take, and an orderly end."""

from app.server.embedded_server import CannotListen, serve_in_background
from app.server.options import ServeOptions
from app.server.run import serve

__all__ = ["CannotListen", "ServeOptions", "serve", "serve_in_background"]
