"""Joins the fragments of `reasoning_details`, which go back to the server unchanged."""

_JOINED = ("text", "summary", "data", "signature")


class ReasoningDetails:
    """The reasoning details of one answer, while they arrive.

    A fragment belongs to the last element of its `type` and `index`, unless both have ids that differ.

    Attributes:
        size_bytes: About the size of all elements.
    """

    def __init__(self) -> None:
        self._elements: list[_Element] = []
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._elements)

    def take(self, details: list[object], *, is_whole: bool) -> str:
        """Add the details of a delta, or all details of a message; return the text to show, empty if encrypted."""
        texts: list[str] = []
        for detail in details:
            if not isinstance(detail, dict):
                continue
            element = None if is_whole else self._element_of(detail)
            if element is None:
                element = _Element()
                self._elements.append(element)
            self.size_bytes += element.add(detail)
            shown = (detail.get(name) for name in ("text", "summary"))
            texts.append(next((text for text in shown if isinstance(text, str)), ""))
        return "".join(texts)

    def complete(self) -> list[dict[str, object]]:
        """Return the elements."""
        return [element.complete() for element in self._elements]

    def _element_of(self, detail: dict[str, object]) -> "_Element | None":
        if "index" not in detail:
            return None
        for element in reversed(self._elements):
            if element.includes(detail):
                return element
        return None


class _Element:
    """One element of `reasoning_details`."""

    __slots__ = ("_fields", "_texts")

    def __init__(self) -> None:
        self._fields: dict[str, object] = {}
        self._texts: dict[str, list[str]] = {}

    def includes(self, detail: dict[str, object]) -> bool:
        """Return whether `detail` is a fragment of this element."""
        fields = self._fields
        if fields.get("type") != detail.get("type") or fields.get("index") != detail.get("index"):
            return False
        return not fields.get("id") or detail.get("id") in (None, "", fields["id"])

    def add(self, detail: dict[str, object]) -> int:
        """Add a fragment; return the size of its texts in bytes."""
        size_bytes = 0
        for name, value in detail.items():
            if name in _JOINED and isinstance(value, str):
                self._fields.setdefault(name, "")  # keeps its place among the fields
                self._texts.setdefault(name, []).append(value)
                size_bytes += len(value)
            elif value is not None or name not in self._fields:
                self._fields[name] = value
        return size_bytes

    def complete(self) -> dict[str, object]:
        """Return the element."""
        return self._fields | {name: "".join(texts) for name, texts in self._texts.items()}
