"""Items in the lines of an export.

Lines hold tool calls, results and reasoning as the HTTP API shows them. What that cannot express is in `details`, so
that an import restores the same items: their order, the lengths of texts, provider metadata, and the JSON texts of
arguments and results where writing them again would give others.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from infra.history.format.documents import Document
from infra.history.format.fields import can_be_shown
from infra.history.format.items import ATTACHMENT, REASONING, TEXT, TOOL_CALL, TOOL_RESULT

COMPARED = ("finishReason", "toolCalls", "toolResults", "reasoning")
"""The fields of a line that must be the same in the line of its document."""

ATTACHMENT_FIELDS = ("type", "id", "mediaType", "bytes", "name", "url")

_Items = Sequence[Mapping[str, Any]]


def add_items(line: dict[str, Any], document: Document) -> None:
    """Add the items of a document to its line. The document's prompt has one message."""
    output: _Items = document.get("items", ())
    input_items: _Items = document["inputItems"][0] if "inputItems" in document else ()
    if "previousId" in document:
        line["previousId"] = document["previousId"]
    if calls := [_line_of_call(item) for item in output if item["type"] == TOOL_CALL]:
        line["toolCalls"] = calls
    if results := [_line_of_result(item) for item in input_items if item["type"] == TOOL_RESULT]:
        line["toolResults"] = results
    if attachments := [_line_of_attachment(i) for i in input_items if i["type"] == ATTACHMENT]:
        line["attachments"] = attachments
    if reasoning := "".join([item["text"] for item in output if item["type"] == REASONING]):
        line["reasoning"] = reasoning
    if document.get("contentStored") is False:
        line["stored"] = False
    if document.get("metadata"):
        line["metadata"] = dict(document["metadata"])
    details: dict[str, Any] = {}
    if input_items:
        details["input"] = [_detail_of(item) for item in input_items]
    if output:
        details["output"] = [_detail_of(item) for item in output]
    if "options" in document:
        details["options"] = document["options"]
    if "background" in document:
        details["background"] = True
    if details:
        line["details"] = details


def read_items(document: Document, line: Mapping[str, Any]) -> None:
    """Add the items of a line to its document.

    Lines without `details` get the order that is usual: reasoning, text, calls; results before text.

    Raises:
        ValueError: `details` does not fit the rest of the line.
    """
    details = line.get("details", {})
    calls, results = line.get("toolCalls", ()), line.get("toolResults", ())
    reasoning = line.get("reasoning", "")
    input_details, output_details = details.get("input"), details.get("output")
    if input_details is None and results:
        input_details = [{"type": TOOL_RESULT, "isJson": _is_json(result)} for result in results]
        input_details += _usual_text(line["userPrompt"])
    if output_details is None and (calls or reasoning):
        output_details = [{"type": REASONING, "length": len(reasoning)}] if reasoning else []
        output_details += _usual_text(line["response"])
        output_details += [{"type": TOOL_CALL}] * len(calls)
    given = _Given(iter(calls), iter(results), reasoning)
    if input_details:
        document["inputItems"] = [[given.item_of(detail) for detail in input_details]]
    if "options" in details:
        document["options"] = details["options"]
    if details.get("background"):
        document["background"] = True
    if output_details:
        document["items"] = [given.item_of(detail) for detail in output_details]
    if not given.is_used_up:
        raise ValueError("fewer items than the line holds")
    if "previousId" in line:
        document["previousId"] = line["previousId"]
    if "metadata" in line:
        document["metadata"] = [[name, value] for name, value in line["metadata"].items()]


class _Given:
    """The calls, results and reasoning of a line, which its details refer to in order."""

    def __init__(
        self,
        calls: Iterator[Mapping[str, Any]],
        results: Iterator[Mapping[str, Any]],
        reasoning: str,
    ) -> None:
        self._calls = calls
        self._results = results
        self._reasoning = reasoning
        self._position = 0

    @property
    def is_used_up(self) -> bool:
        """Whether there is nothing left without a detail."""
        none_left = next(self._calls, None) is None and next(self._results, None) is None
        return none_left and self._position == len(self._reasoning)

    def item_of(self, detail: Mapping[str, Any]) -> Document:
        """Return the stored item of a detail.

        Raises:
            ValueError: The line holds no such item.
        """
        kind = detail["type"]
        if kind == ATTACHMENT:
            return dict(detail)
        item: Document = {"type": kind}
        if kind == TEXT:
            item["length"] = _length_of(detail)
        elif kind == REASONING:
            end = self._position + _length_of(detail)
            item["text"] = self._reasoning[self._position : end]
            self._position = end
        elif kind == TOOL_CALL:
            call = _next(self._calls)
            item |= {"id": call["id"], "name": call["name"]}
            item["arguments"] = detail.get("arguments", _text_of(call["arguments"]))
        else:
            result = _next(self._results)
            is_json = detail.get("isJson", False)
            output = result["output"]
            item["callId"] = result["callId"]
            item["output"] = detail.get("output", _json_of(output) if is_json else output)
            if is_json:
                item["isJson"] = True
            if result.get("isError"):
                item["isError"] = True
        if "metadata" in detail:
            item["metadata"] = detail["metadata"]
        return item


def _line_of_call(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": item["id"], "name": item["name"], "arguments": _shown(item["arguments"])}


def _line_of_attachment(item: Mapping[str, Any]) -> dict[str, Any]:
    line = {name: item.get(name) for name in ("id", "mediaType", "bytes", "name")}
    if "url" in item:
        line["url"] = item["url"]
    return line


def _line_of_result(item: Mapping[str, Any]) -> dict[str, Any]:
    output = orjson.loads(item["output"]) if item.get("isJson") else item["output"]
    line: dict[str, Any] = {"callId": item["callId"], "output": output}
    if item.get("isError"):
        line["isError"] = True
    return line


def _detail_of(item: Mapping[str, Any]) -> dict[str, Any]:
    kind = item["type"]
    if kind == ATTACHMENT:
        return {name: item[name] for name in ATTACHMENT_FIELDS if name in item}
    detail: dict[str, Any] = {"type": kind}
    if kind == TEXT:
        detail["length"] = item["length"]
    elif kind == REASONING:
        detail["length"] = len(item["text"])
    elif kind == TOOL_CALL:
        arguments = item["arguments"]
        if _text_of(_shown(arguments)) != arguments:
            detail["arguments"] = arguments
    elif item.get("isJson"):
        detail["isJson"] = True
        if _json_of(orjson.loads(item["output"])) != item["output"]:
            detail["output"] = item["output"]
    if "metadata" in item:
        detail["metadata"] = item["metadata"]
    return detail


def _shown(arguments: str) -> Any:
    """Return arguments as the HTTP API shows them: the object that they are, else the text."""
    if not can_be_shown(arguments):
        return arguments
    value = orjson.loads(arguments)
    return value if isinstance(value, dict) else arguments


def _text_of(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else _json_of(arguments)


def _json_of(value: Any) -> str:
    return orjson.dumps(value).decode()


def _is_json(result: Mapping[str, Any]) -> bool:
    return not isinstance(result["output"], str)


def _usual_text(text: str) -> list[dict[str, Any]]:
    return [{"type": TEXT, "length": len(text)}] if text else []


def _length_of(detail: Mapping[str, Any]) -> int:
    if "length" not in detail:
        raise ValueError("a length is missing")
    return int(detail["length"])


def _next(given: Iterator[Mapping[str, Any]]) -> Mapping[str, Any]:
    found = next(given, None)
    if found is None:
        raise ValueError("more items than the line holds")
    return found
