"""Names that different providers share for a model."""

import re

_BEDROCK_PLACE = re.compile(
    r"(?:us|us-gov|eu|apac|jp|au|ca|sa|me|af|il|mx|global)\.(?=[a-z0-9]+\.)"
)


def shared_name(upstream: str) -> str:
    """Return the name that providers share for a model: `openai/gpt-5.4-mini` is `gpt-5.4-mini`.

    It is the last part of the path, in lower case, without the region of a Bedrock inference profile.
    """
    return _BEDROCK_PLACE.sub("", upstream.rpartition("/")[2].lower(), count=1)
