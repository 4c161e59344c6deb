"""AWS's signature, compared with that of the driver."""

from datetime import UTC, datetime

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from infra.llm.providers.bedrock.signature import Signature

JSON = "application/json"
AT_SECONDS = 1_796_000_000.0
HOSTS = ["bedrock-runtime.us-east-1.amazonaws.com", "127.0.0.1:8080", "vpce-1.example:443"]


def signed_by_the_driver(
    monkeypatch: pytest.MonkeyPatch, url: str, body: bytes, credentials: ReadOnlyCredentials
) -> dict[str, str]:
    moment = datetime.fromtimestamp(AT_SECONDS, UTC)
    monkeypatch.setattr(auth, "get_current_datetime", lambda: moment)
    request = AWSRequest("POST", url, headers={"Content-Type": JSON}, data=body)
    auth.SigV4Auth(credentials, "bedrock", "eu-west-1").add_auth(request)
    headers = dict(request.headers.items())
    del headers["Content-Type"]
    return headers


@pytest.mark.parametrize("host", HOSTS)
@given(
    model=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    body=st.binary(max_size=100),
    token=st.none() | st.text("abc+/=", min_size=1),
)
def test_it_is_that_of_the_driver(host: str, model: str, body: bytes, token: str | None) -> None:
    quoted = "".join(f"%{ord(c):02X}" if not c.isalnum() and c not in "-._~" else c for c in model)
    if not quoted.strip("."):
        quoted = "x"
    url = f"https://{host}/model/{quoted}/converse-stream"
    credentials = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token, None)
    with pytest.MonkeyPatch.context() as monkeypatch:
        expected = signed_by_the_driver(monkeypatch, url, body, credentials)
    signed = Signature("eu-west-1").headers(
        URL(url, encoded=True), JSON, body, credentials, at_seconds=AT_SECONDS
    )
    assert dict(signed) == expected


def test_the_key_of_a_day_is_not_used_for_another_day_or_secret() -> None:
    signature = Signature("eu-west-1")
    url = URL("https://x.example/model/m/converse")
    for secret, at_seconds in (("a", 0.0), ("a", 86_400.0), ("b", 86_400.0), ("a", 0.0)):
        credentials = ReadOnlyCredentials("AKIDEXAMPLE", secret, None, None)
        fresh = Signature("eu-west-1").headers(url, JSON, b"", credentials, at_seconds=at_seconds)
        used = signature.headers(url, JSON, b"", credentials, at_seconds=at_seconds)
        assert used == fresh
