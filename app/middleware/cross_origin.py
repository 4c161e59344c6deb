"""Pages of other origins, in browsers (CORS)."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response


class CrossOrigin(CORSMiddleware):
    """Starlette's middleware, but only a preflight that succeeds is told that it may reach a private network."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code >= 400 and _PRIVATE_NETWORK in response.headers:
            del response.headers[_PRIVATE_NETWORK]
        return response


_PRIVATE_NETWORK = "Access-Control-Allow-Private-Network"
