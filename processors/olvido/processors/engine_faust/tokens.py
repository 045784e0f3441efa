"""Tokens for OAUTHBEARER: fetched with a client's id and secret, as librdkafka's method ``oidc`` does."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import httpx2
from faust.auth import AbstractTokenProvider

from olvido.broker.login import CLIENT_ID, CLIENT_SECRET, SCOPE, TOKEN_CA, TOKEN_URL, refusal
from olvido.core.errors import Unavailable
from olvido.schemas.tls import TlsFault, client_context

ANSWER_S_MAX = 10.0
FRESH = 0.8  # of a token's life it is used; then a new one is fetched, while the old one still opens
LIFE_S = 60.0  # of a token whose answer does not say how long it lives


class Tokens(AbstractTokenProvider):  # type: ignore[misc]  # Faust is untyped to us
    """Fetches a token and keeps it for most of its life."""

    def __init__(self, options: Mapping[str, str]) -> None:
        """
        Args:
            options: of the login, checked.

        Raises:
            ConfigError: the authority of the token's address cannot be used.
        """
        self._url = options[TOKEN_URL]
        self._client = (options[CLIENT_ID], options[CLIENT_SECRET])
        self._form = {"grant_type": "client_credentials"}
        if SCOPE in options:
            self._form["scope"] = options[SCOPE]
        try:
            ca_file = Path(options[TOKEN_CA]) if TOKEN_CA in options else None
            self._context = client_context(ca_file=ca_file)
        except TlsFault as fault:
            raise refusal(TOKEN_CA, fault.why) from None
        self._token = ""
        self._fresh_until = 0.0
        self._fetching = asyncio.Lock()

    async def token(self) -> str:
        """A token that opens for a while yet.

        Raises:
            Unavailable: none is to be had there; the text shows neither secret nor token.
        """
        async with self._fetching:
            if time.monotonic() >= self._fresh_until:
                await self._fetch()
            return self._token

    async def _fetch(self) -> None:
        began = time.monotonic()
        try:
            # Not by the environment: a proxy that it names would get the secret.
            async with httpx2.AsyncClient(
                verify=self._context, timeout=ANSWER_S_MAX, trust_env=False, follow_redirects=False
            ) as client:
                answer = await client.post(self._url, data=self._form, auth=self._client)
            answer.raise_for_status()
            given = answer.json()
            self._token = str(given["access_token"])
            self._fresh_until = began + FRESH * float(given.get("expires_in", LIFE_S))
        except httpx2.HTTPStatusError as error:
            raise Unavailable(
                f"the token's address answers {error.response.status_code}: compare kafka.options."
                f"{CLIENT_ID} and {CLIENT_SECRET} with what is registered there"
            ) from None
        except (httpx2.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"the token's address gives no token: {type(error).__name__}") from None
