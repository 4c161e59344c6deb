"""Provider metadata of an answer, sealed in its last output item, for clients that keep their context themselves."""

from collections.abc import Sequence
from itertools import groupby

import orjson

from domain.entities.interaction import Interaction
from domain.entities.items import Item, OutputItem, ProviderMetadata, Reasoning, Text, ToolCall
from domain.interfaces.sealer import Sealer

_PURPOSE = "reasoning"
_CALL, _REASONING, _TEXT = "fc", "rs", "msg"


def sealed_metadata(interaction: Interaction, sealer: Sealer) -> str | None:
    """Return all provider metadata of an answer, sealed for its user; None without any.

    Calls without metadata are listed too: they show where the reasoning was.
    """
    if all(item.metadata is None for item in interaction.items):
        return None
    entries = [
        [*_named(item), *_fields(item.metadata)]
        for item in interaction.items
        if item.metadata is not None or isinstance(item, ToolCall)
    ]
    return sealer.seal(orjson.dumps(entries), _PURPOSE, interaction.user_id)


def open_metadata(text: str, user_id: str, sealer: Sealer) -> list[OutputItem]:
    """Return the sealed items of an answer, in order: calls have their id and metadata alone, and texts are empty.

    Metadata that was not sealed here for this user is ignored and never sent to a provider.
    """
    opened = sealer.open(text, _PURPOSE, user_id)
    items: list[OutputItem] = []
    for item_kind, content, kind, family, value in [] if opened is None else orjson.loads(opened):
        metadata = ProviderMetadata(kind=kind, family=family, value=value) if kind else None
        if item_kind == _CALL:
            items.append(ToolCall(id=content, name="", arguments="", metadata=metadata))
        elif item_kind == _REASONING:
            items.append(Reasoning(text=content, metadata=metadata))
        else:
            items.append(Text(text="", metadata=metadata))
    return items


def with_sealed(answer: Sequence[Item], sealed: Sequence[OutputItem]) -> list[Item]:
    """Return the items of an answer that a client sent back, with those that were sealed for it.

    Sealed reasoning replaces its visible form. It stands at the start of the answer, or after the call that preceded it:
    some providers refuse an answer that calls a tool and does not begin with its reasoning.
    """
    visible = {item.text for item in sealed if isinstance(item, Reasoning)}
    for is_reasoning, group in groupby(sealed, lambda item: isinstance(item, Reasoning)):
        if is_reasoning:
            visible.add("".join([item.text for item in group if isinstance(item, Reasoning)]))
    placed = [i for i in answer if not (isinstance(i, Reasoning) and i.text in visible)]
    position = 0
    for item in sealed:
        if isinstance(item, Reasoning):
            placed.insert(position, item)
            position += 1
        elif isinstance(item, ToolCall):
            calls = [n for n, i in enumerate(placed) if isinstance(i, ToolCall) and i.id == item.id]
            position = calls[-1] + 1 if calls else position
        else:
            placed.append(item)
    return placed


def _named(item: OutputItem) -> tuple[str, str]:
    """Return the kind of an item, and the id of a call or the text of reasoning."""
    if isinstance(item, ToolCall):
        return _CALL, item.id
    return (_REASONING, item.text) if isinstance(item, Reasoning) else (_TEXT, "")


def _fields(metadata: ProviderMetadata | None) -> tuple[str, str, str]:
    return ("", "", "") if metadata is None else (metadata.kind, metadata.family, metadata.value)
