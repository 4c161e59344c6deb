"""The server overrides internals of uvicorn, so each release has to be compared before it is used."""

from pathlib import Path

import pytest
import uvicorn

import app.server
from app.server.connection import Connection
from app.server.embedded_server import EmbeddedServer
from app.server.lifespan import Lifespan
from app.server.request_parser import RequestParser
from app.server.response_cycle import ResponseCycle
from app.server.server import Server

COMPARED = "0.54.0"
README = Path(app.server.__file__).with_name("README.md")


def test_the_server_was_compared_with_this_release_of_uvicorn() -> None:
    assert uvicorn.__version__ == COMPARED, (
        f"app/server overrides internals of uvicorn {COMPARED} and was not compared with {uvicorn.__version__}: "
        "follow 'When uvicorn is updated' in app/server/README.md, then change COMPARED here"
    )


@pytest.mark.parametrize(
    "server_class",
    [RequestParser, Connection, ResponseCycle, Server, EmbeddedServer, Lifespan],
    ids=lambda server_class: server_class.__name__,
)
def test_every_overridden_name_has_its_reason_in_the_readme(server_class: type) -> None:
    bases = [base for base in server_class.__mro__ if base.__module__.startswith("uvicorn")]
    overridden = {
        name
        for name in vars(server_class)
        if not name.startswith("__") and any(name in vars(base) for base in bases)
    }
    assert overridden
    text = README.read_text()
    missing = sorted(name for name in overridden if f"`{name}`" not in text)
    assert not missing, f"app/server/README.md lacks these overridden names: {missing}"
