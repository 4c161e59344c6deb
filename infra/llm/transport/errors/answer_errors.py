"""Answers that are errors, or that cannot be read, before they are mapped to domain errors."""


class UnreadableAnswer(Exception):
    """A body that is not what the provider documents."""


class ErrorInAnswer(Exception):
    """A refusal that came as part of an answer whose status was a success.

    Attributes:
        body: As parsed, of any shape.
    """

    def __init__(self, body: object) -> None:
        super().__init__("an error in the answer")
        self.body = body
