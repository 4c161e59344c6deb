"""HTTP routes: each parses the request, calls one service method and writes the response."""
