"""How a model is asked to go on from where another broke off."""

from dataclasses import replace

from domain.entities.prompt import Message, Prompt, Role


def continuing(prompt: Prompt, said: str) -> Prompt:
    """Return `prompt` with the answer so far as its last message, exactly as it was sent out.

    A prompt that already ends with words put into the assistant's mouth has them prolonged: two messages of the same
    speaker would be two turns. The bound on output tokens is handed down as it is; what the broken call used of it
    is not known.
    """
    *earlier, last = prompt.messages
    if last.role is Role.ASSISTANT:
        message = replace(last, text=last.text + said)
        return replace(prompt, messages=(*earlier, message))
    return replace(prompt, messages=(*prompt.messages, Message(role=Role.ASSISTANT, text=said)))
