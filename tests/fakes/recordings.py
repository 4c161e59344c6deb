"""Real exchanges with real providers, where the folder with them is at hand."""

from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.fakes.behaviour import Raw

FOLDER = Path(__file__).parents[3] / "shared" / "recorded"


@dataclass(frozen=True)
class Recording:
    """One exchange."""

    name: str
    request: dict[str, Any]
    response: dict[str, Any]

    @property
    def text(self) -> str:
        """The body of a streamed answer."""
        return str(self.response["text"])

    @property
    def body(self) -> bytes:
        """The body of an answer in a binary format."""
        return b64decode(self.response["base64"])

    def as_recorded(self) -> Raw:
        """Return the answer as the provider gave it."""
        if "text" in self.response:
            return Raw([self.text.encode()])
        if "base64" in self.response:
            return Raw([self.body], content_type=self.response["content_type"])
        return Raw(
            [orjson.dumps(self.response["json"])],
            status=self.response["status"],
            content_type=self.response["content_type"],
            whole=True,
        )

    def as_stream(self) -> Raw:
        """Return it as it would have been streamed: what was not, as one event."""
        is_stream = not self.response.keys().isdisjoint({"text", "base64"})
        if is_stream or self.response["status"] != 200 or self.name.startswith("bedrock"):
            return self.as_recorded()
        return Raw([b"data: " + orjson.dumps(self.response["json"]) + b"\n\n"])


def recordings(provider: str) -> list[Recording]:
    """Return the recordings whose name begins so; none where the folder is not."""
    return [
        Recording(file.stem, content["request"], content["response"])
        for file in sorted(FOLDER.glob(f"{provider}_*.json"))
        if (content := orjson.loads(file.read_bytes()))
    ]
