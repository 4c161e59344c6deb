"""Errors in answers, before they are mapped to domain errors."""


class UnreadableAnswer(Exception):
    """A body that does not follow the provider's documentation."""


class ErrorInAnswer(Exception):
    """A refusal inside of a response with a success status.

    Attributes:
        body: As parsed, of any shape.
    """

    def __init__(self, body: object) -> None:
        super().__init__("an error in the answer")
        self.body = body
