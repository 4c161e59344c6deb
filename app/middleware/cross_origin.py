"""Cross-origin requests from browsers (CORS)."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response


class CrossOrigin(CORSMiddleware):
    """Starlette's middleware without `Access-Control-Allow-Private-Network` in responses to refused preflights."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code >= 400 and _PRIVATE_NETWORK in response.headers:
            del response.headers[_PRIVATE_NETWORK]
        return response


_PRIVATE_NETWORK = "Access-Control-Allow-Private-Network"
