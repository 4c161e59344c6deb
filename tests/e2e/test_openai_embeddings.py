"""What the official `openai` packages get from POST /v1/embeddings."""

import json
import shutil
import subprocess
from collections.abc import Iterator

import openai
import pytest

from tests.e2e.openai_client import Counted
from tests.e2e.test_openai_sdk import is_exactly
from tests.e2e.two_tool_task import in_thread
from tests.fakes.behaviour import Refuses
from tests.fakes.embeddings import (
    TOKENS,
    FakeGeminiEmbeddings,
    FakeOpenAIEmbeddings,
    vector_for,
)
from tests.support.service import ROOT, Service, running_service

TEXTS = ["Why?", "How?", "What?"]
MODELS = ("one", "google")
JAVASCRIPT = ROOT / "tests" / "e2e" / "js"
FILE = """
default = "chat"
[providers.g]
kind = "gemini"
base_url = "{google}"
api_key_env = "A_KEY"
[providers.o]
kind = "openai"
base_url = "{one}"
api_key_env = "A_KEY"
[models.chat]
provider = "o"
[models.one]
provider = "o"
capabilities = ["embeddings"]
[models.google]
provider = "g"
capabilities = ["embeddings"]
"""


@pytest.fixture(scope="module")
def one() -> FakeOpenAIEmbeddings:
    return FakeOpenAIEmbeddings()


@pytest.fixture(scope="module")
def service(
    one: FakeOpenAIEmbeddings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("embeddings")
    google = FakeGeminiEmbeddings()
    with in_thread(google, one):
        models = folder / "models.toml"
        models.write_text(FILE.format(google=google.origin, one=one.base_url), encoding="utf-8")
        settings = {"MODELS_FILE": str(models), "A_KEY": "test-key"}
        with running_service(folder / "data", settings) as service:
            yield service


@pytest.fixture
def client(service: Service) -> Iterator[Counted]:
    with Counted(service.url) as client:
        yield client


@pytest.mark.parametrize("model", MODELS)
def test_vectors_arrive_in_either_encoding(client: Counted, model: str) -> None:
    usual = client.embeddings.create(model=model, input=TEXTS)  # in base64
    plain = client.embeddings.create(model=model, input=TEXTS, encoding_format="float")
    for answer in (usual, plain):
        assert is_exactly(answer)
        assert [item.index for item in answer.data] == [0, 1, 2]
        for item, text in zip(answer.data, TEXTS, strict=True):
            assert item.embedding == pytest.approx(vector_for(text))
        assert answer.model == model
        assert answer.usage.prompt_tokens == (3 * TOKENS if model == "one" else 0)


def test_tokens_and_dimensions(client: Counted) -> None:
    answer = client.embeddings.create(model="one", input=[[1, 2], [3]], dimensions=2)
    assert [item.embedding for item in answer.data] == [
        pytest.approx(vector_for((1, 2), 2)),
        pytest.approx(vector_for((3,), 2)),
    ]


def test_errors_are_the_sdks_own(client: Counted, one: FakeOpenAIEmbeddings) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.embeddings.create(model="gpt-2", input="x")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.UnprocessableEntityError) as chatting:
        client.embeddings.create(model="chat", input="x")
    assert chatting.value.code == "unsupported_by_model"
    with pytest.raises(openai.BadRequestError) as tokens:
        client.embeddings.create(model="google", input=[1, 2])
    assert (tokens.value.code, tokens.value.param) == ("unsupported_parameter", "input")
    one.then(Refuses(400))
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.embeddings.create(model="one", input="x")
    assert refused.value.code == "provider_rejected"
    assert client.sent == 4


@pytest.mark.parametrize("model", MODELS)
def test_the_package_for_javascript_gets_the_same(service: Service, model: str) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (JAVASCRIPT / "node_modules").is_dir():
        pytest.skip("its packages are not installed: npm ci in tests/e2e/js")
    job = json.dumps({"task": "embeddings", "url": f"{service.url}/v1", "model": model})
    ran = subprocess.run(
        ["node", str(JAVASCRIPT / "openai_client.mjs")],
        input=job,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    outcome = json.loads(ran.stdout)
    assert "error" not in outcome, outcome["error"]
    for vectors in (outcome["usual"], outcome["plain"]):
        assert vectors == [pytest.approx(vector_for(text)) for text in ("Why?", "How?")]
