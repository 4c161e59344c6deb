"""`python -m app.healthcheck [PORT]`: exits 0 when the process on this host is alive. For a container without curl.

Without an argument the service's own port is asked; a worker is asked on its METRICS_PORT.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

_PATIENCE_SECONDS = 2.5
_OK = 200


def is_alive(port: int) -> bool:
    """Return whether `/health/live` on the loopback address answers 200 in time."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == _OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PORT") or "8000"
    sys.exit(0 if is_alive(int(asked)) else 1)
