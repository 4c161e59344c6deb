"""The defaults of a chat's body."""

import pytest

from app.dto.native.chat import ChatRequest


@pytest.mark.parametrize(
    ("field", "default"),
    [("attachments", []), ("tools", []), ("toolResults", []), ("metadata", {})],
)
def test_an_empty_default_is_described_and_copied(field: str, default: object) -> None:
    assert ChatRequest.model_json_schema()["properties"][field]["default"] == default
    body = ChatRequest.model_validate({"userPrompt": "hi"}).model_dump(by_alias=True)
    assert body[field] == default


def test_requests_do_not_share_their_defaults() -> None:
    first, second = (ChatRequest.model_validate({"userPrompt": "hi"}) for _ in range(2))
    assert first.tools is not second.tools
    assert first.metadata is not second.metadata
