"""Options of the HTTP server."""

from dataclasses import dataclass

_CLOSE_SECONDS = 15.0
"""Longest time for final responses, cancellations, the rest of the outbox, and the end of all tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Address, limits per client, and delays of the shutdown.

    Attributes:
        port: TCP port; with 0 the system chooses one.
        max_connections: Further connections get a 503 and are closed.
        max_header_bytes: Maximum size of all header names and values of a request.
        max_url_bytes: Maximum size of the request target.
        header_receipt_seconds: From a request's first byte, or from the connection's start, to the end of its headers.
        body_receipt_seconds: From a request's first byte to the end of its body.
        keep_alive_seconds: Maximum idle time between requests; has to exceed that of a load balancer in front.
        write_stall_seconds: Maximum time for which the write buffer may stay full.
        unready_seconds: Time to accept further connections after readiness is withdrawn, until load balancers notice.
        shutdown_grace_seconds: Time for requests to finish after that.
        final_response_seconds: Time for the remaining requests and streams to send their error after that.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_connections: int = 2000
    max_header_bytes: int = 16 * 1024
    max_url_bytes: int = 8 * 1024
    header_receipt_seconds: float = 10.0
    body_receipt_seconds: float = 30.0
    keep_alive_seconds: float = 320.0
    write_stall_seconds: float = 30.0
    unready_seconds: float = 0.0
    shutdown_grace_seconds: float = 25.0
    final_response_seconds: float = 2.0

    @property
    def longest_stop_seconds(self) -> float:
        """Time from SIGTERM until the process has surely ended, if it can: all delays above, and closing its resources."""
        return self.unready_seconds + self.shutdown_grace_seconds + _CLOSE_SECONDS
