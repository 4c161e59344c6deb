"""The answer to a chat is written straight to bytes; here it is held against its description."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dto.native.interaction import ChatResponse, InteractionDto, chat_response
from domain.entities.interaction import Interaction
from tests.fakes.interactions import any_interactions


@pytest.mark.slow
@given(any_interactions, st.booleans())
def test_it_says_what_its_description_says(interaction: Interaction, is_stored: bool) -> None:
    body = chat_response(interaction, is_stored=is_stored)
    ChatResponse.model_validate_json(body)
    written = json.loads(body)
    assert written.pop("history") == {"status": "accepted" if is_stored else "not_persisted"}
    expected = InteractionDto.from_interaction(interaction).model_dump_json(by_alias=True)
    assert written == json.loads(expected)


@given(any_interactions)
def test_without_its_text_it_is_the_same(interaction: Interaction) -> None:
    whole = json.loads(chat_response(interaction, is_stored=True))
    del whole["response"]
    assert json.loads(chat_response(interaction, is_stored=True, with_text=False)) == whole
