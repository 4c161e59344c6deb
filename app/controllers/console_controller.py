"""`/` and `/console/…`: the files of the console, a web page that uses only the public API."""

from fastapi import FastAPI, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.console.files import ConsoleFile, read_files
from app.requests.root_path import lacks_slash, root_path_of

_PAGE = "index.html"
# Model output is untrusted: only the page's own files are loaded, and no text can become script.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob:",  # attachments, which are fetched with the caller's credential
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


def install(app: FastAPI) -> None:
    """Read the files and add their routes, which accept GET and HEAD."""
    files = dict(read_files())
    page = files.pop(_PAGE)

    async def show_page(request: Request) -> Response:
        if lacks_slash(request.scope):
            return RedirectResponse(f"{root_path_of(request.scope)}/", status_code=308)
        return _file_response(request, page)

    async def show_file(request: Request) -> Response:
        file = files.get(request.path_params["name"])
        if file is None:
            raise HTTPException(status_code=404)
        return _file_response(request, file)

    app.add_route("/", show_page, methods=["GET"], include_in_schema=False)
    app.add_route("/console/{name}", show_file, methods=["GET"], include_in_schema=False)


def _file_response(request: Request, file: ConsoleFile) -> Response:
    headers = {**_HEADERS, "ETag": file.tag}
    known = request.headers.get("If-None-Match", "")
    if file.tag in known or known.strip() == "*":
        return Response(status_code=304, headers=headers)
    body = file.plain
    if _accepts_gzip(request.headers.get("Accept-Encoding", "")):
        body = file.compressed
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type=file.media_type)


def _accepts_gzip(accept_encoding: str) -> bool:
    """Return whether the header's value lists gzip with a quality above zero."""
    for coding in accept_encoding.lower().split(","):
        name, _, quality = coding.partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
