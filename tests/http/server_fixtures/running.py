"""A server in a thread, with an event loop of its own."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.server.connection import Connection
from app.server.options import ServeOptions
from app.server.server import Server
from app.server.sockets import listening_sockets
from tests.http.server_fixtures.application import Application
from tests.http.server_fixtures.client import WAIT_SECONDS, Client

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@dataclass(frozen=True)
class Running:
    server: Server
    application: Application
    port: int
    thread: threading.Thread

    def stop(self) -> None:
        """Stop at once, and return when it has."""
        self.server.stop()
        self.server.stop()
        self.thread.join(WAIT_SECONDS)
        assert not self.thread.is_alive()

    def client(self) -> Client:
        return Client(self.port)

    def catch_up(self) -> None:
        """Return once the server has read everything that was sent before."""
        with self.client() as client:
            client.get("/quick")
            assert client.receive().status == 200

    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def connection(self) -> Connection:
        """Return the only one, once it is."""
        self.wait_for(lambda: self.connections() == 1)
        (connection,) = self.server.server_state.connections
        assert isinstance(connection, Connection)
        return connection

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; fail when it does not come true."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "it did not come true in time"
            time.sleep(0.01)


@contextmanager
def running_server(loop_factory: LoopFactory, options: ServeOptions) -> Iterator[Running]:
    """Serve on a port of the system's choice; at the end, check that nothing is left over."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    sockets = listening_sockets("127.0.0.1", 0)
    application = Application()
    server = Server(
        application,
        options,
        on_stopping=application.stop_being_ready,
        on_grace_over=application.streams_end.set,
    )

    failures: list[dict[str, Any]] = []

    def run() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: failures.append(context))
            runner.run(server.serve(sockets))

    thread = threading.Thread(target=run)
    thread.start()
    running = Running(server, application, sockets[0].getsockname()[1], thread)
    try:
        running.wait_for(lambda: server.started)
        yield running
    finally:
        running.stop()
    assert failures == []
    assert not server.server_state.connections
    assert not server.server_state.tasks
