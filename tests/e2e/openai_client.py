"""The official client, and what it makes of an answer."""

from typing import Any

import httpx2
import openai
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

ASKING: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How are you?"}]


class Counted(OpenAI):
    """Counts what it sends; asks once unless told to try again."""

    def __init__(self, url: str, *, max_retries: int = 0, **options: Any) -> None:
        self.sent = 0
        http_client = openai.DefaultHttpxClient(
            trust_env=False, event_hooks={"request": [self._count]}
        )
        super().__init__(
            base_url=f"{url}/v1",
            api_key="unused",
            max_retries=max_retries,
            http_client=http_client,
            **options,
        )

    def _count(self, _request: httpx2.Request) -> None:
        self.sent += 1
