"""`python -m app.cli.healthcheck [PORT]`: exits 0 when the process on this host is alive. For a container without curl.

It asks the address that the service listens on, HOST. Without an argument it asks the service's own port; a worker is
asked on its METRICS_PORT.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address

_PATIENCE_SECONDS = 2.5
_OK = 200
_DEFAULT_HOST = "127.0.0.1"
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it is asked for, not listened on
"""Where a service that listens on every address of a family is reached from this host."""


def is_alive(host: str, port: int) -> bool:
    """Return whether `/health/live` of what listens on `host` answers 200 in time."""
    connection = HTTPConnection(_reached_at(host), port, timeout=_PATIENCE_SECONDS)
    try:
        # Not the address itself: with a zone, as in fe80::1%eth0, it is no valid Host.
        connection.request("GET", "/health/live", headers={"Host": "localhost"})
        return connection.getresponse().status == _OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _reached_at(host: str) -> str:
    """Return the address to connect to; other spellings of the same address, such as `0::0`, are known too."""
    try:
        address = str(ip_address(host))
    except ValueError:
        return host
    return _REACHED_AT.get(address, address)


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PORT") or "8000"
    listening = os.environ.get("HOST", "").strip() or _DEFAULT_HOST
    sys.exit(0 if is_alive(listening, int(asked)) else 1)
