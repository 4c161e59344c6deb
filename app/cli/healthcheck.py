"""`python -m app.cli.healthcheck [PORT]`: exits 0 if the process on this host is alive. For images without curl.

It sends a request to HOST, the address on which the service listens, and to PORT, by default the service's port. For a
worker, PORT is its METRICS_PORT.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address

_TIMEOUT_SECONDS = 2.5
_OK = 200
_DEFAULT_HOST = "127.0.0.1"
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on
"""By wildcard address, the loopback address of the same family."""


def is_alive(host: str, port: int) -> bool:
    """Return whether `/health/live` at `host` and `port` answers 200 in time."""
    connection = HTTPConnection(_connect_address(host), port, timeout=_TIMEOUT_SECONDS)
    try:
        # Not the address itself: with a zone, as in fe80::1%eth0, it is not a valid Host.
        connection.request("GET", "/health/live", headers={"Host": "localhost"})
        return connection.getresponse().status == _OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _connect_address(host: str) -> str:
    """Return the address to connect to; handles all spellings of a wildcard address, such as `0::0`."""
    try:
        address = str(ip_address(host))
    except ValueError:
        return host
    return _LOOPBACK.get(address, address)


if __name__ == "__main__":
    port = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PORT") or "8000"
    host = os.environ.get("HOST", "").strip() or _DEFAULT_HOST
    sys.exit(0 if is_alive(host, int(port)) else 1)
