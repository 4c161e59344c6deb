"""A parameter that means nothing is refused in one line, before anything is written."""

import pytest

from stacks.parameters import BadParameter
from synth import main, make_app


@pytest.mark.parametrize(
    ("context", "named"),
    [
        ({"size": "huge"}, "size"),
        ({"authentication": "none"}, "authentication"),
        ({"authentication": "jwt"}, "jwtIssuer"),
        ({"domainName": "chat.example.com"}, "certificateArn"),
        ({"providers": "GEMINI_API_KEY,HOME"}, "providers"),
        ({"providers": "bedrock"}, "bedrockModels"),
        ({"bedrockModels": "amazon.nova-lite-v1:0"}, "bedrockModels"),
        ({"providers": "bedrock", "bedrockModels": "nova"}, "bedrockModels"),
        ({"bedrockGuardrail": "gr7:1"}, "bedrockGuardrail"),
        (
            {"providers": "bedrock", "bedrockModels": "a.b", "bedrockGuardrail": "gr7"},
            "bedrockGuardrail",
        ),
        (
            {"providers": "bedrock", "bedrockModels": "a.b", "bedrockGuardrail": "gr7:0"},
            "bedrockGuardrail",
        ),
        (
            {"providers": "bedrock", "bedrockModels": "a.b", "bedrockGuardrail": "*:1"},
            "bedrockGuardrail",
        ),
        ({"providers": "bedrock", "bedrockModels": "a.b-v1:0,a.b-v1:0"}, "bedrockModels"),
        ({"providers": "bedrock", "bedrockModels": 'a.b"]'}, "bedrockModels"),
    ],
)
def test_what_means_nothing_is_named(context: dict[str, str], named: str) -> None:
    with pytest.raises(BadParameter, match=named):
        make_app(context)


def test_the_command_exits_78_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size=huge"]) == 78
    assert capsys.readouterr().err.count("\n") == 1
