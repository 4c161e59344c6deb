"""Opens the listening sockets, and raises the limit of open files."""

import contextlib
import errno
import socket
import sys
from dataclasses import dataclass

BACKLOG = 2048
"""Maximum number of connections that wait in the kernel to be accepted."""

_UNSENT_BYTES = 16 * 1024
_SPARE_FILES = 1024
_NOT_LOCAL = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


@dataclass(frozen=True, slots=True)
class SharedSockets:
    """Listening sockets that a supervisor opened for several processes.

    Attributes:
        is_announced: Whether this process logs their addresses, which one of them does.
    """

    sockets: list[socket.socket]
    is_announced: bool


class CannotListen(Exception):
    """The server cannot listen on its address; the message names it and the reason."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Return sockets as `listening_sockets`.

    Raises:
        CannotListen: The address is in use, or not one of this machine.
    """
    try:
        return listening_sockets(host, port)
    except OSError as exc:
        raise CannotListen(f"cannot listen on {host} port {port}: {exc}") from exc


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Return a socket listening on each address of `host`, all with the same port; the system's choice when it is 0.

    Clients that connect before the application has started wait. An address that this machine does not have is
    skipped if there is another: `localhost` often resolves to IPv6 on hosts without it.

    Raises:
        OSError: The name is unknown, an address is in use or not permitted, or this machine has none of them.
    """
    addresses = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    not_local: OSError | None = None
    with contextlib.ExitStack() as on_failure:
        for family, _, _, _, address in dict.fromkeys(addresses):
            try:
                listening = _listening(family, (address[0], port, *address[2:]))
            except OSError as exc:
                if exc.errno not in _NOT_LOCAL:
                    raise
                not_local = exc
            else:
                sockets.append(on_failure.enter_context(listening))
                port = listening.getsockname()[1]
        if not_local is not None and not sockets:
            raise not_local
        on_failure.pop_all()
    return sockets


def _listening(family: int, address: tuple[str | int, ...]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            # Accepted sockets inherit it. Without it the kernel buffers megabytes for a client that reads nothing,
            # and the write deadline never starts.
            with contextlib.suppress(OSError):
                bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def allow_open_files(connections: int) -> None:
    """Raise the soft limit of open files for this number of connections, up to the hard limit.

    Each may need another connection to a provider. On many systems the soft limit is 1 024.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    required = 2 * connections + _SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        required = min(required, hard)
    if soft != resource.RLIM_INFINITY and soft < required:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (required, hard))
