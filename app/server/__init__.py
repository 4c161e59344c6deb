"""The HTTP server: uvicorn with limits per client and an orderly shutdown; README.md lists what is overridden."""

from app.server.embedded_server import CannotListen, serve_in_background
from app.server.options import ServeOptions
from app.server.run import serve

__all__ = ["CannotListen", "ServeOptions", "serve", "serve_in_background"]
