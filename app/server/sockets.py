"""The sockets the server listens on, and how many it may have."""

import contextlib
import errno
import socket
import sys

BACKLOG = 2048
"""How many clients may wait to be let in."""

_UNSENT_BYTES = 16 * 1024
_SPARE_FILES = 1024
_NOT_OURS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Return a socket listening on each address of `host`, all with the same port; the system's choice when it is 0.

    Clients that come before the application has started wait. An address this machine does not have is left out
    while there is another: `localhost` often names IPv6 where there is none.

    Raises:
        OSError: The name is unknown, or an address is taken or not permitted, or none is ours.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    not_ours: OSError | None = None
    with contextlib.ExitStack() as on_failure:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                listening = _listening(family, (address[0], port, *address[2:]))
            except OSError as exc:
                if exc.errno not in _NOT_OURS:
                    raise
                not_ours = exc
            else:
                sockets.append(on_failure.enter_context(listening))
                port = listening.getsockname()[1]
        if not_ours is not None and not sockets:
            raise not_ours
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
            # Accepted sockets inherit it. Else the kernel takes megabytes for a client that reads nothing, and we never
            # notice that it does not.
            with contextlib.suppress(OSError):
                bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def allow_open_files(connections: int) -> None:
    """Raise the process's own limit of open files, as far as the system lets it, to serve that many connections.

    Each may hold another one to a provider. Many systems start with 1 024, for the sake of old programs.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + _SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
