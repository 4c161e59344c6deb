"""The description of the API, and its page: whole, true, and without the internet."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.service import Service, running_service


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as `make run` starts it: without any configuration."""
    with running_service(tmp_path_factory.mktemp("demo") / "data") as service:
        yield service


@pytest.fixture(scope="module")
def description(demo: Service) -> dict[str, Any]:
    with demo.client() as client:
        return dict(client.get("/openapi.json").json())


def operations(description: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_page_asks_for_nothing_from_elsewhere(demo: Service) -> None:
    with demo.client() as client:
        page = client.get("/docs")
        assert page.status_code == 200
        links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert links
        assert not re.findall(r"https?://", page.text)
        for link in links:
            assert client.get(link).status_code == 200, link


def test_every_operation_parameter_and_field_is_described(description: dict[str, Any]) -> None:
    for method, path, operation in operations(description):
        assert operation.get("summary"), (method, path)
        assert operation.get("description"), (method, path)
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (method, path, parameter["name"])
    for name, schema in description["components"]["schemas"].items():
        assert schema.get("description"), name
        for field, content in schema.get("properties", {}).items():
            assert _is_described(content), (name, field)


def _is_described(content: dict[str, Any]) -> bool:
    """A constant says all by itself; a field that is another schema is described there."""
    if content.get("description") or "const" in content or content.get("type") == "null":
        return True
    return "$ref" in str(content)


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    references = re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(description))
    assert references
    assert set(references) <= set(description["components"]["schemas"])


def test_the_description_names_no_status_that_is_not_ours(description: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in description["components"]["schemas"]


def _example(content: dict[str, Any], description: dict[str, Any]) -> Any:
    schema = content["schema"]
    if "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema["examples"][0]


def test_the_examples_work_as_they_stand(demo: Service, description: dict[str, Any]) -> None:
    """Each operation, with the example values Swagger UI puts into its form."""
    tried = 0
    with demo.client() as client:
        turn = {"userId": "ana", "userPrompt": "Hi", "conversationId": "loops"}
        asked = client.post("/v1/chat", json=turn)
        assert asked.status_code == 200
        wanted = {"input": "Hi", "user": "ben", "background": True}
        answered = client.post("/v1/responses", json=wanted).json()
        ids = {"responseId": answered["id"], "interactionId": asked.json()["id"]}
        in_order = sorted(operations(description), key=lambda one: one[0] == "delete")
        for method, path, operation in in_order:
            body = None
            if "requestBody" in operation:
                body = _example(
                    operation["requestBody"]["content"]["application/json"], description
                )
            address = path
            if path.startswith("/v1/conversations/"):
                address = _of_a_new_conversation(client, path)
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    (value,) = (one["value"] for one in parameter["examples"].values())
                    value = ids.get(parameter["name"], value)
                    address = address.replace(f"{{{parameter['name']}}}", value)
            response = client.request(method, address, json=body)
            is_unknown = "/attachments/" in address and method == "get"
            expected = (404,) if is_unknown else (200, 204)
            assert response.status_code in expected, (method, address, response.text)
            tried += 1
    assert tried >= 9


def _of_a_new_conversation(client: httpx2.Client, path: str) -> str:
    hello = {"role": "user", "content": "Hello!"}
    conversation = client.post("/v1/conversations", json={"items": [hello]}).json()["id"]
    items = client.get(f"/v1/conversations/{conversation}/items").json()
    path = path.replace("{conversationId}", conversation)
    return path.replace("{itemId}", items["first_id"])


def _named_examples(description: dict[str, Any], path: str) -> dict[str, Any]:
    content = description["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return {name: example["value"] for name, example in content["examples"].items()}


def test_each_named_example_of_a_chat_works(demo: Service, description: dict[str, Any]) -> None:
    examples = _named_examples(description, "/v1/chat")
    with demo.client() as client:
        called = client.post("/v1/chat", json=examples["tools"])
        assert called.status_code == 200, called.text
        (call,) = called.json()["toolCalls"]
        assert (call["name"], list(call["arguments"])) == ("get_weather", ["city"])
        (result,) = examples["toolResults"]["toolResults"]
        result["callId"] = call["id"]
        answered = client.post("/v1/chat", json=examples["toolResults"])
        assert answered.status_code == 200, answered.text
        assert '{"celsius":22}' in answered.json()["response"]
        for name in ("question", "responseSchema"):
            assert client.post("/v1/chat", json=examples[name]).status_code == 200, name
        accepted = client.post("/v1/chat", json=examples["background"])
        assert accepted.status_code == 202
        events = client.get(f"{accepted.headers['location']}/events")
        assert events.text.rpartition("event: ")[2].startswith("done")
    assert examples.keys() == {
        "question",
        "background",
        "tools",
        "toolResults",
        "responseSchema",
    }


def test_each_named_example_of_a_completion_works(
    demo: Service, description: dict[str, Any]
) -> None:
    reasons = {}
    with demo.client() as client:
        for name, body in _named_examples(description, "/v1/chat/completions").items():
            response = client.post("/v1/chat/completions", json=body)
            assert response.status_code == 200, (name, response.text)
            (choice,) = response.json()["choices"]
            reasons[name] = choice["finish_reason"]
    assert reasons == {
        "question": "stop",
        "tools": "tool_calls",
        "tool_results": "stop",
        "response_format": "stop",
    }


def test_each_named_example_of_a_response_works(demo: Service, description: dict[str, Any]) -> None:
    kinds = {}
    with demo.client() as client:
        for name, body in _named_examples(description, "/v1/responses").items():
            response = client.post("/v1/responses", json=body)
            assert response.status_code == 200, (name, response.text)
            assert response.json()["status"] == "completed"
            kinds[name] = [item["type"] for item in response.json()["output"]]
    assert kinds == {
        "question": ["message"],
        "tools": ["function_call"],
        "tool_results": ["message"],
        "text_format": ["message"],
    }


def test_every_answer_is_as_described(demo: Service, description: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="not installed")
    body = {"userId": "ana", "userPrompt": "hi"}
    with demo.client() as client:
        answers: list[tuple[str, httpx2.Response]] = [
            ("ChatResponse", client.post("/v1/chat", json=body)),
            ("HistoryPage", client.get("/v1/history/ana")),
            ("Problem", client.post("/v1/chat", json={"userId": "!"})),
            ("ModelList", client.get("/v1/models")),
            ("Ready", client.get("/health/ready")),
            ("Live", client.get("/health/live")),
        ]
    for name, response in answers:
        schema = {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
        jsonschema.validate(response.json(), schema)
