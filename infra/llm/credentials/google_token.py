"""Fetches access tokens by Google's application default credentials; needs the package google-auth."""

from datetime import UTC, datetime

import google.auth
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError

from infra.llm.credentials.access_tokens import AccessToken, TokenRefused, TokenServerUnavailable
from infra.llm.credentials.google_transport import DirectRequest

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


def fetch_google_token() -> AccessToken:
    """Return a new token; blocks.

    The credentials are read again each time, so that a key file may be replaced while the service runs.

    Raises:
        TokenRefused: There are no credentials, or Google rejects them.
        TokenServerUnavailable: The token server cannot be reached, or fails.
    """
    request = DirectRequest()
    try:
        credentials, _ = google.auth.default(scopes=_SCOPES, request=request)
        credentials.refresh(request)  # type: ignore[no-untyped-call]
        headers: dict[str, str] = {}
        credentials.apply(headers)  # type: ignore[no-untyped-call]
    except DefaultCredentialsError as exc:
        raise TokenRefused(f"no application default credentials: {exc}") from exc
    except GoogleAuthError as exc:
        # without its text, which may quote the answer of the token server
        if isinstance(exc, TransportError) or exc.retryable:
            raise TokenServerUnavailable("the token server cannot be reached") from exc
        raise TokenRefused("the token server rejects the credentials") from exc
    except (OSError, ValueError) as exc:
        raise TokenRefused("the file of the credentials cannot be read") from exc
    expiry = credentials.expiry
    if expiry is None:
        raise TokenServerUnavailable("the token server sent a token without its end")
    lifetime = expiry.replace(tzinfo=UTC) - datetime.now(UTC)
    return AccessToken(headers=headers, lifetime_seconds=lifetime.total_seconds())
